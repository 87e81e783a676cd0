//! What a test sees of a cluster from within: logs, groups, transactions.

use std::time::Duration;

use bytes::Bytes;

use crate::state::compression;
use crate::state::groups::Group;
use crate::state::head::Head;
use crate::state::log::Stored;
use crate::state::transactions::Transaction;
use crate::state::{Aborted, State};
use crate::wire::Name;

/// A record in a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970: the producer's, or the broker's where the topic says `LogAppendTime`.
    pub timestamp: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; none marks a deletion.
    pub value: Option<Bytes>,
    /// Names with values, in their order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupView {
    /// Its name (`group.id`).
    pub name: String,
    /// Kafka's name of its state: `Empty`, `PreparingRebalance`, `CompletingRebalance` or `Stable`.
    pub state: &'static str,
    /// Its generation: one more with each rebalance.
    pub generation: i32,
    /// The assignor that its members agreed on.
    pub protocol: Option<String>,
    /// Its members, by their ids.
    pub members: Vec<MemberView>,
    /// Committed offsets: topic, partition, offset, in that order.
    pub offsets: Vec<(String, i32, i64)>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// The id that the coordinator gave it.
    pub id: String,
    /// Its own id (`group.instance.id`), if it is static.
    pub instance_id: Option<String>,
    /// Its client's id (`client.id`).
    pub client_id: String,
}

/// A transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionView {
    /// The id (`transactional.id`).
    pub id: String,
    /// Kafka's name of its state: `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit` or
    /// `CompleteAbort`.
    pub state: &'static str,
    /// The id of its producer.
    pub producer_id: i64,
    /// The epoch of its producer: who comes with an older one is fenced.
    pub producer_epoch: i16,
    /// How long a transaction may take (`transaction.timeout.ms`).
    pub timeout: Duration,
    /// Topics and partitions that the transaction has written to, whose markers are still to come.
    pub partitions: Vec<(String, i32)>,
    /// Groups whose offsets it commits, when it does.
    pub groups: Vec<String>,
}

pub(crate) fn transactions(state: &State) -> Vec<TransactionView> {
    let told = |(id, of): (&Name, &Transaction)| {
        let partitions = of.partitions.iter();
        let groups = of.groups.iter();
        TransactionView {
            id: id.to_string(),
            state: of.phase.name(),
            producer_id: of.producer.id,
            producer_epoch: of.producer.epoch,
            timeout: of.timeout,
            partitions: partitions
                .map(|(topic, index)| (topic.to_string(), *index))
                .collect(),
            groups: groups.map(ToString::to_string).collect(),
        }
    };
    state.transactions.iter().map(told).collect()
}

/// The batches of a partition, and what of them can be read.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    batches: Vec<Stored>,
    start: i64,
    last_stable: i64,
    aborted: Vec<Aborted>,
}

/// What a partition has; nothing without such a partition.
pub(crate) fn stored(state: &State, topic: &str, partition: i32) -> Shelf {
    match state.topics.partition(topic, partition) {
        Ok(found) => Shelf {
            batches: found.log.stored().cloned().collect(),
            start: found.log.start(),
            last_stable: found.log.last_stable_offset(),
            aborted: found.log.aborted(found.log.start(), found.log.end()),
        },
        Err(_) => Shelf::default(),
    }
}

/// All records that can be read; only those of no transaction that goes on or was aborted, if `committed`.
pub(crate) fn log(shelf: &Shelf, committed: bool) -> Vec<LogRecord> {
    let all = shelf.batches.iter();
    let all = all.filter(|batch| !committed || shelf.is_committed(batch));
    let records = all.flat_map(records);
    records
        .filter(|record| record.offset >= shelf.start)
        .collect()
}

impl Shelf {
    fn is_committed(&self, batch: &Stored) -> bool {
        let Some(head) = Head::read(&batch.bytes) else {
            return false;
        };
        let aborts = |one: &Aborted| {
            one.producer_id == head.producer_id
                && one.first <= batch.base
                && batch.base < one.marker
        };
        batch.base < self.last_stable
            && !(head.is_transactional() && self.aborted.iter().any(aborts))
    }
}

fn records(stored: &Stored) -> Vec<LogRecord> {
    let Some(head) = Head::read(&stored.bytes).filter(|head| !head.is_control()) else {
        return Vec::new();
    };
    let records = compression::records(&stored.bytes, &head).unwrap_or_default();
    let told = records.into_iter().map(|record| LogRecord {
        offset: stored.base + record.offset_delta,
        timestamp: if head.has_log_append_time() {
            head.max_timestamp
        } else {
            head.base_timestamp.saturating_add(record.timestamp_delta)
        },
        key: record.key,
        value: record.value,
        headers: record.headers,
    });
    told.collect()
}

pub(crate) fn groups(state: &State) -> Vec<GroupView> {
    let all = state.groups.iter();
    all.map(|(name, group)| view(name, group)).collect()
}

fn view(name: &str, group: &Group) -> GroupView {
    let classic = group.classic();
    let members = classic.members.iter().map(|(id, member)| MemberView {
        id: id.to_string(),
        instance_id: member.instance.as_deref().map(str::to_owned),
        client_id: member.client_id.to_string(),
    });
    let offsets = group.offsets.iter();
    let offsets = offsets
        .map(|(topic, partition, committed)| (topic.to_string(), partition, committed.offset));
    GroupView {
        name: name.to_owned(),
        state: classic.phase.name(),
        generation: classic.generation,
        protocol: classic.protocol.as_deref().map(str::to_owned),
        members: members.collect(),
        offsets: offsets.collect(),
    }
}
