//! A pure-Rust Apache Kafka client.

mod batch;
mod config;
mod error;
mod producer;
mod record;
mod types;
mod wire;

pub use config::{Acks, Compression};
pub use error::{Error, ErrorCode, Result};
pub use producer::Partitioner;
pub use record::{Data, Header, Record};
pub use types::{TopicId, TopicPartition};
