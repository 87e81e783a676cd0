//! A pure-Rust, async [Apache Kafka](https://kafka.apache.org) client on tokio.
//!
//! This version sends and reads records, alone or in a group, and manages the cluster, on brokers from Kafka 2.5 to
//! 4.3, with or without encryption by TLS ([`tls`]) and a login by SASL ([`sasl`]). It produces in transactions, by both
//! protocols that brokers have.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::{Client, Record};
//!
//! # async fn example() -> ottla::Result<()> {
//! let client = Client::connect("localhost:9092,localhost:9102").await?;
//! let producer = client.producer().linger(Duration::from_millis(20)).build()?;
//!
//! // One record, and its place in the log.
//! let record = Record::to("payment-topic").key("42").value(r#"{"amount":100}"#);
//! let metadata = producer.send(record).await?;
//! println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());
//!
//! // Many at a time: each is handed over now, and acknowledged later.
//! let mut deliveries = Vec::new();
//! for number in 0..1000 {
//!     let value = format!("value {number}");
//!     deliveries.push(producer.enqueue(Record::to("events").value(&value)).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! producer.close(Duration::from_secs(10)).await?;
//!
//! // As a member of a group, which shares the topic's partitions among its members.
//! let mut consumer = client.consumer("group_1").subscribe(["events"]).build().await?;
//! while let Some(record) = consumer.recv().await? {
//!     println!("{}: {:?}", record.offset(), record.value());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! - [`Client`]: one cluster's connections and metadata. Cheap to clone; everything is made from it.
//! - [`Producer`]: sends [`Record`]s. Cheap to clone and made to be shared: all clones fill the same
//!   batches. [`send`](Producer::send) waits for the acknowledgement, [`enqueue`](Producer::enqueue)
//!   hands out a [`Delivery`] to await, [`try_enqueue`](Producer::try_enqueue) never waits and gives
//!   the record back instead.
//! - [`TransactionalProducer`]: begins one [`Transaction`] after the other, whose records, and a group's offsets, become
//!   visible to readers with `isolation.level=read_committed` all at once, or never.
//! - [`Consumer`]: hands out records, one by [`recv`](Consumer::recv) or many by [`poll`](Consumer::poll), of the
//!   partitions that its group gives it or that it was assigned. One task reads; a [`ConsumerHandle`] steers from any
//!   other: commits, seeks, pauses.
//! - [`Runner`](runner::Runner): calls a handler with each record, many at a time, with retries and dead letters.
//! - [`Admin`]: topics, settings, groups and their offsets, transactions, the cluster; access control, passwords, quotas and
//!   delegation tokens.
//!
//! Settings have typed setters, on [`ClientBuilder`], [`ProducerBuilder`] and [`ConsumerBuilder`], and Kafka's own names
//! (`linger.ms`), by `set` on either or all at once by [`Client::from_properties`]. An unknown name
//! is refused, with the one that was probably meant. A Java client's file does as it is: [`PropertiesFile`].
//!
//! # Keys and values
//!
//! Keys, values and headers are bytes. [`Record`]'s setters take what has one obvious form: bytes, text (UTF-8), `i64` and
//! `i32` (the bytes of Java's `LongSerializer` and `IntegerSerializer`), and with the feature `json` any serde type as
//! JSON. Null is said by leaving a part out, or by an `Option`: [`value_or_null`](Record::value_or_null). What is read is
//! decoded by [`FromData`], which types of your own can have too.
//!
//! # Delivery guarantees
//!
//! With the default settings (`acks=all`, `enable.idempotence=true`):
//!
//! - An acknowledged record is in the log once, at the offset reported, and the records of one
//!   partition are in the order in which they were accepted; through retries, moved leaders and
//!   restarted brokers.
//! - A record that could not be delivered fails with [`Error::Delivery`], after
//!   `delivery.timeout.ms` at the latest. [`Error::possibly_written`] says whether it may be in the
//!   log all the same, because an answer was never seen; `false` is a promise that it is not.
//! - A full buffer makes callers wait, in the order in which they came, for up to `max.block.ms`;
//!   then the call fails with [`Error::BufferFull`]. Memory does not grow beyond `buffer.memory`.
//! - [`flush`](Producer::flush) and [`close`](Producer::close) return when every record accepted
//!   before has been acknowledged or has failed, and tell how many failed since the last one ([`Flushed`]).
//!
//! The promise of one copy holds for one producer's lifetime: a program that sends a record again
//! after it was restarted writes a second one. With `enable.idempotence=false` a retry may write a
//! record twice or, with more than one request in flight, out of order; with `acks=0` nothing tells
//! of a lost record.
//!
//! A consumer, with its default settings:
//!
//! - What is committed by itself is what the application is done with: it has called [`recv`](Consumer::recv) or
//!   [`poll`](Consumer::poll) again since. A crash repeats records and skips none: handle a record so that doing it
//!   twice does no harm.
//! - In a rebalance, partitions that go are first finished with: nothing more of them is handed out, the application
//!   comes back for its next record, then the offsets are committed, the listener is told, and the group goes on.
//! - What was fetched before a seek, a pause or a revocation is never handed out after it.
//! - A handler that takes longer than `max.poll.interval.ms` loses its partitions, and is told so by
//!   [`Error::PollInterval`]; with its next call the member joins again.
//!
//! # Errors
//!
//! Every call returns [`Error`]. What to do about one is asked of it rather than matched:
//! [`is_retriable`](Error::is_retriable), [`is_fatal`](Error::is_fatal),
//! [`possibly_written`](Error::possibly_written), [`broker_code`](Error::broker_code). An error of
//! `enqueue` means that the record was not taken; one of a [`Delivery`], that it was and did not
//! arrive.
//!
//! ```no_run
//! # async fn example(producer: ottla::Producer, record: ottla::Record<'_>) {
//! match producer.send(record).await {
//!     Ok(metadata) => println!("at offset {:?}", metadata.offset()),
//!     Err(error) if error.possibly_written() => println!("perhaps in the log: {error}"),
//!     Err(error) if error.is_retriable() => println!("not in the log, worth another try: {error}"),
//!     Err(error) => println!("not in the log: {error}"),
//! }
//! # }
//! ```
//!
//! # Cancellation
//!
//! Any future of this library may be dropped at any point, as `select!` and timeouts do. A dropped
//! `enqueue` has handed over nothing; a dropped `send` has sent the record once or not at all; a
//! dropped [`Delivery`] does not call its record back; a dropped `recv` or `poll` has taken no record; a dropped
//! `flush` or `close` ends only the waiting. When the last clone of a producer is dropped, what it accepted is still delivered for
//! as long as the runtime lives: call [`close`](Producer::close) to wait for that.
//!
//! # Features
//!
//! - `json`: keys and values as JSON, by serde.
//! - `tls`, on by default: TLS in pure Rust on x86_64 and aarch64; `tls-ring` and `tls-aws-lc-rs` take another cryptography,
//!   which compiles C and runs on more processors. See [`tls`].
//! - `keystores`: keys and certificates in PKCS#12, and trust stores in Java's own format (JKS).
//! - `spill`: records that cannot be delivered are kept on disk and sent later. See `spill`.
//! - `encrypted-keys`: private keys that a password encrypts (PKCS#8).
//!
//! gzip, snappy, lz4 and zstd are always there, in pure Rust: the build needs no C
//! compiler. zstd has levels up to 4, and lz4 one speed whatever its level.

mod admin;
mod batch;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod bench;
mod client;
mod cluster;
mod config;
mod consumer;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod machine;
mod metrics;
mod net;
mod producer;
mod record;
pub mod runner;
pub mod sasl;
mod serdes;
#[cfg(feature = "spill")]
pub mod spill;
mod timer;
pub mod tls;
mod types;
mod wire;

pub use admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermission, ActiveProducer, Admin,
    BrokerDescription, ClientQuotas, ClusterDescription, ConfigChanges, ConfigEntry,
    ConfigResource, ConfigSource, CreatedTopic, DelegationToken, DeletedAcl, GroupDescription,
    GroupKind, GroupListing, GroupState, KafkaPrincipal, MemberDescription, NewDelegationToken,
    NewPartitions, NewTopic, OffsetSpec, PartitionDescription, PartitionLag, PartitionOffset,
    PatternType, QuotaChanges, QuotaEntity, QuotaFilter, ResourcePattern, ResourceType,
    ScramCredentialChange, ScramCredentialInfo, TopicDescription, TransactionDescription,
    TransactionFilter, TransactionListing, TransactionState, UserScramCredentials,
};
pub use client::Client;
pub use config::{
    Acks, Assignor, ClientBuilder, Compression, IsolationLevel, OffsetReset, PropertiesFile,
    SecurityProtocol,
};
pub use consumer::{
    Committable, Consumer, ConsumerBuilder, ConsumerHandle, ConsumerRecord, ListenerFuture,
    LostReason, PartitionRecords, RebalanceListener, RecordRef, RecordStream, Records, RecordsIter,
    TimestampType,
};
pub use error::{Error, ErrorCode, Result};
pub use metrics::{BrokerMetrics, ConsumerMetrics, Latency, ProducerMetrics};
pub use net::{Connecting, Connector, Endpoint, Resolving, TcpConnector, Transport};
pub use producer::{
    Delivery, Enqueue, Flushed, NotEnqueued, Partitioner, Producer, ProducerBuilder,
    RecordMetadata, Transaction, TransactionalProducer,
};
pub use record::{Data, Header, Record};
#[cfg(feature = "json")]
pub use serdes::Json;
pub use serdes::{FromData, RawData};
pub use types::{GroupMetadata, OffsetAndMetadata, TopicId, TopicPartition};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
