//! Settings: Kafka's property names and typed builders, checked before use.

mod builder;
mod client;
mod consumer;
mod java;
mod login;
mod producer;
mod properties;
mod properties_file;
mod property;
mod security;
mod settings;
mod table;
mod tls;
mod unknown;
mod value;

#[cfg(test)]
mod tests;

pub use builder::ClientBuilder;
pub(crate) use consumer::ConsumerOptions;
pub(crate) use producer::ProducerOptions;
pub use properties_file::PropertiesFile;
pub use security::SecurityProtocol;
pub(crate) use settings::Backoff;
#[allow(unused_imports)]
pub(crate) use settings::ConsumerSettings;
pub use settings::{Acks, Assignor, Compression, IsolationLevel, OffsetReset};
pub(crate) use settings::{
    ClientSettings, PartitionerChoice, ProducerSettings, TransactionSettings,
};
