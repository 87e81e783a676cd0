//! Tells the leader how many partitions the group's topics have, and when that changes.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, HeldTopics};
use crate::error::ErrorCode;
use crate::machine::group::assign::PartitionCounts;
use crate::types::TopicName;

/// How long the group waits for topics that are not known yet; they can be joined later.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Counting {
    topics: Vec<TopicName>,
    /// Other members' topics are nobody's here but the leader's.
    _held: HeldTopics,
    /// Those that were there at some time, in this generation or an earlier one.
    last: PartitionCounts,
    /// Until when the first answer waits for all of them.
    until: Option<Instant>,
}

impl Counting {
    /// `before` is what was counted for an earlier generation.
    pub(super) fn new(
        cluster: &Cluster,
        topics: Vec<TopicName>,
        creates: bool,
        before: Option<Self>,
    ) -> Self {
        Self {
            _held: cluster.hold(&topics, creates),
            topics,
            last: before.map(|before| before.last).unwrap_or_default(),
            until: Some(Instant::now() + PATIENCE),
        }
    }

    /// When to answer at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// The answer, once every topic was asked for or the time is up; from then on always.
    pub(super) fn answer(&mut self, cluster: &Cluster) -> Option<PartitionCounts> {
        let topology = cluster.topology();
        let now = Instant::now();
        let is_late = self.until.is_none_or(|until| until <= now);
        let mut counts = PartitionCounts::new();
        for name in &self.topics {
            let topic = topology.topics.get(name);
            // What is not known for a moment still has the partitions that it had.
            let is_there = |code| code != Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            let found = topic.filter(|topic| is_there(topic.error));
            let partitions = found.map_or(0, |topic| topic.partitions.len());
            if partitions > 0 {
                counts.insert(name.clone(), u32::try_from(partitions).unwrap_or(u32::MAX));
            } else if !is_late && (topic.is_none() || self.last.contains_key(name)) {
                // Not asked for yet; or it was there a moment ago, and the group does not drop it for a moment.
                return None;
            }
        }
        if self.until.take().is_some_and(|until| until <= now) {
            // What has not come back in time is gone.
            self.last.clear();
        }
        self.last.extend(counts.clone());
        Some(counts)
    }
}
