//! Reads files of certificates, in whatever format they are.

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

#[cfg(feature = "keystores")]
use super::keystore;
use super::names;
use super::options::StoreFormat;
use super::pem;
use super::sources::{StoreFile, Trust};
use crate::error::{Error, Result};
#[cfg(feature = "keystores")]
use crate::sasl::Secret;

/// The certificates that are trusted.
pub(super) fn trusted(trust: &Trust) -> Result<Vec<CertificateDer<'static>>> {
    let file = match trust {
        Trust::Pem(text) => {
            let found = pem::certificates(text);
            return found.map_err(|reason| Error::config(names::TRUST_PEM, reason));
        }
        Trust::File(file) => file,
    };
    if file.path.is_dir() {
        return folder(file);
    }
    let bytes = read(&file.path, file.setting)?;
    match format(file, &bytes)? {
        StoreFormat::Pem => {
            refuse_password(file, names::TRUST_PASSWORD)?;
            let text = text(&bytes).map_err(|reason| refuse(file, &reason))?;
            pem::certificates(text).map_err(|reason| refuse(file, &reason))
        }
        #[cfg(feature = "keystores")]
        StoreFormat::Jks => keystore::jks_certificates(&bytes, file.password.as_ref())
            .map_err(|reason| refuse(file, &reason)),
        #[cfg(feature = "keystores")]
        StoreFormat::Pkcs12 => {
            let password = password(file.password.as_ref(), names::TRUST_PASSWORD)?;
            keystore::pkcs12_certificates(&bytes, password).map_err(|reason| refuse(file, &reason))
        }
        #[cfg(not(feature = "keystores"))]
        other => Err(unsupported(file, other)),
    }
}

/// Those of every PEM file in it.
fn folder(file: &StoreFile) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error: std::io::Error| refuse(file, &error.to_string());
    let mut found = Vec::new();
    for entry in fs::read_dir(&file.path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = read(&path, file.setting)?;
        let text = text(&bytes).unwrap_or_default();
        found.extend(pem::certificates(text).unwrap_or_default());
    }
    match found.is_empty() {
        true => Err(refuse(
            file,
            "no file in this folder has a certificate in PEM",
        )),
        false => Ok(found),
    }
}

/// The format of a file by its first bytes, which must be the one that it was said to have.
pub(super) fn format(file: &StoreFile, bytes: &[u8]) -> Result<StoreFormat> {
    let found = match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => StoreFormat::Jks,
        [0xce, 0xce, 0xce, 0xce, ..] => {
            return Err(refuse(
                file,
                &format!(
                    "it is a JCEKS store, which is not read: {}",
                    convert(&file.path)
                ),
            ));
        }
        // A DER sequence longer than 127 bytes.
        [0x30, 0x80..=0x84, ..] => StoreFormat::Pkcs12,
        _ => StoreFormat::Pem,
    };
    match file.format {
        // Java reads either under either name.
        Some(StoreFormat::Jks | StoreFormat::Pkcs12) if found != StoreFormat::Pem => Ok(found),
        Some(said) if said != found => Err(refuse(
            file,
            &format!(
                "it looks like {}, and is said to be {}",
                found.name(),
                said.name()
            ),
        )),
        _ => Ok(found),
    }
}

/// A PEM file has no password, though a key in it may.
pub(super) fn refuse_password(file: &StoreFile, setting: &str) -> Result<()> {
    match file.password {
        None => Ok(()),
        Some(_) => Err(Error::config(
            setting,
            format!(
                "{} is PEM, which has none: leave it out",
                file.path.display()
            ),
        )),
    }
}

/// What is to be done about a store that this build does not read.
#[cfg(not(feature = "keystores"))]
pub(super) fn unsupported(file: &StoreFile, format: StoreFormat) -> Error {
    let name = format.name();
    refuse(
        file,
        &format!(
            "it is a {name} store: build ottla with its feature \"keystores\", or convert it to PEM"
        ),
    )
}

/// The password without which nothing is read.
#[cfg(feature = "keystores")]
pub(super) fn password<'a>(password: Option<&'a Secret>, setting: &str) -> Result<&'a Secret> {
    password.ok_or_else(|| Error::config(setting, "not set, and a PKCS12 store needs it"))
}

/// Makes PKCS#12 of one of Java's own stores.
pub(super) fn convert(path: &Path) -> String {
    format!(
        "convert it by \"keytool -importkeystore -srckeystore {} -destkeystore NEW.p12 -deststoretype PKCS12\"",
        path.display()
    )
}

pub(super) fn read(path: &Path, setting: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = fs::read(path);
    bytes
        .map(Zeroizing::new)
        .map_err(|error| Error::config(setting, format!("{}: {error}", path.display())))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it is not text, as PEM is".to_owned())
}

pub(super) fn refuse(file: &StoreFile, reason: &str) -> Error {
    Error::config(file.setting, format!("{}: {reason}", file.path.display()))
}
