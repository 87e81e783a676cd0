//! Topics that are read whole, without a group: which partitions come and go with the cluster's word on them.
//!
//! ```text
//!            missing                there                more
//!   Unseen ──────────▶ Missing ──────────────▶ Seen(n) ────────▶ Seen(n + k)
//!     └────── there, by the policy ─────────────▲   from their beginnings
//! ```

use hashbrown::{HashMap, HashSet};

use super::position::Start;
use crate::error::ErrorCode;
use crate::machine::topology::{Topic, Topology};
use crate::types::{TopicName, TopicPartition};

/// The topics that are subscribed to, and what was known of them last.
#[derive(Debug, Default)]
pub(crate) struct WholeTopics {
    seen: HashMap<TopicName, TopicSeen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TopicSeen {
    /// Nothing of it was known yet, as of this version of the cluster's metadata.
    Unseen(u64),
    /// It was not there.
    Missing,
    /// It had so many partitions.
    Partitions(usize),
}

/// Partitions that are read from now on, and those that are not any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WholeChange {
    /// With where to begin, which for those that were there already is left to `auto.offset.reset`.
    pub(crate) added: Vec<(TopicPartition, Option<Start>)>,
    pub(crate) gone: Vec<TopicPartition>,
}

impl WholeTopics {
    /// What changes, now that `topics` are subscribed to and `assigned` is read.
    pub(crate) fn look(
        &mut self,
        topics: &[TopicName],
        topology: &Topology,
        assigned: &[TopicPartition],
    ) -> WholeChange {
        let mut change = WholeChange::default();
        let wanted: HashSet<_> = topics.iter().collect();
        let read: HashSet<_> = assigned.iter().collect();
        self.seen.retain(|name, _| wanted.contains(name));
        for name in topics {
            let unseen = TopicSeen::Unseen(topology.version);
            let seen = self.seen.entry(name.clone()).or_insert(unseen);
            let Some(topic) = topology.topics.get(name) else {
                continue;
            };
            let before = *seen;
            *seen = before.and_now(topic, topology.version);
            let TopicSeen::Partitions(count) = *seen else {
                continue;
            };
            for number in 0..count {
                let partition = TopicPartition::new(name.clone(), number as i32);
                if !read.contains(&partition) {
                    let start = before.is_without(number).then_some(Start::Earliest);
                    change.added.push((partition, start));
                }
            }
        }
        let gone = assigned.iter().filter(|partition| self.is_gone(partition));
        change.gone = gone.cloned().collect();
        change
    }

    fn is_gone(&self, partition: &TopicPartition) -> bool {
        match self.seen.get(partition.topic()) {
            Some(TopicSeen::Partitions(count)) => {
                usize::try_from(partition.partition()).is_ok_and(|number| number >= *count)
            }
            Some(_) => false,
            None => true,
        }
    }
}

impl TopicSeen {
    fn and_now(self, topic: &Topic, version: u64) -> Self {
        match (self, topic.error) {
            (_, None) if !topic.partitions.is_empty() => Self::Partitions(topic.partitions.len()),
            // What was known before the subscription may be out of date.
            (Self::Unseen(since), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
                if version > since =>
            {
                Self::Missing
            }
            // One that is deleted may come back.
            (seen, _) => seen,
        }
    }

    /// Whether it is known that there was no partition of this number.
    fn is_without(self, number: usize) -> bool {
        match self {
            Self::Unseen(_) => false,
            Self::Missing => true,
            Self::Partitions(count) => number >= count,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::TopicId;

    /// What the cluster says of `t`: so many partitions, or that there is no such topic.
    fn says(version: u64, partitions: Result<usize, ErrorCode>) -> Topology {
        let partition = crate::machine::topology::Partition {
            leader: None,
            leader_epoch: -1,
            replicas: Vec::new(),
            isr: Vec::new(),
            offline: Vec::new(),
        };
        let topic = Topic {
            name: "t".into(),
            id: TopicId::ZERO,
            internal: false,
            partitions: vec![partition; partitions.unwrap_or(0)],
            error: partitions.err(),
        };
        Topology {
            topics: [("t".into(), Arc::new(topic))].into_iter().collect(),
            version,
            ..Topology::default()
        }
    }

    /// Reads `t` through these words of the cluster: what is added and taken away by each, the late ones starred.
    fn through(words: &[Result<usize, ErrorCode>]) -> Vec<String> {
        let mut topics = WholeTopics::default();
        let mut assigned = Vec::new();
        let mut told = Vec::new();
        for (version, word) in words.iter().enumerate() {
            let topology = says(version as u64, *word);
            let change = topics.look(&["t".into()], &topology, &assigned);
            assigned.retain(|partition| !change.gone.contains(partition));
            assigned.extend(change.added.iter().map(|(partition, _)| partition.clone()));
            let added = change.added.iter().map(|(partition, start)| {
                let star = if start.is_some() { "*" } else { "" };
                format!("+{}{star}", partition.partition())
            });
            let gone = change
                .gone
                .iter()
                .map(|one| format!("-{}", one.partition()));
            told.push(added.chain(gone).collect::<Vec<_>>().join(" "));
        }
        told
    }

    #[test]
    fn what_appears_later_is_read_from_its_beginning() {
        const MISSING: Result<usize, ErrorCode> = Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        const REFUSED: Result<usize, ErrorCode> = Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        const MAKING: Result<usize, ErrorCode> = Err(ErrorCode::LEADER_NOT_AVAILABLE);
        for (words, expected) in [
            (vec![Ok(2), Ok(2), Ok(3)], vec!["+0 +1", "", "+2*"]),
            // What was known before is not believed.
            (vec![MISSING, Ok(1)], vec!["", "+0"]),
            (vec![MISSING, MISSING, Ok(1)], vec!["", "", "+0*"]),
            (vec![MAKING, MAKING, Ok(1)], vec!["", "", "+0"]),
            (vec![REFUSED, REFUSED, Ok(1)], vec!["", "", "+0"]),
            // Gone for a moment, or for good: what is read stays.
            (
                vec![Ok(2), MISSING, Ok(2), Ok(3)],
                vec!["+0 +1", "", "", "+2*"],
            ),
            // Made anew with fewer, and then more.
            (vec![Ok(3), Ok(1), Ok(2)], vec!["+0 +1 +2", "-1 -2", "+1*"]),
        ] {
            assert_eq!(through(&words), expected, "{words:?}");
        }
    }

    #[test]
    fn what_is_not_subscribed_to_any_more_is_not_read() {
        let mut topics = WholeTopics::default();
        let topology = says(1, Ok(1));
        let all = [TopicPartition::new("t", 0)];
        topics.look(&["t".into()], &topology, &[]);
        let change = topics.look(&[], &topology, &all);
        assert_eq!(change.gone, all);
        // Anew: by the policy again.
        let change = topics.look(&["t".into()], &says(2, Ok(2)), &[]);
        assert!(change.added.iter().all(|(_, start)| start.is_none()));
        assert_eq!(change.added.len(), 2);
    }
}
