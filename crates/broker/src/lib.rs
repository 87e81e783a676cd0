//! An embedded [Apache Kafka](https://kafka.apache.org) broker for tests and development.
//!
//! A [`Cluster`] is one or more brokers in this process. Clients of any make connect to them over loopback TCP, as they
//! would to Kafka; the test that holds the cluster looks into it and breaks it on purpose. It is ready in less than a
//! millisecond, takes a few megabytes, and is gone when it is dropped; [`Cluster::close`] waits until its ports are free.
//!
//! ```
//! use std::time::Duration;
//!
//! use ottla::{Client, Record};
//! use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder().nodes(3).replication_factor(3).topic("payments", 6).start().await?;
//! let client = Client::connect(cluster.bootstrap_servers()).await?;
//! let producer = client.producer().build()?;
//!
//! // The service under test sends a payment, while its leader is overloaded and then dies.
//! let fault = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce).topic("payments");
//! let fault = cluster.faults().add(fault);
//! producer.send(Record::to("payments").partition(0).key("42").value("100 EUR")).await?;
//! cluster.node(cluster.leader("payments", 0).ok_or("no leader")?).crash().await;
//! producer.send(Record::to("payments").partition(0).key("42").value("-100 EUR")).await?;
//!
//! // Both payments are in the log, once and in order, and the fault did happen.
//! let log = cluster.log("payments", 0);
//! let values: Vec<_> = log.iter().filter_map(|record| record.value.as_deref()).collect();
//! assert_eq!(values, [&b"100 EUR"[..], b"-100 EUR"]);
//! assert_eq!(cluster.faults().hits(fault), 1);
//! producer.close(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! As a program, it is a development Kafka for clients in any language:
//!
//! ```text
//! cargo run -p ottla-broker -- --port 9092 --nodes 3 --topic payments:6
//! ```
//!
//! In a container it listens on all addresses, and names the host by which its clients find it:
//! `--bind 0.0.0.0 --advertised-host kafka`.
//!
//! # What it does as Kafka does
//!
//! - Topics, partitions and their settings; topics are made when they are first used, unless that is
//!   [switched off](Builder::auto_create_topics).
//! - Produce, checked as Kafka checks it, also within batches of all four codecs: whole records, their timestamps, and a
//!   key for each in a compacted topic. Idempotence: duplicates among a producer's last five
//!   batches are answered with their first offset, gaps and old epochs are refused.
//! - Fetch with long poll and sessions (KIP-227); offsets by time; leader epochs.
//! - Transactions by both protocols (KIP-98, KIP-890; [`Builder::transaction_version`] chooses), with markers that take
//!   [as long as they should](Builder::transaction_marker_delay), fencing, timeouts, offsets of groups, and readers that see
//!   only what is committed.
//! - Consumer groups of the classic protocol, with static members, and their offsets.
//! - Retention by bytes and by time, of whole segments and at intervals, and DeleteRecords.
//! - All of a topic's settings are taken, checked and told. Those that decide what is stored and for how long are acted
//!   on; what has to do with files, recompression or real replication is kept as a label.
//! - Logins by PLAIN and SCRAM, sessions that end and are renewed (KIP-368), and a list of who may do what:
//!   [`Builder::user`], [`Builder::session_lifetime`], [`Builder::allow`].
//! - The versions of each call that Kafka 4 speaks: see [`ApiKey`]. Tried with Java's tools, librdkafka, krafka, rskafka
//!   and ottla.
//!
//! # What it does not
//!
//! - Nothing is written to disk: a cluster's records live as long as it does. [`Node::crash`] loses none, because all
//!   nodes share them; replication only says who may lead.
//! - No compaction (`cleanup.policy=compact` is a label), no TLS, no quotas, and none of the
//!   newer group protocols (KIP-848, share groups). Transactional ids never expire.
//! - A new leader is elected at once, where Kafka takes seconds to notice a death; [`Node::freeze`] is a death that
//!   nobody notices.
//!
//! # Faults
//!
//! [`Cluster::faults`] takes [`Fault`]s: answer the next, every n-th or every matching request with an error, late, not
//! at all, or by half. [`Cluster::node`] crashes, freezes and restarts nodes and refuses connections,
//! [`Cluster::move_leader`] and [`Cluster::move_coordinator`] do what their names say.
//!
//! Logins fail as other requests do: a fault [on](Fault::on) `SaslHandshake` or `SaslAuthenticate` refuses or delays them,
//! [`Cluster::set_user`] and [`Cluster::remove_user`] change who is let in, [`Cluster::expire_sessions`] ends what was
//! begun, [`Cluster::allow`] and [`Cluster::revoke`] change what may be done.
//!
//! # Time
//!
//! The cluster reads tokio's clock. In a test with a paused one (`#[tokio::test(start_paused = true)]`), session
//! timeouts, long polls and retention take no time; use [`Builder::start_in_memory`] and [`Cluster::connect`] there,
//! since a socket cannot tell a paused clock to wait for it.
//!
//! # Limits
//!
//! What a request says of lengths and counts is never believed beyond the bytes that are there. Requests have at most
//! 200,000 elements and, but for Produce, 16 MiB; answers have at most 32 MiB beside their records; a cluster takes at
//! most 100,000 partitions and 100,000 groups of 10,000 members. What clients may store is theirs to store: [`Builder::retention_bytes`] bounds it.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod about;
mod acl;
mod api;
mod builder;
mod cluster;
mod error;
mod faults;
mod forced;
mod inspect;
mod io;
mod listeners;
mod node;
mod plan;
mod rules;
mod sasl;
mod seen;
mod settings;
mod state;
mod wire;

pub use acl::{Acl, AclOperation};
pub use builder::Builder;
pub use cluster::{Cluster, Faults};
pub use error::Error;
pub use faults::{Fault, FaultId};
pub use inspect::{GroupView, LogRecord, MemberView, TransactionView};
pub use listeners::Listener;
pub use node::Node;
pub use sasl::SaslMechanism;
pub use seen::RequestSeen;
pub use wire::{ApiKey, ErrorCode};
