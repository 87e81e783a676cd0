//! Reads stores that are not text: PKCS#12, and Java's own where they hold certificates.

use p12_keystore::{KeyStore, Pkcs12Archive, Pkcs12ImportPolicy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::jks;
use crate::sasl::Secret;

type Certificates = Vec<CertificateDer<'static>>;

/// The certificates that a PKCS#12 trust store holds: those that Java has marked, else all.
pub(super) fn pkcs12_certificates(bytes: &[u8], password: &Secret) -> Result<Certificates, String> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, words(password)?).map_err(unreadable)?;
    let is_marked = archive.certs.iter().any(|bag| bag.trusted);
    let bags = archive.certs.iter().filter(|bag| bag.trusted || !is_marked);
    let found: Certificates = bags
        .map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()))
        .collect();
    match found.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(found),
    }
}

/// The key of a PKCS#12 key store, with its certificates.
pub(super) fn pkcs12_key(
    bytes: &[u8],
    password: &Secret,
) -> Result<(Certificates, PrivateKeyDer<'static>), String> {
    let policy = Pkcs12ImportPolicy::Strict;
    let store = KeyStore::from_pkcs12(bytes, words(password)?, policy).map_err(unreadable)?;
    let (_, entry) = store
        .private_key_chain()
        .ok_or("there is no private key with a certificate in it")?;
    let chain = entry.certs().iter();
    let chain = chain.map(|certificate| CertificateDer::from(certificate.as_der().to_vec()));
    let key = PrivatePkcs8KeyDer::from(entry.key().as_der().to_vec());
    Ok((chain.collect(), key.into()))
}

/// The certificates that one of Java's own stores holds, whose digest a password checks.
pub(super) fn jks_certificates(
    bytes: &[u8],
    password: Option<&Secret>,
) -> Result<Certificates, String> {
    const SALT: &[u8] = b"Mighty Aphrodite";
    let (content, digest) = bytes
        .split_last_chunk::<20>()
        .ok_or("the store is cut off")?;
    if let Some(password) = password {
        let mut hash = Sha1::new();
        for unit in words(password)?.encode_utf16() {
            hash.update(unit.to_be_bytes());
        }
        hash.update(SALT);
        hash.update(content);
        if !bool::from(hash.finalize().ct_eq(digest)) {
            return Err("the password is wrong, or the store is damaged".into());
        }
    }
    let found = jks::certificates(content)?;
    match found.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(found),
    }
}

fn words(password: &Secret) -> Result<&str, String> {
    std::str::from_utf8(password.expose()).map_err(|_| "the password is not text".into())
}

fn unreadable(error: p12_keystore::error::Error) -> String {
    format!("the store is not read: {error}; is the password right?")
}
