//! What SCRAM keeps of a password, and the hashes it is made by.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// As Kafka's own tools take it.
pub(super) const ITERATIONS: u32 = 4096;

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => keyed::<Hmac<Sha256>>(key, text),
            Self::Sha512 => keyed::<Hmac<Sha512>>(key, text),
        }
    }

    pub(super) fn salted(self, password: &[u8], salt: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut out = [0; 32];
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ITERATIONS, &mut out);
                out.to_vec()
            }
            Self::Sha512 => {
                let mut out = [0; 64];
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, ITERATIONS, &mut out);
                out.to_vec()
            }
        }
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key may have any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// What is kept of a password: enough to check a proof, and not to make one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Vec<u8>,
    pub(super) server_key: Vec<u8>,
}

impl Credential {
    pub(super) fn new(hash: Hash, name: &str, password: &str) -> Self {
        // No secret, only another one for each user and password.
        let salt = hash.digest(format!("{name}\0{password}").as_bytes());
        let salt = salt.get(..16).unwrap_or(&salt).to_vec();
        Self::salted(hash, password, salt)
    }

    pub(super) fn salted(hash: Hash, password: &str, salt: Vec<u8>) -> Self {
        let salted = hash.salted(password.as_bytes(), &salt);
        Self {
            stored_key: hash.digest(&hash.hmac(&salted, b"Client Key")),
            server_key: hash.hmac(&salted, b"Server Key"),
            salt,
        }
    }
}
