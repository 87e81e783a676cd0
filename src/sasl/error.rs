//! Why a mechanism could not go on with a login.

use std::fmt;
use std::sync::Arc;

/// Why a [`Mechanism`](super::Mechanism) could not go on with a login.
///
/// Its text reaches the application and the logs: it must hold no secret.
#[derive(Clone, Debug)]
pub struct MechanismError {
    reason: Arc<str>,
    refused: bool,
}

impl MechanismError {
    /// The login cannot succeed as things are: wrong credentials, a server that cannot be trusted.
    pub fn refused(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            refused: true,
        }
    }

    /// Something that may pass kept the login from going on: a token server that does not answer.
    pub fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            refused: false,
        }
    }

    /// Whether trying again with the same settings is of no use.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// What went wrong.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for MechanismError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for MechanismError {}
