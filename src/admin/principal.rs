//! Who somebody is for a broker.

use std::fmt;
use std::sync::Arc;

use crate::wire::Principal;

/// Who somebody is for a broker, once logged in. Kafka: `KafkaPrincipal`.
///
/// Shown, and as text for [`AclBinding`](crate::AclBinding), it is `User:alice`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct KafkaPrincipal {
    /// What it is; brokers themselves know `User` alone.
    pub kind: Arc<str>,
    /// Its name: of a login, or of a certificate (`ssl.principal.mapping.rules`).
    pub name: Arc<str>,
}

impl KafkaPrincipal {
    /// A user of this name.
    pub fn user(name: impl Into<Arc<str>>) -> Self {
        Self::new("User", name)
    }

    /// One of another kind, which a principal builder of the brokers (`principal.builder.class`) may have made.
    pub fn new(kind: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
        }
    }

    pub(super) fn wire(self) -> Principal {
        (self.kind, self.name)
    }

    pub(super) fn of((kind, name): Principal) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for KafkaPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl From<KafkaPrincipal> for Arc<str> {
    fn from(principal: KafkaPrincipal) -> Self {
        principal.to_string().into()
    }
}
