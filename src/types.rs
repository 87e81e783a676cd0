//! Names and numbers that every layer shares.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A broker's id, as the cluster's metadata names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BrokerId(pub(crate) i32);

impl fmt::Debug for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {}", self.0)
    }
}

/// A topic's unique id (KIP-516): a topic deleted and created again has another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The id of a topic on a broker that knows no topic ids.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether the broker gave no id.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Whether these are the ids of two topics: one that is not known may be any.
    pub(crate) fn is_other(self, id: Self) -> bool {
        !self.is_zero() && !id.is_zero() && self != id
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A topic's name, shared by everything that mentions it.
pub(crate) type TopicName = Arc<str>;

/// Whether Kafka takes `name` for a topic, and for what follows the same rule.
pub(crate) fn is_legal_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    topic: TopicName,
    partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number, from 0.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    pub(crate) fn name(&self) -> &TopicName {
        &self.topic
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A committed offset: the next record to read, and what the application noted with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetAndMetadata {
    /// The offset of the next record to read, one behind the last one that was processed.
    pub offset: i64,
    /// The leader epoch of the last record that was processed, by which a log that was cut off is recognised (KIP-320);
    /// `None` where it is not known.
    pub leader_epoch: Option<i32>,
    /// The application's own text; at most 4096 bytes with a broker's default settings
    /// (`offset.metadata.max.bytes`).
    pub metadata: Option<Arc<str>>,
}

impl OffsetAndMetadata {
    /// The offset without a leader epoch and without a text.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self {
            offset,
            leader_epoch: None,
            metadata: None,
        }
    }
}

impl From<i64> for OffsetAndMetadata {
    fn from(offset: i64) -> Self {
        Self::new(offset)
    }
}

/// As whom a consumer's offsets are made part of a producer's transaction (KIP-447): its group, and the member and
/// generation that it is of. Kafka: `ConsumerGroupMetadata`.
///
/// A [`ConsumerHandle`](crate::ConsumerHandle) tells its own; where the group has gone on since to another generation, the
/// offsets are refused, and with them the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    group: Arc<str>,
    generation: i32,
    member_id: Arc<str>,
    instance_id: Option<Arc<str>>,
}

impl GroupMetadata {
    /// Of a group whose offsets no member keeps: partitions are assigned by hand.
    pub fn new(group: impl Into<Arc<str>>) -> Self {
        Self {
            group: group.into(),
            generation: -1,
            member_id: "".into(),
            instance_id: None,
        }
    }

    /// Of a member, as of a generation of its group.
    pub(crate) fn with_member(
        mut self,
        generation: i32,
        member_id: Arc<str>,
        instance_id: Option<Arc<str>>,
    ) -> Self {
        (self.generation, self.member_id, self.instance_id) = (generation, member_id, instance_id);
        self
    }

    /// The group (`group.id`).
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The generation in which the member has its partitions; -1 without a member.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The member's id in its group; empty without a member.
    #[must_use]
    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// The member's `group.instance.id`, where it has one.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    pub(crate) fn shared_group(&self) -> &Arc<str> {
        &self.group
    }

    pub(crate) fn shared_member_id(&self) -> &Arc<str> {
        &self.member_id
    }

    pub(crate) fn shared_instance_id(&self) -> Option<&Arc<str>> {
        self.instance_id.as_ref()
    }
}

/// A producer's identity at the brokers; the epoch fences what an earlier one still has on the way (KIP-98, KIP-360).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerId {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl ProducerId {
    /// The identity of a producer that is not idempotent.
    pub(crate) const NONE: Self = Self { id: -1, epoch: -1 };
}

/// The time `wait` after `now`, or as late as can be told.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    const DECADES: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(wait).unwrap_or_else(|| now + DECADES)
}

/// A server's host and port, as written in `bootstrap.servers` or told by the cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a member lost its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The group forgot the member: no heartbeat arrived within `session.timeout.ms`, the member took longer than
    /// `max.poll.interval.ms` to join again, or an administrator removed it. Kafka: `UNKNOWN_MEMBER_ID`.
    Expired,
    /// The group has gone on without the member. Kafka: `ILLEGAL_GENERATION`.
    LeftBehind,
    /// Another member has taken the same `group.instance.id`. Kafka: `FENCED_INSTANCE_ID`.
    Fenced,
    /// The application did not call `recv` or `poll` within `max.poll.interval.ms`; the member left its group.
    PollInterval,
    /// The group refused the member for good, such as for a missing permission.
    Refused,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the group forgot the member",
            Self::LeftBehind => "the group went on without the member",
            Self::Fenced => "another member has taken its group.instance.id",
            Self::PollInterval => "max.poll.interval.ms passed without a call of recv or poll",
            Self::Refused => "the group refused the member",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_are_those_that_kafka_allows() {
        let longest = "x".repeat(249);
        for name in ["a", "payment-topic", "a.b_C-9", "...", longest.as_str()] {
            assert!(is_legal_name(name), "{name}");
        }
        let too_long = "x".repeat(250);
        for name in ["", ".", "..", "a b", "caf\u{e9}", "a/b", too_long.as_str()] {
            assert!(!is_legal_name(name), "{name}");
        }
    }
}
