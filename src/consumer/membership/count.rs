//! Tells the leader how many partitions the group's topics have, and when that changes.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Held};
use crate::error::ErrorCode;
use crate::machine::group::assign::Counts;
use crate::types::TopicName;

/// How long the group waits for topics that are not known yet; they can be joined later.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Counting {
    topics: Vec<TopicName>,
    /// Other members' topics are nobody's here but the leader's.
    _held: Held,
    /// Until when the first answer waits for all of them.
    until: Option<Instant>,
}

impl Counting {
    pub(super) fn new(cluster: &Cluster, topics: Vec<TopicName>, creates: bool) -> Self {
        Self {
            _held: cluster.hold(&topics, creates),
            topics,
            until: Some(Instant::now() + PATIENCE),
        }
    }

    /// When to answer at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// The answer, once every topic was asked for or the time is up; from then on always.
    pub(super) fn answer(&mut self, cluster: &Cluster) -> Option<Counts> {
        let topology = cluster.topology();
        let is_late = self.until.is_none_or(|until| until <= Instant::now());
        let mut counts = Counts::new();
        for name in &self.topics {
            let Some(topic) = topology.topics.get(name) else {
                if is_late {
                    continue;
                }
                return None;
            };
            // What is not known for a moment still has the partitions that it had.
            let is_gone = topic.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            if count > 0 && !is_gone {
                counts.insert(name.clone(), count);
            }
        }
        self.until = None;
        Some(counts)
    }
}
