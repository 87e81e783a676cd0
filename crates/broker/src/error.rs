//! Why a cluster could not do what it was asked.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a cluster could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A port could not be listened on.
    Listen {
        /// Where; port 0 is any free one.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A setting or an argument makes no sense; the text names it.
    Invalid(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } if address.port() == 0 => {
                write!(f, "cannot listen on any port of {}: {source}", address.ip())
            }
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")
            }
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Invalid(_) => None,
        }
    }
}
