//! How a group's leader shares the partitions out among the members: every partition of a topic to exactly one
//! member that wants the topic.

mod balance;
mod cooperative_sticky;
mod range;
mod round_robin;
mod sticky;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::protocol::Subscription;
use crate::config::Assignor;
use crate::types::{TopicName, TopicPartition};

/// One member, as the leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// Of a static member (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) subscription: Subscription,
}

/// How many partitions each topic has; topics that are not known are left out.
pub(crate) type Counts = BTreeMap<TopicName, u32>;

/// Each member's partitions, in the order of the members; sorted, as the subscriptions' own lists are.
pub(crate) type Shares = Vec<Vec<TopicPartition>>;

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
    pub(crate) fn assign(self, members: &[Member], counts: &Counts) -> Shares {
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

/// Java's order of members: the static ones by instance id, then the others by member id; as indices.
fn in_order(members: &[Member]) -> Vec<usize> {
    let key = |member: &&Member| match &member.instance_id {
        Some(instance) => (false, instance.clone()),
        None => (true, member.id.clone()),
    };
    let mut order: Vec<_> = members.iter().enumerate().collect();
    order.sort_by_key(|(_, member)| key(member));
    order.into_iter().map(|(index, _)| index).collect()
}

/// Topics that some member wants, with their partition counts and the members, in Java's order, that want them.
fn wanted<'a>(members: &[Member], counts: &'a Counts) -> Vec<(&'a TopicName, u32, Vec<usize>)> {
    let mut wanted: BTreeMap<&TopicName, (u32, Vec<usize>)> = BTreeMap::new();
    for index in in_order(members) {
        let topics = members.get(index).map(|m| m.subscription.topics.as_slice());
        for topic in topics.unwrap_or_default() {
            if let Some((topic, count)) = counts.get_key_value(topic) {
                let (_, takers) = wanted.entry(topic).or_insert((*count, Vec::new()));
                takers.push(index);
            }
        }
    }
    wanted
        .into_iter()
        .map(|(topic, (count, takers))| (topic, count, takers))
        .collect()
}

/// Gives one partition to a member.
fn give(shares: &mut Shares, member: usize, topic: &TopicName, partition: u32) {
    // A broker's counts are of i32.
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    if let Some(share) = shares.get_mut(member) {
        share.push(TopicPartition::new(topic.clone(), partition));
    }
}
