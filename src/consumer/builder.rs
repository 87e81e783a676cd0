//! Collects a consumer's settings and what it is to read.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{AckTracker, Consumer, RebalanceListener};
use crate::cluster::Cluster;
use crate::config::{Assignor, ConsumerOptions, IsolationLevel, OffsetReset};
use crate::error::{Error, Result};
use crate::types::{TopicName, TopicPartition};

/// The protocol's bound of a string.
const MOST_GROUP_BYTES: usize = 32_767;

/// Collects a consumer's settings, by typed setters or by Kafka's names; the last one set holds.
///
/// Starts from what was given to its client.
#[derive(Clone)]
#[must_use]
pub struct ConsumerBuilder {
    cluster: Cluster,
    options: ConsumerOptions,
    group: Option<Arc<str>>,
    partitions: Vec<TopicPartition>,
    topics: Vec<TopicName>,
    listener: Option<Arc<dyn RebalanceListener>>,
    acks: Option<Arc<dyn AckTracker>>,
}

impl ConsumerBuilder {
    pub(crate) fn new(cluster: Cluster, options: ConsumerOptions, group: Option<Arc<str>>) -> Self {
        Self {
            cluster,
            options,
            group,
            partitions: Vec::new(),
            topics: Vec::new(),
            listener: None,
            acks: None,
        }
    }

    /// Commits what this tells, whatever `enable.auto.commit` says.
    pub(crate) fn acknowledged_by(mut self, acks: Arc<dyn AckTracker>) -> Self {
        self.options.auto_commit = Some(true);
        self.acks = Some(acks);
        self
    }

    /// The group, if there is one.
    pub(crate) fn group(&self) -> Option<&Arc<str>> {
        self.group.as_ref()
    }

    /// The topics that are subscribed to.
    pub(crate) fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// Sets one setting by its Kafka name. White space around name and value is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting) with the name that was probably meant;
    /// [`Error::Config`](crate::Error::Config) where the value does not parse or is out of bounds, or the setting is
    /// the client's, a producer's, or another Kafka client's.
    pub fn set(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self> {
        self.options.set(name.as_ref(), value.as_ref())?;
        Ok(self)
    }

    /// The topics of which the group shares out the partitions; each once. Without a group all partitions are read, new
    /// ones from their beginnings: see [`ConsumerHandle::subscribe`](crate::ConsumerHandle::subscribe). Default none,
    /// until the consumer's handle subscribes to some. Kafka: `subscribe`.
    pub fn subscribe(mut self, topics: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.topics = once(
            topics
                .into_iter()
                .map(|topic| TopicName::from(topic.as_ref())),
        );
        self
    }

    /// Who hears of partitions that the group gives and takes; without a group nobody does.
    ///
    /// Default nobody. Kafka: `ConsumerRebalanceListener`.
    pub fn listener(mut self, listener: impl RebalanceListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The partitions to read, whoever else in the group reads them; each once. Default none, until the consumer's
    /// handle assigns some. Kafka: `assign`.
    pub fn assign(mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        self.partitions = once(partitions);
        self
    }

    /// The bytes that a broker collects before it answers, within `fetch_max_wait`.
    ///
    /// Default 1, which answers as soon as there is a record; 0 to 2147483647. Kafka: `fetch.min.bytes`.
    pub fn fetch_min_bytes(mut self, bytes: usize) -> Self {
        self.options.fetch_min_bytes = Some(bytes);
        self
    }

    /// The most bytes of records in one answer, compressed as they are; a larger batch comes alone.
    ///
    /// Default 52428800 (50 MiB); 0 to 2147483647. No more is asked for than `buffer_memory` has room for. Kafka:
    /// `fetch.max.bytes`.
    pub fn fetch_max_bytes(mut self, bytes: usize) -> Self {
        self.options.fetch_max_bytes = Some(bytes);
        self
    }

    /// How long a broker waits for `fetch_min_bytes` before it answers with less.
    ///
    /// What is sought, resumed or assigned while more than half a second of that is left is fetched by a second
    /// connection meanwhile, which is closed when it was of no use for half a minute.
    ///
    /// Default 500 ms; at most 2147483647 ms; `build` refuses `request_timeout` or more. Kafka: `fetch.max.wait.ms`.
    pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
        self.options.fetch_max_wait = Some(wait);
        self
    }

    /// The most bytes of one partition in an answer, compressed as they are; a larger batch comes alone.
    ///
    /// Default 1048576 (1 MiB); 0 to 2147483647; `build` refuses more than `buffer_memory`. Kafka:
    /// `max.partition.fetch.bytes`.
    pub fn partition_fetch_bytes(mut self, bytes: usize) -> Self {
        self.options.partition_fetch_bytes = Some(bytes);
        self
    }

    /// Upper bound, in bytes, of all that is fetched ahead and not yet handed out, decompressed bytes counted. A single
    /// batch that is larger as it is sent comes all the same, alone.
    ///
    /// A batch that decompresses to much is decompressed in steps. One record of a compressed batch that is larger than
    /// this is told by [`Error::TooLargeToRead`](crate::Error::TooLargeToRead). What the application was handed
    /// decompressed counts until it comes back; a batch that there is no room for is read all the same, one at a time.
    ///
    /// Default 67108864 (64 MiB); at least 1048576 (1 MiB); `build` refuses less than `partition_fetch_bytes`. Not
    /// one of Kafka: `fetch.buffer.memory` is ottla's own name.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.options.buffer_memory = Some(bytes);
        self
    }

    /// The most records that one `poll` hands out.
    ///
    /// Default 500; 1 to 2147483647. No effect on how much is fetched. Kafka: `max.poll.records`.
    pub fn max_poll_records(mut self, records: usize) -> Self {
        self.options.max_poll_records = Some(records);
        self
    }

    /// Where to read from in a partition without a committed offset, or with one that is not in the log any more.
    ///
    /// With `Latest`, a partition that appears in a topic which a member is reading already is read from its beginning: by
    /// the time, less a minute, at which the member last saw the topic without it. What remains: a partition that a
    /// member is given which has never seen the topic without it is read from its end, and records whose own timestamps
    /// are older than that time are passed over.
    ///
    /// Default [`OffsetReset::Latest`]. Kafka: `auto.offset.reset`.
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.options.offset_reset = Some(reset);
        self
    }

    /// Which records of transactions are handed out.
    ///
    /// Default [`IsolationLevel::ReadUncommitted`]: all. Kafka: `isolation.level`.
    pub fn isolation(mut self, level: IsolationLevel) -> Self {
        self.options.isolation = Some(level);
        self
    }

    /// Whether the checksum of each fetched batch is compared.
    ///
    /// Default true. Kafka: `check.crcs`.
    pub fn check_crcs(mut self, enabled: bool) -> Self {
        self.options.check_crcs = Some(enabled);
        self
    }

    /// Where this consumer runs: brokers that know where they run let it read from the nearest replica (KIP-392).
    ///
    /// Default none, which reads from leaders; at most 32767 bytes, no control characters. Kafka: `client.rack`.
    pub fn rack(mut self, rack: impl Into<String>) -> Self {
        self.options.rack = Some(rack.into());
        self
    }

    /// Whether subscribing to a topic that does not exist makes it, where the brokers allow that.
    ///
    /// Default true. Kafka: `allow.auto.create.topics`.
    pub fn auto_create_topics(mut self, enabled: bool) -> Self {
        self.options.auto_create_topics = Some(enabled);
        self
    }

    /// Whether `recv` and `poll` return [`Error::UnknownTopic`](crate::Error::UnknownTopic), once, for a topic that is not
    /// there for five seconds; otherwise the log has a warning, again every five minutes. Either way it is read as soon as it
    /// is there.
    ///
    /// Default false. Not one of Kafka: `fail.on.missing.topics` is ottla's own name.
    pub fn fail_on_missing_topics(mut self, enabled: bool) -> Self {
        self.options.fail_on_missing_topics = Some(enabled);
        self
    }

    /// Whether the offsets of records that the application is done with are committed without being asked for.
    ///
    /// Default true, and always false without a group. Kafka: `enable.auto.commit`.
    pub fn auto_commit(mut self, enabled: bool) -> Self {
        self.options.auto_commit = Some(enabled);
        self
    }

    /// Time between two commits of `auto_commit`.
    ///
    /// Default 5 s; 1 ms to 2147483647 ms. Kafka: `auto.commit.interval.ms`.
    pub fn auto_commit_interval(mut self, interval: Duration) -> Self {
        self.options.auto_commit_interval = Some(interval);
        self
    }

    /// Makes this a static member (KIP-345): after a restart under the same id, within `session_timeout`, it has its
    /// partitions again without a rebalance. No two members of a group may have the same.
    ///
    /// Default none; 1 to 249 letters, digits, dots, underscores and hyphens. Kafka: `group.instance.id`.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.options.instance_id = Some(id.into());
        self
    }

    /// How long the group waits for a heartbeat before it gives the member's partitions to others.
    ///
    /// Heartbeats come from a thread of their own: a handler that blocks its runtime's threads costs no partitions
    /// before `max_poll_interval` is over. When the coordinator itself is silent for so long, the member keeps its
    /// partitions and hands out nothing of them until it has answered: it alone can say whether another member has
    /// them by now. (Java hands out what it has fetched meanwhile.) A coordinator that was restarted has kept the group.
    ///
    /// Default 45 s; 1 ms to 2147483647 ms, and within the brokers' `group.min.session.timeout.ms` (6 s) and
    /// `group.max.session.timeout.ms` (30 min). Kafka: `session.timeout.ms`.
    pub fn session_timeout(mut self, limit: Duration) -> Self {
        self.options.session_timeout = Some(limit);
        self
    }

    /// Time between two heartbeats, by which a member also learns of rebalances.
    ///
    /// Default 3 s; 1 ms to 2147483647 ms; `build` refuses `session_timeout` or more; a third of that is usual. Kafka:
    /// `heartbeat.interval.ms`.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.options.heartbeat_interval = Some(interval);
        self
    }

    /// Longest time between two calls of `recv` or `poll`, after which the member leaves its group and the next call
    /// tells of it; also how long the group waits for it in a rebalance, and the longest time of a listener's callback.
    ///
    /// A call that waits for records counts for as long as its future is awaited.
    ///
    /// Default 5 min; 1 ms to 2147483647 ms. Kafka: `max.poll.interval.ms`.
    pub fn max_poll_interval(mut self, limit: Duration) -> Self {
        self.options.max_poll_interval = Some(limit);
        self
    }

    /// How the group may share partitions out, the most wanted first; the group uses one that all members have.
    ///
    /// Default [`Assignor::Range`], [`Assignor::CooperativeSticky`]; at least one. Kafka:
    /// `partition.assignment.strategy`, by Java's class names or `range`, `roundrobin`, `sticky`,
    /// `cooperative-sticky`.
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Assignor>) -> Self {
        self.options.assignors = Some(assignors.into_iter().collect());
        self
    }

    /// Longest time of a call that asks the cluster, such as for committed offsets, retries included.
    ///
    /// Default 60 s; at most 2147483647 ms. Kafka: `default.api.timeout.ms`.
    pub fn api_timeout(mut self, limit: Duration) -> Self {
        self.options.api_timeout = Some(limit);
        self
    }

    /// Longest wait for a broker's answer, after which the connection is closed and the request sent again.
    ///
    /// Default the client's, 30 s; 1 ms to 2147483647 ms. Kafka: `request.timeout.ms`.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.options.request_timeout = Some(limit);
        self
    }

    /// Delay before a failed request is sent again; twice as long after each further failure, with jitter.
    ///
    /// Default the client's, 100 ms; `build` refuses more than `retry_backoff_max`. Kafka: `retry.backoff.ms`.
    pub fn retry_backoff(mut self, delay: Duration) -> Self {
        self.options.retry_backoff = Some(delay);
        self
    }

    /// Longest delay before a failed request is sent again.
    ///
    /// Default the client's, 1 s; `build` refuses less than `retry_backoff`. Kafka: `retry.backoff.max.ms`.
    pub fn retry_backoff_max(mut self, delay: Duration) -> Self {
        self.options.retry_backoff_max = Some(delay);
        self
    }

    /// Checks the settings and starts the consumer, which joins its group in the background: the partitions are there
    /// when records are, or when the listener was told.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config), naming the setting that is out of bounds or the settings that
    /// conflict, such as `subscribe` beside `assign`;
    /// [`Error::InvalidTopic`](crate::Error::InvalidTopic).
    pub async fn build(self) -> Result<Consumer> {
        let group = self.group.as_deref();
        if group.is_some_and(|group| group.is_empty() || group.len() > MOST_GROUP_BYTES) {
            let reason = format!("a group's name has 1 to {MOST_GROUP_BYTES} bytes");
            return Err(Error::config("group.id", reason));
        }
        let settings = self
            .options
            .check(self.cluster.settings(), group.is_some())?;
        let Self { cluster, group, .. } = self;
        let consumer = Consumer::start(cluster, settings, group, self.listener, self.acks);
        if !self.partitions.is_empty() {
            consumer.assign(self.partitions)?;
        }
        if !self.topics.is_empty() {
            consumer.subscribe(self.topics)?;
        }
        Ok(consumer)
    }
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("partitions", &self.partitions)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Each item once, in order.
fn once<T: Clone + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let items = items.into_iter();
    items.filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_counts_once() {
        assert_eq!(once(["b", "a", "b"]), ["b", "a"]);
    }
}
