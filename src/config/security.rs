//! What a listener asks of its clients, by Kafka's names: encryption, a login, and by which mechanism.

use crate::sasl::{Module, ScramHash};

/// What the brokers' listener speaks. Kafka: `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityProtocol {
    /// Neither encryption nor a login.
    #[default]
    Plaintext,
    /// A login over an open connection: for networks that nobody else listens on.
    SaslPlaintext,
    /// Encryption by TLS; who the client is, its certificate says, if anything.
    Ssl,
    /// A login over a connection that TLS encrypts.
    SaslSsl,
}

impl SecurityProtocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    pub(super) fn has_login(self) -> bool {
        match self {
            Self::Plaintext | Self::Ssl => false,
            Self::SaslPlaintext | Self::SaslSsl => true,
        }
    }

    pub(super) fn has_tls(self) -> bool {
        self == self.with_tls()
    }

    /// The same with encryption.
    pub(super) fn with_tls(self) -> Self {
        match self {
            Self::Plaintext | Self::Ssl => Self::Ssl,
            Self::SaslPlaintext | Self::SaslSsl => Self::SaslSsl,
        }
    }

    /// The same with a login.
    pub(super) fn with_login(self) -> Self {
        match self {
            Self::Plaintext | Self::SaslPlaintext => Self::SaslPlaintext,
            Self::Ssl | Self::SaslSsl => Self::SaslSsl,
        }
    }
}

/// The mechanisms that Kafka's names can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MechanismName {
    Plain,
    Scram(ScramHash),
    OAuthBearer,
}

impl MechanismName {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(hash) => hash.mechanism(),
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// The login module of Java that goes with it.
    pub(super) fn module(self) -> Module {
        match self {
            Self::Plain => Module::Plain,
            Self::Scram(_) => Module::Scram,
            Self::OAuthBearer => Module::OAuthBearer,
        }
    }
}
