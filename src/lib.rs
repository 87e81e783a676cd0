//! A pure-Rust Apache Kafka client.

mod admin;
mod batch;
mod client;
mod cluster;
mod config;
mod error;
mod machine;
mod metrics;
mod net;
mod producer;
mod record;
mod types;
mod wire;

pub use admin::{Admin, CreatedTopic, NewTopic, PartitionDescription, TopicDescription};
pub use client::Client;
pub use config::{Acks, ClientBuilder, Compression};
pub use error::{Error, ErrorCode, Result};
pub use metrics::{BrokerMetrics, Latency, ProducerMetrics};
pub use producer::{
    Delivery, NotEnqueued, Partitioner, Producer, ProducerBuilder, RecordMetadata,
};
pub use record::{Data, Header, Record};
pub use types::{TopicId, TopicPartition};
