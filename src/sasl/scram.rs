//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither shows it.

mod credentials;
mod exchange;
mod hash;
mod message;

use std::fmt;
use std::sync::Arc;

use credentials::Credentials;
use exchange::ScramExchange;
pub use hash::ScramHash;

use super::error::MechanismError;
use super::mechanism::{Exchange, Mechanism};
use super::secret::{Secret, check_credentials};

/// Name and password, proven by challenge and answer (RFC 5802); the broker proves in turn that it knows them.
///
/// Kafka: `sasl.mechanism=SCRAM-SHA-256` or `SCRAM-SHA-512` with a `ScramLoginModule`.
#[derive(Clone)]
pub struct Scram(Arc<Credentials>);

impl Scram {
    /// Logs in as `username`.
    ///
    /// # Errors
    ///
    /// [`MechanismError`] where either is empty or has a NUL character.
    pub fn new(
        hash: ScramHash,
        username: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Result<Self, MechanismError> {
        Self::made(hash, username.into(), password.into(), false)
    }

    /// Logs in by a delegation token (KIP-48): its id, and its HMAC in base64.
    ///
    /// Kafka: `tokenauth="true"`.
    ///
    /// # Errors
    ///
    /// [`MechanismError`] where either is empty or has a NUL character.
    pub fn delegation_token(
        hash: ScramHash,
        id: impl Into<String>,
        hmac: impl Into<Secret>,
    ) -> Result<Self, MechanismError> {
        Self::made(hash, id.into(), hmac.into(), true)
    }

    fn made(
        hash: ScramHash,
        username: String,
        password: Secret,
        token: bool,
    ) -> Result<Self, MechanismError> {
        check_credentials(&username, &password)?;
        let credentials = Credentials::new(hash, username, password, token);
        Ok(Self(Arc::new(credentials)))
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram")
            .field("hash", &self.0.hash)
            .field("username", &self.0.username)
            .field("delegation_token", &self.0.token)
            .finish_non_exhaustive()
    }
}

impl Mechanism for Scram {
    fn name(&self) -> &str {
        self.0.hash.mechanism()
    }

    fn start(&self, _host: &str, _port: u16) -> Box<dyn Exchange> {
        Box::new(ScramExchange::new(self.0.clone()))
    }
}

/// The most that is worth computing; brokers refuse far fewer.
const MOST_ITERATIONS: u32 = message::MOST_ITERATIONS;
/// 256 bits.
const SALT: usize = 32;

/// A salt that no password had before.
pub(crate) fn new_salt() -> Result<Vec<u8>, MechanismError> {
    exchange::random::<SALT>().map(|bytes| bytes.to_vec())
}

/// The password as a server keeps it: salted, and hashed so often, away from the runtime's workers.
pub(crate) async fn salted_password(
    hash: ScramHash,
    password: Secret,
    salt: Vec<u8>,
    iterations: u32,
) -> Result<Secret, MechanismError> {
    if password.is_empty() {
        return Err(MechanismError::refused("the password is empty"));
    }
    if !(1..=MOST_ITERATIONS).contains(&iterations) {
        return Err(MechanismError::refused(format!(
            "{iterations} iterations are none from 1 to {MOST_ITERATIONS}"
        )));
    }
    tokio::task::spawn_blocking(move || hash.salted(&password, &salt, iterations))
        .await
        .map_err(|_| MechanismError::unavailable("the runtime ends"))
}
