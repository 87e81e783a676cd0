//! What every assignor is told, what it returns, and the orders that it goes by.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::group::protocol::Subscription;
use crate::types::{TopicName, TopicPartition};

/// One member, as the leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: Arc<str>,
    /// Of a static member (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) subscription: Subscription,
}

/// How many partitions each topic has; topics that are not known are left out.
pub(crate) type PartitionCounts = BTreeMap<TopicName, u32>;

/// Each member's partitions, in the order of the members; sorted, as the subscriptions' own lists are.
pub(crate) type Shares = Vec<Vec<TopicPartition>>;

/// Java's order of members: the static ones by instance id, then the others by member id; as indices.
pub(super) fn in_order(members: &[Subscriber]) -> Vec<usize> {
    let key = |member: &&Subscriber| match &member.instance_id {
        Some(instance) => (false, instance.clone()),
        None => (true, member.id.clone()),
    };
    let mut order: Vec<_> = members.iter().enumerate().collect();
    order.sort_by_key(|(_, member)| key(member));
    order.into_iter().map(|(index, _)| index).collect()
}

/// Topics that some member wants, with their partition counts and the members, in Java's order, that want them.
pub(super) fn wanted<'a>(
    members: &[Subscriber],
    counts: &'a PartitionCounts,
) -> Vec<(&'a TopicName, u32, Vec<usize>)> {
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
pub(super) fn give(shares: &mut Shares, member: usize, topic: &TopicName, partition: u32) {
    // A broker's counts are of i32.
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    if let Some(share) = shares.get_mut(member) {
        share.push(TopicPartition::new(topic.clone(), partition));
    }
}
