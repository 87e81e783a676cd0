//! Reads the client's own certificates and key.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::names;
use super::options::StoreFormat;
use super::pem::{self, Key};
use super::sources::{Identity, StoreFile};
use super::store;
use crate::error::{Error, Result};
use crate::sasl::Secret;

/// Certificates, the client's first, and its key.
pub(super) struct KeyPair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// The setting to name when they do not go together.
    pub(super) setting: &'static str,
}

pub(super) fn key_pair(identity: &Identity) -> Result<KeyPair> {
    match identity {
        Identity::File { file, key_password } => {
            let bytes = store::read(&file.path, file.setting)?;
            let format = store::format(file, &bytes)?;
            if format != StoreFormat::Pem {
                return binary(file, format, &bytes, key_password.as_ref());
            }
            store::refuse_password(file, names::STORE_PASSWORD)?;
            let refuse = |reason: String| store::refuse(file, &reason);
            let text = store::text(&bytes).map_err(refuse)?;
            let chain = pem::certificates(text).map_err(refuse)?;
            let key = pem::private_key(text).and_then(|key| plain(key, key_password.as_ref()));
            Ok(KeyPair {
                chain,
                key: key.map_err(refuse)?,
                setting: file.setting,
            })
        }
        Identity::Files {
            chain,
            key,
            key_password,
        } => {
            let read = |path: &Path, setting| store::read(path, setting);
            let chain_bytes = read(chain, names::CHAIN_LOCATION)?;
            let key_bytes = read(key, names::KEY_LOCATION)?;
            let refuse = |setting, path: &Path, reason: String| {
                Error::config(setting, format!("{}: {reason}", path.display()))
            };
            let certificates = store::text(&chain_bytes).and_then(pem::certificates);
            let private = store::text(&key_bytes)
                .and_then(pem::private_key)
                .and_then(|key| plain(key, key_password.as_ref()));
            Ok(KeyPair {
                chain: certificates
                    .map_err(|reason| refuse(names::CHAIN_LOCATION, chain, reason))?,
                key: private.map_err(|reason| refuse(names::KEY_LOCATION, key, reason))?,
                setting: names::KEY_LOCATION,
            })
        }
        Identity::Pem {
            chain,
            key,
            key_password,
        } => {
            let private = store::text(key.expose())
                .and_then(pem::private_key)
                .and_then(|key| plain(key, key_password.as_ref()));
            Ok(KeyPair {
                chain: pem::certificates(chain)
                    .map_err(|reason| Error::config(names::CHAIN_PEM, reason))?,
                key: private.map_err(|reason| Error::config(names::KEY_PEM, reason))?,
                setting: names::KEY_PEM,
            })
        }
    }
}

/// A store that is not text.
#[cfg(feature = "keystores")]
fn binary(
    file: &StoreFile,
    format: StoreFormat,
    bytes: &[u8],
    key_password: Option<&Secret>,
) -> Result<KeyPair> {
    if format == StoreFormat::Jks {
        let reason = format!(
            "it is a JKS store, whose keys are not read: {}",
            store::convert(&file.path)
        );
        return Err(store::refuse(file, &reason));
    }
    let password = file.password.as_ref().or(key_password);
    let password = store::password(password, names::STORE_PASSWORD)?;
    let (chain, key) = super::keystore::pkcs12_key(bytes, password)
        .map_err(|reason| store::refuse(file, &reason))?;
    Ok(KeyPair {
        chain,
        key,
        setting: file.setting,
    })
}

#[cfg(not(feature = "keystores"))]
fn binary(file: &StoreFile, format: StoreFormat, _: &[u8], _: Option<&Secret>) -> Result<KeyPair> {
    Err(store::unsupported(file, format))
}

fn plain(key: Key, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    match (key, password) {
        (Key::Plain(key), _) => Ok(key),
        (Key::Encrypted(_), None) => {
            let setting = names::KEY_PASSWORD;
            Err(format!("the key is encrypted: set {setting}"))
        }
        (Key::Encrypted(der), Some(password)) => decrypt(&der, password),
    }
}

#[cfg(feature = "encrypted-keys")]
fn decrypt(der: &[u8], password: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    use rustls::pki_types::PrivatePkcs8KeyDer;

    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|error| format!("the encrypted key is damaged: {error}"))?;
    let decrypted = encrypted.decrypt(password.expose()).map_err(|error| {
        format!(
            "the key is not decrypted by {}: {error}",
            names::KEY_PASSWORD
        )
    })?;
    Ok(PrivatePkcs8KeyDer::from(decrypted.as_bytes().to_vec()).into())
}

#[cfg(not(feature = "encrypted-keys"))]
fn decrypt(_: &[u8], _: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    Err(
        "the key is encrypted: build ottla with its feature \"encrypted-keys\", or decrypt it by \"openssl pkcs8 -in OLD.pem \
         -out NEW.pem\""
            .into(),
    )
}
