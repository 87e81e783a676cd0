//! What can go wrong while driving a cluster.

use std::{fmt, io, time::Duration};

/// Why a cluster, a tool or a Java client did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Java or Maven is missing; the text says what to install.
    Missing(String),
    /// The request makes no sense, such as node 4 of 3.
    Invalid(String),
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A process ended that should not have, or ended badly.
    Failed {
        /// Which process, and how it ended.
        what: String,
        /// The end of its output.
        output: String,
    },
    /// A condition did not come true in time.
    Timeout {
        /// The condition that was waited for.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Java's client reported an error.
    Java(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(text) | Self::Invalid(text) | Self::Java(text) => f.write_str(text),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Failed { what, output } if output.trim().is_empty() => f.write_str(what),
            Self::Failed { what, output } => {
                write!(f, "{what}; its output ends with:\n{}", output.trim_end())
            }
            Self::Timeout { what, limit } => write!(f, "{what} did not happen within {limit:?}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Names what was being done when an [`io::Error`] came up.
pub(crate) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            doing: doing(),
            source: source.into(),
        })
    }
}
