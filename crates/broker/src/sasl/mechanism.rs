//! The ways to log in, by their names.

use std::fmt;

/// How clients prove who they are (`sasl.mechanism`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// `PLAIN` (RFC 4616): name and password as they are.
    Plain,
    /// `SCRAM-SHA-256` (RFC 5802, RFC 7677): the password is proved, and not sent.
    ScramSha256,
    /// `SCRAM-SHA-512`: the same with the longer hash.
    ScramSha512,
}

impl SaslMechanism {
    /// All of them, in the order in which clients are told.
    pub const ALL: &'static [Self] = &[Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Kafka's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
