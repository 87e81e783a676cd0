//! Who logs in, and the key last derived from the password.

use std::sync::{Mutex, PoisonError};

use super::hash::ScramHash;
use crate::sasl::secret::Secret;

/// What every login of one client shares.
pub(super) struct Credentials {
    pub(super) hash: ScramHash,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) token: bool,
    /// The last key derived: brokers of one cluster share salt and iterations, so that one derivation serves all.
    derived: Mutex<Option<Derived>>,
}

struct Derived {
    salt: Vec<u8>,
    iterations: u32,
    key: Secret,
}

impl Credentials {
    pub(super) fn new(hash: ScramHash, username: String, password: Secret, token: bool) -> Self {
        Self {
            hash,
            username,
            password,
            token,
            derived: Mutex::new(None),
        }
    }

    pub(super) fn known(&self, salt: &[u8], iterations: u32) -> Option<Secret> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived
            .as_ref()
            .filter(|derived| derived.salt == salt && derived.iterations == iterations)
            .map(|derived| derived.key.clone())
    }

    pub(super) fn remember(&self, salt: &[u8], iterations: u32, key: Secret) {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        *derived = Some(Derived {
            salt: salt.to_vec(),
            iterations,
            key,
        });
    }
}
