//! The leader's part: sharing the partitions out, and joining again when there are others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Classic, Phase};
use crate::config::Assignor;
use crate::machine::group::assign::{Counts, Member};
use crate::machine::group::member::{Action, Joined, Turn};
use crate::machine::group::protocol::{Assignment, Subscription};
use crate::types::TopicName;

/// What the leader of a generation knows.
#[derive(Debug)]
pub(super) struct Lead {
    assignor: Assignor,
    /// Until the assignment is made.
    members: Vec<Member>,
    /// What any of the members wants, sorted.
    topics: Vec<TopicName>,
    /// A static leader that came back: the group goes on as it was (KIP-814).
    skips: bool,
    /// What the assignment was made of.
    counts: Option<Counts>,
}

impl Lead {
    pub(super) fn new(assignor: Assignor, joined: Joined, turn: &mut Turn<'_>) -> Self {
        let mut members = Vec::with_capacity(joined.members.len());
        for member in joined.members {
            let subscription = Subscription::decode(member.metadata).unwrap_or_else(|malformed| {
                turn.push(Action::Unreadable {
                    member_id: member.member_id.clone(),
                    reason: malformed.to_string().into(),
                });
                Subscription::default()
            });
            members.push(Member {
                id: member.member_id,
                instance_id: member.instance_id,
                subscription,
            });
        }
        let wanted = members.iter().flat_map(|m| &m.subscription.topics);
        let topics: BTreeSet<_> = wanted.cloned().collect();
        Self {
            assignor,
            topics: topics.into_iter().collect(),
            members,
            skips: joined.skip_assignment,
            counts: None,
        }
    }

    pub(super) fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// Whether an assignment made now would be another one. A topic that is gone is none: whether it is deleted or
    /// only not known for a moment, its partitions disturb nobody.
    fn is_outdated(&self, now: &Counts) -> bool {
        let Some(counts) = &self.counts else {
            return false;
        };
        let wants = |topic| self.topics.binary_search(topic).is_ok();
        now.iter()
            .any(|(topic, count)| counts.get(topic) != Some(count) && wants(topic))
    }
}

impl Classic {
    pub(super) fn counted(&mut self, counts: Counts, turn: &mut Turn<'_>) {
        let Some(lead) = &mut self.lead else {
            return;
        };
        if self.phase != Phase::Counting {
            if lead.is_outdated(&counts) {
                self.rejoin
                    .get_or_insert_with(|| "cached metadata has changed".into());
            }
            return;
        }
        let assignor = lead.assignor;
        let members = std::mem::take(&mut lead.members);
        let mut assignments: Vec<(Arc<str>, _)> = Vec::new();
        if !lead.skips {
            let shares = assignor.assign(&members, &counts);
            for (member, partitions) in members.into_iter().zip(shares) {
                assignments.push((member.id, Assignment { partitions }.encode()));
            }
        }
        lead.counts = Some(counts);
        self.sync(assignor, assignments, turn);
    }
}
