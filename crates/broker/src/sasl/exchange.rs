//! A login under way, whichever mechanism it is.

use super::credential::Hash;
use super::mechanism::SaslMechanism;
use super::plain;
use super::reply::{Refused, Reply};
use super::scram::Scram;
use super::users::Users;

/// A login under way.
#[derive(Debug)]
pub(crate) enum Exchange {
    Plain,
    Scram(Box<Scram>),
}

impl Exchange {
    pub(crate) fn new(mechanism: SaslMechanism) -> Self {
        match mechanism {
            SaslMechanism::Plain => Self::Plain,
            SaslMechanism::ScramSha256 => Self::Scram(Box::new(Scram::new(Hash::Sha256))),
            SaslMechanism::ScramSha512 => Self::Scram(Box::new(Scram::new(Hash::Sha512))),
        }
    }

    /// Takes the client's next message; `nonce` is random, and of printable letters.
    pub(crate) fn step(
        &mut self,
        message: &[u8],
        users: &Users,
        nonce: &str,
    ) -> Result<Reply, Refused> {
        match self {
            Self::Plain => plain::check(message, users),
            Self::Scram(scram) => scram.step(message, users, nonce),
        }
    }
}
