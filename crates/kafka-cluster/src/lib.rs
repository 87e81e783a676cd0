//! Real Apache Kafka processes for Rust tests: start, stop, kill, pause, and ask them what they
//! hold.
//!
//! ```no_run
//! use kafka_cluster::{Cluster, Version};
//!
//! # fn main() -> Result<(), kafka_cluster::Error> {
//! let cluster = Cluster::builder().version(Version::V4_3_0).nodes(3).start()?;
//! cluster.create_topic("events", 6, 3, &[("min.insync.replicas", "2")])?;
//! let leader = cluster.leader_of("events", 0)?;
//! cluster.kill(leader)?;
//! // ... the client under test works on ...
//! cluster.start(leader)?;
//! for record in cluster.consume_all("events")? {
//!     println!("{} {}", record.partition, record.offset);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here uses a Rust Kafka client: topics are made and read by Java's own clients, so what
//! they report is an independent check. Every process ends when the [`Cluster`] is dropped, and
//! also when the test process is killed.

#![forbid(unsafe_code)]

mod admin;
mod builder;
#[cfg(feature = "certificates")]
pub mod certificates;
mod cluster;
mod config;
mod error;
mod helper;
mod jars;
mod ports;
mod probe;
mod process;
mod producer;
mod server;
#[cfg(feature = "suite")]
pub mod suite;
mod tools;
mod version;

pub use builder::Builder;
pub use cluster::Cluster;
pub use error::Error;
pub use helper::{ConsumedRecord, Header, PartitionOffsets, TimestampType};
pub use jars::available;
pub use producer::{JavaProducer, ProducedRecord};
pub use server::Server;
pub use tools::{RunningTool, tool_command};
pub use version::Version;
