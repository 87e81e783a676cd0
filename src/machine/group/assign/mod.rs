//! How a group's leader shares the partitions out among the members: every partition of a topic to exactly one
//! member that wants the topic.

mod balance;
mod cooperative_sticky;
mod range;
mod round_robin;
mod shares;
mod sticky;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::config::Assignor;
use crate::types::TopicPartition;

pub(crate) use self::shares::{PartitionCounts, Shares, Subscriber};

impl Assignor {
    /// The name by which a group's members agree on it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep what they own while they join (KIP-429).
    pub(crate) fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }

    /// What a member tells the leader's assignor: what it was given last, and in which generation.
    pub(crate) fn user_data(self, given: &[TopicPartition], generation: Option<i32>) -> Bytes {
        match self {
            Self::Range | Self::RoundRobin => Bytes::new(),
            Self::Sticky => sticky::user_data(given, generation),
            Self::CooperativeSticky => cooperative_sticky::user_data(generation),
        }
    }

    /// Shares the partitions out.
    pub(crate) fn assign(self, members: &[Subscriber], counts: &PartitionCounts) -> Shares {
        let mut shares = match self {
            Self::Range => range::assign(members, counts),
            Self::RoundRobin => round_robin::assign(members, counts),
            Self::Sticky => sticky::assign(members, counts),
            Self::CooperativeSticky => cooperative_sticky::assign(members, counts),
        };
        for share in &mut shares {
            share.sort_unstable();
        }
        shares
    }
}
