//! The leader's part: sharing the partitions out, and knowing when that would be done otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Assignor;
use crate::machine::group::assign::{PartitionCounts, Subscriber};
use crate::machine::group::member::{Action, Joined, Turn};
use crate::machine::group::protocol::{Assignment, Subscription};
use crate::types::TopicName;

/// What is to be shared out, until it is known how many partitions there are.
#[derive(Debug)]
pub(super) struct Sharing {
    members: Vec<Subscriber>,
    /// What any of the members wants, sorted.
    topics: Vec<TopicName>,
    /// A static leader that came back: the group goes on as it was (KIP-814).
    skips: bool,
}

/// What a leader made its generation's assignment of, and what there is now.
#[derive(Debug)]
pub(super) struct Lead {
    topics: Vec<TopicName>,
    counted: PartitionCounts,
    latest: PartitionCounts,
}

impl Sharing {
    pub(super) fn new(joined: Joined, turn: &mut Turn) -> Self {
        let mut members = Vec::with_capacity(joined.members.len());
        for member in joined.members {
            let subscription = Subscription::decode(member.metadata).unwrap_or_else(|malformed| {
                turn.push(Action::Unreadable {
                    member_id: member.member_id.clone(),
                    reason: malformed.to_string().into(),
                });
                Subscription::default()
            });
            members.push(Subscriber {
                id: member.member_id,
                instance_id: member.instance_id,
                subscription,
            });
        }
        let wanted = members.iter().flat_map(|m| &m.subscription.topics);
        let topics: BTreeSet<_> = wanted.cloned().collect();
        Self {
            topics: topics.into_iter().collect(),
            members,
            skips: joined.skip_assignment,
        }
    }

    pub(super) fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// Each member's assignment as it is sent, and what to remember of it.
    pub(super) fn share(
        self,
        assignor: Assignor,
        counts: PartitionCounts,
    ) -> (Vec<(Arc<str>, Bytes)>, Lead) {
        let mut assignments: Vec<(Arc<str>, _)> = Vec::new();
        if !self.skips {
            let shares = assignor.assign(&self.members, &counts);
            for (member, partitions) in self.members.into_iter().zip(shares) {
                assignments.push((member.id, Assignment { partitions }.encode()));
            }
        }
        let lead = Lead {
            topics: self.topics,
            latest: counts.clone(),
            counted: counts,
        };
        (assignments, lead)
    }
}

impl Lead {
    /// There are so many partitions now.
    pub(super) fn counted(&mut self, counts: PartitionCounts) {
        self.latest = counts;
    }

    /// Whether an assignment made now would be another one. A topic that is gone is none: whether it is deleted or
    /// only not known for a moment, its partitions disturb nobody.
    pub(super) fn is_outdated(&self) -> bool {
        let wants = |topic| self.topics.binary_search(topic).is_ok();
        let is_news = |(topic, count)| self.counted.get(topic) != Some(count) && wants(topic);
        self.latest.iter().any(is_news)
    }
}
