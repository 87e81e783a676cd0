//! The one error type, and what can be asked of it.

mod code;
mod meaning;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use code::ErrorCode;

use crate::serdes::RawData;
use crate::types::{LostReason, TopicPartition};

/// What this library's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, and what to do about it.
///
/// Ask [`is_retriable`](Self::is_retriable), [`is_fatal`](Self::is_fatal) and
/// [`possibly_written`](Self::possibly_written) rather than matching every variant. Errors are cheap
/// to clone: the records of one batch share theirs.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is unknown, does not parse, is out of bounds, or conflicts with another one.
    #[error("setting \"{setting}\": {reason}")]
    Config {
        /// The setting, by its Kafka name.
        setting: Arc<str>,
        /// What is wrong with it, and what would be right.
        reason: Arc<str>,
    },

    /// No setting has this name.
    #[error("unknown setting {name:?}: {hint}")]
    UnknownSetting {
        /// The name as it was given.
        name: Arc<str>,
        /// The name that was probably meant, where one is close enough.
        hint: Arc<str>,
    },

    /// No connection could be made to a server.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The server, `host:port`.
        address: Arc<str>,
        /// What the operating system said.
        source: Arc<io::Error>,
    },

    /// None of the `bootstrap.servers` could be used.
    #[error("none of the bootstrap servers answered: {attempts}")]
    Bootstrap {
        /// Each server with its own error.
        attempts: Arc<str>,
    },

    /// What listens at the address does not speak Kafka's protocol (or wants TLS).
    #[error("{address} is not a plaintext Kafka listener: {found}")]
    NotKafka {
        /// The server, `host:port`.
        address: Arc<str>,
        /// What it looks like, and what to check.
        found: Arc<str>,
    },

    /// A broker did not take the client's login, or could not be trusted in it.
    #[error("login to {address} by {mechanism} failed: {reason}")]
    Authentication {
        /// The server, `host:port`.
        address: Arc<str>,
        /// The mechanism, by its registered name. Kafka: `sasl.mechanism`.
        mechanism: Arc<str>,
        /// What was refused and by whom, and what to check; never a secret.
        reason: Arc<str>,
        /// Whether the same login will be refused again; `false` where a token server did not answer.
        refused: bool,
    },

    /// A broker is not trusted, does not trust this client, or does not speak TLS.
    #[error("TLS with {address} failed: {reason}")]
    Tls {
        /// The server, `host:port`.
        address: Arc<str>,
        /// What was wrong with whom, and what to check.
        reason: Arc<str>,
        /// Whether the same attempt will be refused again: a verdict on a certificate, or a server that said no; `false`
        /// where the handshake merely did not end, as when a broker restarts.
        refused: bool,
    },

    /// A connection ended while a request was on the way; whether the broker acted on it is unknown.
    #[error("connection to {address} lost: {reason}")]
    Disconnected {
        /// The server, `host:port`.
        address: Arc<str>,
        /// How it ended.
        reason: Arc<str>,
    },

    /// A broker sent bytes that are not valid Kafka protocol; the connection was closed.
    #[error("malformed answer from {address}: {reason}")]
    Protocol {
        /// The server, `host:port`, or where else the bytes came from.
        address: Arc<str>,
        /// What was wrong with them.
        reason: Arc<str>,
    },

    /// A broker's answer is larger than `receive.message.max.bytes`; its connection was closed.
    #[error(
        "an answer of {size} bytes from {address} is larger than receive.message.max.bytes = {limit}: raise it, or ask \
         for less"
    )]
    AnswerTooLarge {
        /// The server, `host:port`.
        address: Arc<str>,
        /// The answer's size.
        size: usize,
        /// The limit.
        limit: usize,
    },

    /// A broker did not answer within `request.timeout.ms`; its connection was closed.
    #[error("{request} to {address} was not answered within {timeout:?}")]
    RequestTimeout {
        /// The server, `host:port`.
        address: Arc<str>,
        /// The request's name.
        request: &'static str,
        /// The limit that passed.
        timeout: Duration,
    },

    /// The broker is too old (or too new) for what was asked.
    #[error("{feature} is not supported by {address}: {reason}")]
    Unsupported {
        /// What was asked.
        feature: &'static str,
        /// The server, `host:port`.
        address: Arc<str>,
        /// Which versions each side speaks.
        reason: Arc<str>,
    },

    /// A broker refused a request.
    #[error("{context}: {code}{}{}", suffix(.message.as_deref()), advised(.advice.as_deref()))]
    Broker {
        /// Kafka's error code.
        code: ErrorCode,
        /// The broker's own words, where it gave any.
        message: Option<Arc<str>>,
        /// What was asked of it.
        context: Arc<str>,
        /// What to change so that it is not refused, with the setting and the limit where they are known.
        advice: Option<Arc<str>>,
    },

    /// The topic, or the partition, was not in the cluster's metadata: of a producer within `max.block.ms`, of a consumer
    /// with `fail.on.missing.topics` for five seconds.
    #[error(
        "{what} is not in the cluster's metadata after {:?}: create it, or check its name and your rights{}",
        rounded(waited),
        last_said(last.as_deref())
    )]
    UnknownTopic {
        /// The topic, or the partition.
        what: Arc<str>,
        /// How long the call waited.
        waited: Duration,
        /// What the metadata said of it last, or why there was none; `None` where nothing was asked.
        last: Option<Arc<Error>>,
    },

    /// A topic's name is empty, too long, or has characters that Kafka does not allow.
    #[error(
        "invalid topic name {name:?}: use 1 to 249 of A-Z a-z 0-9 . _ - (and neither \".\" nor \"..\")"
    )]
    InvalidTopic {
        /// The name.
        name: Arc<str>,
    },

    /// A record is larger than a limit; nothing of it was kept.
    #[error("record of {size} bytes is larger than {setting} = {limit}")]
    RecordTooLarge {
        /// The record's size as it would be sent, uncompressed.
        size: usize,
        /// The limit.
        limit: usize,
        /// Which limit, by its Kafka name.
        setting: &'static str,
    },

    /// `buffer.memory` was used up for as long as `max.block.ms` (or now, for `try_enqueue`).
    #[error(
        "no room in buffer.memory = {limit} bytes for a record of {size} bytes within {:?}: \
         the brokers take records more slowly than they are sent",
        rounded(waited)
    )]
    BufferFull {
        /// The record's size.
        size: usize,
        /// `buffer.memory`.
        limit: usize,
        /// How long the call waited.
        waited: Duration,
    },

    /// A record that had been accepted could not be delivered.
    #[error(
        "record not delivered to {target} ({}; {attempts} attempts): {cause}",
        if *.possibly_written { "it may be in the log all the same" } else { "it is not in the log" }
    )]
    Delivery {
        /// Where it should have gone.
        target: TopicPartition,
        /// Whether the record may be in the log all the same: an answer was never seen.
        possibly_written: bool,
        /// How often the record's batch was sent.
        attempts: u32,
        /// The error that ended it: of the last attempt, or [`Error::DeliveryTimeout`].
        cause: Arc<Error>,
    },

    /// `delivery.timeout.ms` passed before the record's outcome was known.
    #[error("delivery.timeout.ms = {timeout:?} passed{}", last.as_ref().map(|e| format!("; last error: {e}")).unwrap_or_default())]
    DeliveryTimeout {
        /// The limit.
        timeout: Duration,
        /// The last attempt's error, where there was an attempt.
        last: Option<Arc<Error>>,
    },

    /// More than `max.poll.interval.ms` passed between two calls of `recv` or `poll`, or in a callback of the listener:
    /// the consumer has left its group, and its partitions are lost; the next call joins again.
    #[error(
        "max.poll.interval.ms = {limit:?} passed without a call of recv or poll, or in the listener: the member left its \
         group and lost its partitions; handle records faster, take fewer at a time, or raise max.poll.interval.ms"
    )]
    PollInterval {
        /// The limit.
        limit: Duration,
    },

    /// The group took these partitions from this member without notice; told to consumers without a
    /// [`RebalanceListener`](crate::RebalanceListener), whose `lost` is told otherwise. None of their records is handed
    /// out any more, another member may have read them again from the last committed offset, and the member joins its
    /// group anew by itself.
    #[error(
        "lost {}: {reason}; what was not committed is read again by whoever has them next",
        listed(partitions)
    )]
    PartitionsLost {
        /// The partitions.
        partitions: Arc<[TopicPartition]>,
        /// Why.
        reason: LostReason,
    },

    /// A partition has no offset to go on from, and `auto.offset.reset` is `none`: seek, or commit one.
    #[error("no offset to read {partition} from: {reason}; seek, or set auto.offset.reset")]
    NoOffset {
        /// The partition.
        partition: TopicPartition,
        /// Why there is none.
        reason: Arc<str>,
    },

    /// Records that were read already are no longer in the log (an unclean leader election, KIP-320), and
    /// `auto.offset.reset` is `none`.
    #[error(
        "the log of {partition} was cut off at offset {end}, and {position} was to be read next: seek to go on"
    )]
    LogTruncated {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was to be read next.
        position: i64,
        /// Where the log that both sides have in common ends.
        end: i64,
    },

    /// Fetched bytes are damaged. The position stays, so that the next call fetches them again; to skip them, seek
    /// to `next_offset`.
    #[error(
        "damaged records in {partition} at offset {offset}: {reason}; seek to {next_offset} to skip them"
    )]
    Corrupt {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that cannot be read.
        offset: i64,
        /// The first offset behind the damage, as far as can be told.
        next_offset: i64,
        /// What is wrong.
        reason: Arc<str>,
    },

    /// A record, or what must be in memory to read it, is larger than a limit of this consumer. Nothing is wrong with it:
    /// the position stays, and a consumer with a higher limit reads it. To skip it, seek to `next_offset`.
    #[error(
        "{partition} cannot be read at offset {offset}: that takes {size} bytes, more than {setting} = {limit}: raise \
         {setting}, or seek to {next_offset} to skip what is too large"
    )]
    TooLargeToRead {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that cannot be read.
        offset: i64,
        /// The first offset behind what is too large, as far as can be told.
        next_offset: i64,
        /// The bytes that are needed at once.
        size: usize,
        /// Which limit, by its name.
        setting: &'static str,
        /// The limit.
        limit: usize,
    },

    /// The partition is not assigned to this consumer (any more).
    #[error("{partition} is not assigned to this consumer")]
    NotAssigned {
        /// The partition.
        partition: TopicPartition,
    },

    /// The topic that the record was read from was deleted, and one of the same name made anew: the record's offset
    /// means nothing there, and was not committed.
    #[error(
        "{partition}: the topic was deleted and made anew since the record was read; its offset is not committed for the \
         new topic"
    )]
    TopicRecreated {
        /// The partition, of either topic.
        partition: TopicPartition,
    },

    /// Offsets were not committed.
    #[error(
        "offsets not committed: {cause}{}",
        if *.rejoining { "; the group is rebalancing: call poll or recv, then commit again" } else { "" }
    )]
    Commit {
        /// Whether the member keeps its partitions and may commit again after the next `recv` or `poll`; otherwise
        /// its partitions may belong to another member by now.
        rejoining: bool,
        /// The broker's refusal, or why there was no answer.
        cause: Arc<Error>,
    },

    /// A record's key, value or header is not what it was to be decoded as; the consumer goes on after it.
    #[error("{part} of {partition} at offset {offset} cannot be decoded: {reason}")]
    Decode {
        /// Where the record is from.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
        /// `key`, `value` or `header`.
        part: &'static str,
        /// The bytes that were to be decoded; `None` for null.
        raw: Option<RawData>,
        /// What is wrong with them.
        reason: Arc<str>,
    },

    /// A key or value has no form in the format that it was to be sent in.
    #[error("cannot be encoded as {format}: {reason}")]
    Encode {
        /// The format: `JSON`.
        format: &'static str,
        /// What has no form in it.
        reason: Arc<str>,
    },

    /// A runner's handler failed with a record for good, and there is no dead-letter topic for it, or the application had the
    /// runner stop: the record is unfinished, and whoever reads on begins with it.
    #[error(
        "the handler of {partition} failed at offset {offset} ({attempts} attempts): {reason}; give the runner a \
         dead-letter topic, or skip the record by on_failure"
    )]
    Handler {
        /// Where the record is from.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
        /// How often the handler was called with it.
        attempts: u32,
        /// What the handler returned, or that it panicked.
        reason: Arc<str>,
    },

    /// A custom partitioner returned a partition that the topic does not have, or panicked.
    #[error("partitioner failed for topic {topic}: {reason}")]
    Partitioner {
        /// The topic.
        topic: Arc<str>,
        /// What it did.
        reason: Arc<str>,
    },

    /// The client or the role was closed or dropped.
    #[error("{what} is closed")]
    Closed {
        /// What was closed.
        what: &'static str,
    },

    /// A producer was closed before all that it had accepted was delivered.
    #[error(
        "{failed} records were not delivered: the producer was closed after {:?}",
        rounded(limit)
    )]
    Undelivered {
        /// Records that have failed since the last flush; their deliveries have their errors.
        failed: u64,
        /// The limit of `close`.
        limit: Duration,
    },

    /// A transaction was not committed: a record or a call of it failed, it was aborted, or its fate is not known.
    ///
    /// Unless [`is_fatal`](Error::is_fatal) says otherwise the producer goes on: what was done in the transaction is to be
    /// done again in the next one, which begins when this one has been ended.
    #[error(
        "transaction of {transactional_id} not committed ({}): {cause}",
        if *.possibly_committed { "it may be all the same" } else { "nothing of it is or will be visible to read_committed" }
    )]
    NotCommitted {
        /// The producer's `transactional.id`.
        transactional_id: Arc<str>,
        /// Whether it may be committed all the same: the coordinator was asked to, and its answer never seen.
        possibly_committed: bool,
        /// Why.
        cause: Arc<Error>,
    },

    /// Another producer has begun with the same `transactional.id`, or a transaction was not ended within
    /// `transaction.timeout.ms`: this producer can do nothing more.
    #[error(
        "the producer of transactional.id {transactional_id} is fenced: another one has begun with the same id, or a \
         transaction was not ended within transaction.timeout.ms: build it anew unless another one is to go on ({cause})"
    )]
    Fenced {
        /// The producer's `transactional.id`.
        transactional_id: Arc<str>,
        /// The broker's refusal.
        cause: Arc<Error>,
    },

    /// The transaction that the record or the offsets were part of was aborted, before they were sent.
    #[error("a transaction of {transactional_id} was aborted")]
    Aborted {
        /// The producer's `transactional.id`.
        transactional_id: Arc<str>,
    },

    /// A transaction of this producer is open already: commit it, abort it or drop it before the next one begins.
    #[error(
        "a transaction of {transactional_id} is open: commit, abort or drop it before the next one begins"
    )]
    TransactionOpen {
        /// The producer's `transactional.id`.
        transactional_id: Arc<str>,
    },

    /// The tokio runtime that a client, a producer or a consumer was made on has ended, and its tasks with it.
    ///
    /// They live on the runtime in which `connect` or `build` was called, not on the one that calls them later: a
    /// client that is shared by several runtimes, as the tests of one program are, is made on one that outlives them.
    #[error(
        "the tokio runtime that the {what} was made on has ended: make another {what} on this runtime, or make it on one that lives as long as it is used"
    )]
    RuntimeEnded {
        /// What was made on it: `client`, `producer` or `consumer`.
        what: &'static str,
    },

    /// The directory that records are spilled to could not be read or written.
    #[cfg(feature = "spill")]
    #[error("spill: {doing} {path}: {source}; see to the disk's room, rights and health")]
    Spill {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: Arc<str>,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },

    /// The directory that records are spilled to holds as many bytes as it may.
    #[cfg(feature = "spill")]
    #[error(
        "spill: no room for a record of {size} bytes beside {used} in max_bytes = {limit}: raise it, or send less while the \
         cluster is away"
    )]
    SpillFull {
        /// The record's size on disk, at most.
        size: usize,
        /// Bytes in the directory.
        used: u64,
        /// Its bound.
        limit: u64,
    },

    /// The directory that records are spilled to is another process's, or another producer's of this one.
    #[cfg(feature = "spill")]
    #[error(
        "spill: {directory} is in use by another producer, here or in another process: give each its own"
    )]
    SpillLocked {
        /// The directory.
        directory: Arc<str>,
    },

    /// `close` of a consumer or an admin call did not end within its own limit.
    #[error("{what} did not end within {limit:?}")]
    Deadline {
        /// The call.
        what: &'static str,
        /// Its limit.
        limit: Duration,
    },
}

fn last_said(last: Option<&Error>) -> String {
    last.map_or_else(String::new, |last| format!(" (last: {last})"))
}

/// Whole milliseconds: more is noise in a message.
fn rounded(time: &Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The first few of them, and how many more there are.
fn listed(partitions: &[TopicPartition]) -> String {
    const MOST: usize = 8;
    let named: Vec<_> = partitions
        .iter()
        .take(MOST)
        .map(ToString::to_string)
        .collect();
    match partitions.len().saturating_sub(MOST) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn suffix(message: Option<&str>) -> String {
    message.map(|m| format!(" ({m})")).unwrap_or_default()
}

fn advised(advice: Option<&str>) -> String {
    advice.map(|a| format!(": {a}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn config(setting: &str, reason: impl Into<Arc<str>>) -> Self {
        Self::Config {
            setting: setting.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn broker(
        code: ErrorCode,
        message: Option<Arc<str>>,
        context: impl Into<Arc<str>>,
    ) -> Self {
        Self::Broker {
            code,
            message,
            context: context.into(),
            advice: None,
        }
    }

    /// The same with what to change so that the broker does not refuse it.
    pub(crate) fn with_advice(mut self, told: impl Into<Arc<str>>) -> Self {
        if let Self::Broker { advice, .. } = &mut self {
            *advice = Some(told.into());
        }
        self
    }

    /// For bytes that do not parse; `address` says where they came from.
    pub(crate) fn protocol(address: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Self {
        Self::Protocol {
            address: address.into(),
            reason: reason.into(),
        }
    }
}
