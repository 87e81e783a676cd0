//! Settings: Kafka's property names and typed builders, checked before use.

mod settings;

pub use settings::{Acks, Compression};
pub(crate) use settings::{Backoff, ClientSettings, PartitionerChoice, ProducerSettings};
