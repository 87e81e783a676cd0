//! What each node listens by, and what it asks of who comes.

/// A listener of every node: a port, under a name, and what it asks of clients. Kafka: `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub(crate) name: String,
    pub(crate) login: bool,
}

impl Listener {
    /// One that asks for no login (`security.protocol=PLAINTEXT`).
    #[must_use]
    pub fn plaintext(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            login: false,
        }
    }

    /// One that asks for a login first (`security.protocol=SASL_PLAINTEXT`).
    #[must_use]
    pub fn sasl_plaintext(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            login: true,
        }
    }
}
