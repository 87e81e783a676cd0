//! What the table says of one property: whose it is, and where its value goes.

use super::client::ClientOptions;
use super::consumer::ConsumerOptions;
use super::producer::ProducerOptions;
use crate::error::Result;

/// One property.
pub(super) struct Property {
    /// Kafka's name.
    pub(super) name: &'static str,
    /// The typed setter that does the same; none for what has but one value. Tests hold its doc to it.
    #[cfg(test)]
    pub(super) setter: Option<&'static str>,
    pub(super) scope: Scope,
}

pub(super) type Apply<T> = fn(&mut T, &str) -> Result<()>;

/// Whose a property is, and how its value gets there.
pub(super) enum Scope {
    Client(Apply<ClientOptions>),
    Producer(Apply<ProducerOptions>),
    Consumer(Apply<ConsumerOptions>),
    /// The producer's or consumer's own, by default the client's.
    All(
        Apply<ClientOptions>,
        Apply<ProducerOptions>,
        Apply<ConsumerOptions>,
    ),
}
