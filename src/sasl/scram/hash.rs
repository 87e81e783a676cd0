//! The two hash functions, and what SCRAM does with them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use crate::sasl::secret::Secret;

/// SCRAM's hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScramHash {
    /// `SCRAM-SHA-256`.
    Sha256,
    /// `SCRAM-SHA-512`.
    Sha512,
}

impl ScramHash {
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// `Hi` of RFC 5802: the password made expensive to guess.
    pub(super) fn salted(self, password: &Secret, salt: &[u8], iterations: u32) -> Secret {
        match self {
            Self::Sha256 => {
                let mut key = vec![0; 32];
                pbkdf2::pbkdf2_hmac::<Sha256>(password.expose(), salt, iterations, &mut key);
                key.into()
            }
            Self::Sha512 => {
                let mut key = vec![0; 64];
                pbkdf2::pbkdf2_hmac::<Sha512>(password.expose(), salt, iterations, &mut key);
                key.into()
            }
        }
    }

    pub(super) fn hmac(self, key: &[u8], message: &[u8]) -> Secret {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, message),
        }
    }

    pub(super) fn digest(self, message: &[u8]) -> Secret {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec().into(),
            Self::Sha512 => Sha512::digest(message).to_vec().into(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Secret {
    // HMAC takes keys of any length; the type knows of others that do not.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Secret::default();
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec().into()
}
