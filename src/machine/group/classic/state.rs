//! Where a member is to be, where it is on its way, and what it knows there and nowhere else.

use std::sync::Arc;

use super::lead::{Lead, Sharing};
use crate::config::Assignor;
use crate::machine::group::member::CallId;
use crate::types::{TopicName, TopicPartition};

/// A reason in words for the broker's log (KIP-800).
pub(super) type Reason = Arc<str>;

/// Where the member is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    In,
    /// Outside until the application asks for records again.
    Paused,
    /// Outside, without a subscription.
    Out,
    /// Outside, since no try can succeed.
    Stopped,
    /// Outside, and the consumer is closed.
    Closed,
    /// The same, and it has been told that all is done.
    Left,
}

/// Where the member is; the way is drawn in `classic.rs`.
#[derive(Debug)]
pub(super) enum MemberState {
    /// It has no part in the group, as far as it knows itself.
    Outside,
    /// The leave request is on its way.
    Leaving { call: CallId },
    /// It is to join, as soon as the coordinator is known and nothing is being done with its partitions.
    Unjoined {
        /// The generation that it was a member of, and still may commit in.
        from: Option<i32>,
        /// Why it joins, where there is more to say than that it is new.
        why: Option<Reason>,
    },
    /// The join waits at the coordinator. Kafka: `PREPARING_REBALANCE`.
    Joining {
        call: CallId,
        from: Option<i32>,
        terms: Terms,
    },
    /// The leader learns how many partitions there are. Kafka: `COMPLETING_REBALANCE`.
    Counting(Begun, Sharing),
    /// The sync waits at the coordinator. Kafka: `COMPLETING_REBALANCE`.
    Syncing { call: CallId, begun: Begun },
    /// The assignment is being carried out.
    Settling(Generation),
    /// All that is assigned is owned, and nothing else.
    Stable(Generation),
    /// What may not be brought into the next generation is being given up.
    Preparing(Generation, Reason),
}

/// With what a member joins.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) topics: Arc<[TopicName]>,
    /// The partitions that it said it owns, sorted.
    pub(super) brought: Vec<TopicPartition>,
}

/// A generation that has no assignment yet.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: i32,
    pub(super) assignor: Assignor,
    pub(super) terms: Terms,
    /// What the leader made the assignment of.
    pub(super) lead: Option<Lead>,
}

/// A generation with the member's assignment.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) id: i32,
    terms: Terms,
    /// For the leader alone.
    lead: Option<Lead>,
    /// Sorted.
    pub(super) assignment: Vec<TopicPartition>,
    /// The coordinator has said that the next one is being prepared.
    pub(super) is_over: bool,
}

impl MemberState {
    /// The generation as whose member it may be known to the coordinator.
    pub(super) fn generation(&self) -> Option<i32> {
        match self {
            Self::Outside | Self::Leaving { .. } => None,
            Self::Unjoined { from, .. } | Self::Joining { from, .. } => *from,
            Self::Counting(begun, _) | Self::Syncing { begun, .. } => Some(begun.id),
            Self::Settling(generation)
            | Self::Stable(generation)
            | Self::Preparing(generation, _) => Some(generation.id),
        }
    }

    pub(super) fn is_out(&self) -> bool {
        matches!(self, Self::Outside | Self::Leaving { .. })
    }

    /// Whether a join or a sync waits at the coordinator: it holds the session.
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Joining { .. } | Self::Syncing { .. })
    }

    /// Whether the session hangs on heartbeats: nothing behind a join or a sync on the connection would be read.
    pub(super) fn is_beating(&self) -> bool {
        match self {
            Self::Counting(..) | Self::Settling(_) | Self::Stable(_) | Self::Preparing(..) => true,
            Self::Outside
            | Self::Leaving { .. }
            | Self::Unjoined { .. }
            | Self::Joining { .. }
            | Self::Syncing { .. } => false,
        }
    }

    /// Whether the member is between two generations: no commit counts.
    pub(super) fn is_between(&self) -> bool {
        matches!(self, Self::Counting(..) | Self::Syncing { .. })
    }

    /// Whether it is this call whose answer is waited for.
    pub(super) fn waits_for(&self, answered: CallId) -> bool {
        match self {
            Self::Leaving { call } | Self::Joining { call, .. } | Self::Syncing { call, .. } => {
                *call == answered
            }
            _ => false,
        }
    }

    /// What a leader has made the assignment of.
    pub(super) fn lead(&mut self) -> Option<&mut Lead> {
        match self {
            Self::Syncing { begun, .. } => begun.lead.as_mut(),
            Self::Settling(generation) | Self::Stable(generation) => generation.lead.as_mut(),
            _ => None,
        }
    }

    /// To join as the member of the generation that it is.
    pub(super) fn unjoined(&self, why: Option<Reason>) -> Self {
        Self::Unjoined {
            from: self.generation(),
            why,
        }
    }
}

impl Begun {
    pub(super) fn with(self, assignment: Vec<TopicPartition>) -> Generation {
        let Self {
            id, terms, lead, ..
        } = self;
        Generation {
            id,
            terms,
            lead,
            assignment,
            is_over: false,
        }
    }
}

impl Generation {
    /// Why a member of it that owns these and wants those topics has to join again.
    pub(super) fn why_over(
        &self,
        owned: &[TopicPartition],
        topics: &[TopicName],
    ) -> Option<&'static str> {
        let wants = |partition: &TopicPartition| topics.contains(partition.name());
        let is_left_out = |partition: &TopicPartition| !contains(&self.assignment, partition);
        if *topics != *self.terms.topics {
            Some("subscription has changed")
        } else if self.is_over {
            Some("group is already rebalancing")
        } else if self.lead.as_ref().is_some_and(Lead::is_outdated) {
            Some("cached metadata has changed")
        } else if !self.assignment.iter().all(wants) {
            Some("received assignment does not match the current subscription")
        } else if self.terms.brought.iter().any(is_left_out) {
            // The others are given it only in a generation that it was not brought into.
            Some("need to revoke partitions and re-join")
        } else if *owned != *self.assignment {
            // The group takes them for this member's.
            Some("partitions were given up while leaving")
        } else {
            None
        }
    }
}

fn contains(sorted: &[TopicPartition], partition: &TopicPartition) -> bool {
    sorted.binary_search(partition).is_ok()
}
