//! Settings: Kafka's property names and typed builders, checked before use.

mod client;
mod producer;
mod properties;
mod settings;
mod unknown;
mod value;

#[cfg(test)]
mod tests;

pub use client::ClientBuilder;
pub(crate) use producer::ProducerOptions;
#[cfg(test)]
pub(crate) use settings::Backoff;
pub use settings::{Acks, Compression};
pub(crate) use settings::{ClientSettings, PartitionerChoice, ProducerSettings};
