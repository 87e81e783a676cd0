//! What a test sees of a cluster from within: logs, groups, requests.

use bytes::Bytes;

use crate::state::State;
use crate::state::compression;
use crate::state::groups::Group;
use crate::state::head::Head;
use crate::state::log::Stored;

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

/// The batches of a partition, and the first offset that can be read; none without such a partition.
pub(crate) fn stored(state: &State, topic: &str, partition: i32) -> (Vec<Stored>, i64) {
    match state.topics.partition(topic, partition) {
        Ok(found) => (found.log.stored().cloned().collect(), found.log.start()),
        Err(_) => (Vec::new(), 0),
    }
}

/// All records that can be read.
pub(crate) fn log((stored, start): (Vec<Stored>, i64)) -> Vec<LogRecord> {
    let all = stored.iter().flat_map(records);
    all.filter(|record| record.offset >= start).collect()
}

fn records(stored: &Stored) -> Vec<LogRecord> {
    let Some(head) = Head::read(&stored.bytes) else {
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
