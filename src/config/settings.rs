//! Checked settings, as the rest of the library reads them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::producer::Partitioner;
use crate::sasl::Mechanism;
use crate::tls::Tls;
use crate::types::Address;

/// What concerns every connection and the cluster's metadata.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    /// `bootstrap.servers`, not yet resolved; at least one.
    pub(crate) bootstrap: Vec<Address>,
    /// `client.id`.
    pub(crate) client_id: Arc<str>,
    /// `request.timeout.ms`.
    pub(crate) request_timeout: Duration,
    /// `retry.backoff.ms`, `retry.backoff.max.ms`.
    pub(crate) retry_backoff: Backoff,
    /// `reconnect.backoff.ms`, `reconnect.backoff.max.ms`.
    pub(crate) reconnect_backoff: Backoff,
    /// `metadata.max.age.ms`.
    pub(crate) metadata_max_age: Duration,
    /// `connections.max.idle.ms`; `None` never closes an idle connection.
    pub(crate) connections_max_idle: Option<Duration>,
    /// `socket.connection.setup.timeout.ms`, one attempt's limit.
    pub(crate) connect_timeout: Duration,
    /// `send.buffer.bytes`; `None` leaves it to the operating system.
    pub(crate) send_buffer: Option<u32>,
    /// `receive.buffer.bytes`; `None` leaves it to the operating system.
    pub(crate) receive_buffer: Option<u32>,
    /// `metadata.recovery.strategy=rebootstrap` (KIP-899); false is `none`.
    pub(crate) rebootstrap: bool,
    /// `metadata.recovery.rebootstrap.trigger.ms` (KIP-1102).
    pub(crate) rebootstrap_trigger: Duration,
    /// `receive.message.max.bytes`, of any answer, before anything is allocated for it.
    pub(crate) max_response_bytes: usize,
    /// `sasl.mechanism` with its credentials; `None` on a listener that takes no login.
    pub(crate) login: Option<Arc<dyn Mechanism>>,
    /// `ssl.*`; `None` on a listener without TLS.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// What one producer does.
#[derive(Clone)]
pub(crate) struct ProducerSettings {
    /// `batch.size`, in bytes before compression.
    pub(crate) batch_size: usize,
    /// `linger.ms`.
    pub(crate) linger: Duration,
    /// `buffer.memory`, in bytes.
    pub(crate) buffer_memory: usize,
    /// `max.block.ms`.
    pub(crate) max_block: Duration,
    /// `acks`.
    pub(crate) acks: Acks,
    /// `enable.idempotence`.
    pub(crate) idempotence: bool,
    /// `retries`.
    pub(crate) retries: u32,
    /// `retry.backoff.ms`, `retry.backoff.max.ms`.
    pub(crate) retry_backoff: Backoff,
    /// `delivery.timeout.ms`.
    pub(crate) delivery_timeout: Duration,
    /// `request.timeout.ms`: the producer's own, by default the client's.
    pub(crate) request_timeout: Duration,
    /// `max.in.flight.requests.per.connection`, 1 to 5 with idempotence.
    pub(crate) max_in_flight: usize,
    /// `max.request.size`, in bytes.
    pub(crate) max_request_size: usize,
    /// `compression.type` with its level.
    pub(crate) compression: Compression,
    /// `partitioner.class`.
    pub(crate) partitioner: PartitionerChoice,
    /// `partitioner.ignore.keys` (KIP-794).
    pub(crate) ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable` (KIP-794).
    pub(crate) adaptive: bool,
    /// `metadata.max.idle.ms`.
    pub(crate) metadata_max_idle: Duration,
    /// `transactional.id`: none for a producer whose records are not sent in transactions.
    pub(crate) transactions: Option<TransactionSettings>,
}

/// What a transactional producer does.
#[derive(Clone, Debug)]
pub(crate) struct TransactionSettings {
    /// `transactional.id`.
    pub(crate) id: Arc<str>,
    /// `transaction.timeout.ms`.
    pub(crate) timeout: Duration,
}

/// What one consumer does.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerSettings {
    /// `fetch.min.bytes`.
    pub(crate) fetch_min_bytes: usize,
    /// `fetch.max.bytes`, one answer's.
    pub(crate) fetch_max_bytes: usize,
    /// `fetch.max.wait.ms`.
    pub(crate) fetch_max_wait: Duration,
    /// `max.partition.fetch.bytes`.
    pub(crate) partition_fetch_bytes: usize,
    /// `fetch.buffer.memory`: all that is fetched, or decompressed, and not yet handed out.
    pub(crate) buffer_memory: usize,
    /// `max.poll.records`.
    pub(crate) max_poll_records: usize,
    /// `auto.offset.reset`.
    pub(crate) offset_reset: OffsetReset,
    /// `isolation.level`.
    pub(crate) isolation: IsolationLevel,
    /// `check.crcs`.
    pub(crate) check_crcs: bool,
    /// `client.rack` (KIP-392).
    pub(crate) rack: Option<Arc<str>>,
    /// `allow.auto.create.topics`.
    pub(crate) auto_create_topics: bool,
    /// `fail.on.missing.topics`, ottla's own.
    pub(crate) fail_on_missing_topics: bool,
    /// `enable.auto.commit` with `auto.commit.interval.ms`.
    pub(crate) auto_commit: Option<Duration>,
    /// `group.instance.id` (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    /// `session.timeout.ms`.
    pub(crate) session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub(crate) heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub(crate) max_poll_interval: Duration,
    /// `partition.assignment.strategy`, the most wanted first.
    pub(crate) assignors: Vec<Assignor>,
    /// `default.api.timeout.ms`.
    pub(crate) api_timeout: Duration,
    /// `request.timeout.ms`: the consumer's own, by default the client's.
    pub(crate) request_timeout: Duration,
    /// `retry.backoff.ms`, `retry.backoff.max.ms`.
    pub(crate) retry_backoff: Backoff,
}

/// Where to read from when a partition has no committed offset, or one that is not in the log. Kafka:
/// `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OffsetReset {
    /// From the oldest record that the log has.
    Earliest,
    /// From the next record that is written. The default.
    #[default]
    Latest,
    /// Nowhere: [`Error::NoOffset`](crate::Error::NoOffset).
    None,
}

/// Which records of transactions are handed out. Kafka: `isolation.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// All, those of open and aborted transactions too. The default.
    #[default]
    ReadUncommitted,
    /// Those of committed transactions alone, and those without a transaction; none behind the first open one.
    ReadCommitted,
}

/// How a group's leader shares partitions out. Kafka: `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Assignor {
    /// Neighbouring partitions of each topic to each member. Kafka: `RangeAssignor`.
    Range,
    /// One partition after another to one member after another. Kafka: `RoundRobinAssignor`.
    RoundRobin,
    /// Balanced, with as few moves as possible. Kafka: `StickyAssignor`.
    Sticky,
    /// As `Sticky`, and what does not move is not interrupted (KIP-429). Kafka: `CooperativeStickyAssignor`.
    CooperativeSticky,
}

/// How many replicas must have a record before the broker acknowledges it. Kafka: `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Acks {
    /// None: no answer is awaited, offsets stay unknown, and a lost record goes unnoticed. Kafka: `0`.
    None,
    /// The partition's leader alone. A record is lost when the leader fails before it was copied. Kafka: `1`.
    Leader,
    /// All in-sync replicas, at least `min.insync.replicas` of them. Kafka: `all` or `-1`. The default.
    #[default]
    All,
}

/// How batches are compressed. Kafka: `compression.type` and `compression.{gzip,lz4,zstd}.level`.
///
/// Levels are the codec's own; `None` stands for its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all. The default.
    #[default]
    None,
    /// gzip, level 1 to 9.
    Gzip(Option<i32>),
    /// Snappy, which has no levels.
    Snappy,
    /// LZ4 in Kafka's frame format. Kafka's levels 1 to 17 are accepted; this library's encoder has one.
    Lz4(Option<i32>),
    /// Zstandard, level -7 to 4 in the default build.
    Zstd(Option<i32>),
}

/// Exponential delays with jitter: `base`, twice as long after each failure, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row (1 or more); `jitter` is from 0.0 to 1.0.
    pub(crate) fn delay(self, failures: u32, jitter: f64) -> Duration {
        let doubled = 2f64.powi(failures.saturating_sub(1).min(30) as i32);
        let limit = self.max.max(self.base).as_secs_f64();
        let delay = (self.base.as_secs_f64() * doubled).min(limit);
        // As in Java (KIP-580): 20 % to either side.
        Duration::from_secs_f64(delay * (0.8 + 0.4 * jitter))
    }
}

/// `partitioner.class`.
#[derive(Clone, Default)]
pub(crate) enum PartitionerChoice {
    /// murmur2 of the key, sticky without one.
    #[default]
    Default,
    /// Each partition in turn, keys ignored.
    RoundRobin,
    /// The application's.
    Custom(Arc<dyn Partitioner>),
}

impl fmt::Debug for PartitionerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::RoundRobin => "round_robin",
            Self::Custom(_) => "custom",
        })
    }
}
