//! The calls, one file each: what a request says, what it does to the cluster, what is answered.

mod api_versions;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leaders;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::test_batch;

use std::time::Duration;

use crate::about::About;
use crate::state::{ConnectionId, NodeId, Now, State};
use crate::wire::{ApiKey, ErrorCode, Header, Malformed, Name, Reader, Writer};

/// Where and when a request is handled.
pub(crate) struct At<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now: Now,
    pub(crate) node: NodeId,
    pub(crate) connection: ConnectionId,
    pub(crate) client: Client<'a>,
    pub(crate) forced: &'a [Forced],
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    pub(crate) host: &'a str,
}

/// What becomes of a request for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The answer is written.
    Answer,
    /// The client wants none (`acks=0`).
    Silence,
    /// As Kafka tells an error where no answer is wanted: the connection is closed.
    Close,
    /// Nothing is written: look again when woken, or when the cluster has been up for so long.
    Wait { until: Option<Duration> },
}

/// An error that a test wants instead of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Forced {
    pub(crate) code: ErrorCode,
    /// Only for this topic's part of the request.
    pub(crate) topic: Option<Name>,
    /// Only for this partition's part of the request.
    pub(crate) partition: Option<i32>,
    /// Only for this group's part of the request.
    pub(crate) group: Option<Name>,
    /// The request does its work all the same.
    pub(crate) takes_effect: bool,
}

/// A part of a request, as far as it has a name: what it leaves open is the whole request's.
#[derive(Clone, Copy, Debug, Default)]
struct Part<'a> {
    topic: Option<&'a str>,
    partition: Option<i32>,
    group: Option<&'a str>,
}

impl Forced {
    fn is_about(&self, part: Part<'_>) -> bool {
        let same = |wanted: &Option<Name>, name: Option<&str>| match (wanted, name) {
            (Some(wanted), Some(name)) => **wanted == *name,
            _ => true,
        };
        let same_partition = match (self.partition, part.partition) {
            (Some(wanted), Some(partition)) => wanted == partition,
            _ => true,
        };
        same(&self.topic, part.topic) && same(&self.group, part.group) && same_partition
    }

    /// Whether nothing is left for another one to happen to.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.topic.is_none() || self.topic == other.topic)
            && (self.partition.is_none() || self.partition == other.partition)
            && (self.group.is_none() || self.group == other.group)
    }
}

impl At<'_> {
    /// Does one part of a request's work, unless a test wants an error instead (or as well).
    pub(crate) fn part<T>(
        &mut self,
        topic: Option<&str>,
        partition: Option<i32>,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let part = Part {
            topic,
            partition,
            group: None,
        };
        self.part_of(part, work)
    }

    /// The same for a group's part.
    pub(crate) fn group_part<T>(
        &mut self,
        group: &str,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let part = Part {
            group: Some(group),
            ..Part::default()
        };
        self.part_of(part, work)
    }

    fn part_of<T>(
        &mut self,
        part: Part<'_>,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        match self.forced.iter().find(|forced| forced.is_about(part)) {
            None => work(self),
            Some(forced) if forced.takes_effect => {
                work(self)?;
                Err(forced.code)
            }
            Some(forced) => Err(forced.code),
        }
    }

    /// The error that a test wants of the request as a whole.
    pub(crate) fn forced_whole(&self) -> Option<ErrorCode> {
        let mut whole = self.forced.iter().filter(|forced| {
            forced.topic.is_none() && forced.partition.is_none() && forced.group.is_none()
        });
        whole.next().map(|forced| forced.code)
    }
}

/// A request that was read.
pub(crate) trait Call: Send {
    /// What it is about, by its own words and, where it goes on with what the node remembers, by those.
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::default()
    }

    /// Does what can be done now; called again after [`Step::Wait`].
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step;
}

/// Reads the body of a request.
pub(crate) fn read(header: &Header, reader: &mut Reader) -> Result<Box<dyn Call>, Malformed> {
    let r = reader;
    let call: Box<dyn Call> = match header.key {
        ApiKey::Produce => Box::new(produce::read(r)?),
        ApiKey::Fetch => Box::new(fetch::read(r)?),
        ApiKey::ListOffsets => Box::new(list_offsets::read(r)?),
        ApiKey::Metadata => Box::new(metadata::read(r)?),
        key if !key.versions().contains(&header.version) => {
            return Ok(Box::new(api_versions::unreadable()));
        }
        ApiKey::ApiVersions => Box::new(api_versions::read(r)?),
        ApiKey::InitProducerId => Box::new(init_producer_id::read(r)?),
        ApiKey::OffsetCommit => Box::new(offset_commit::read(r)?),
        ApiKey::OffsetFetch => Box::new(offset_fetch::read(r)?),
        ApiKey::FindCoordinator => Box::new(find_coordinator::read(r)?),
        ApiKey::JoinGroup => Box::new(join_group::read(r)?),
        ApiKey::Heartbeat => Box::new(heartbeat::read(r)?),
        ApiKey::LeaveGroup => Box::new(leave_group::read(r)?),
        ApiKey::SyncGroup => Box::new(sync_group::read(r)?),
        ApiKey::DescribeGroups => Box::new(describe_groups::read(r)?),
        ApiKey::ListGroups => Box::new(list_groups::read(r)?),
        ApiKey::DeleteGroups => Box::new(delete_groups::read(r)?),
        ApiKey::OffsetDelete => Box::new(offset_delete::read(r)?),
        ApiKey::CreateTopics => Box::new(create_topics::read(r)?),
        ApiKey::DeleteTopics => Box::new(delete_topics::read(r)?),
        ApiKey::DeleteRecords => Box::new(delete_records::read(r)?),
        ApiKey::OffsetForLeaderEpoch => Box::new(offset_for_leader_epoch::read(r)?),
        ApiKey::DescribeConfigs => Box::new(configs::read_describe(r)?),
        ApiKey::CreatePartitions => Box::new(create_partitions::read(r)?),
        ApiKey::IncrementalAlterConfigs => Box::new(configs::read_alter(r)?),
        ApiKey::DescribeCluster => Box::new(describe_cluster::read(r)?),
    };
    r.tags()?;
    if r.left() > 0 {
        return Err(Malformed("bytes are left behind the request"));
    }
    Ok(call)
}

/// Begins the answer to a request.
pub(crate) fn writer(header: &Header) -> Writer {
    let flexible = header.version >= header.key.flexible_from();
    // Its reader does not know yet what the broker speaks.
    let header_tags = flexible && header.key != ApiKey::ApiVersions;
    Writer::new(header.correlation_id, header.version, flexible, header_tags)
}

/// Milliseconds of a request as time; a negative number is none.
fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
