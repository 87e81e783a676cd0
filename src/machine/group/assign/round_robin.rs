//! Round robin: one partition after another, of all topics, to one member after another.

use super::shares::{PartitionCounts, Shares, Subscriber, give, in_order};
use crate::types::TopicName;

/// Deals the partitions out; a member that does not want the topic is passed over.
pub(super) fn assign(members: &[Subscriber], counts: &PartitionCounts) -> Shares {
    let mut shares = vec![Vec::new(); members.len()];
    let mut turn = in_order(members).into_iter().cycle().peekable();
    for (topic, count) in counts {
        if !members.iter().any(|member| wants(member, topic)) {
            continue;
        }
        for partition in 0..*count {
            // Somebody wants it, so that the turn comes to an end.
            for member in turn.by_ref() {
                if members.get(member).is_some_and(|m| wants(m, topic)) {
                    give(&mut shares, member, topic, partition);
                    break;
                }
            }
        }
    }
    shares
}

fn wants(member: &Subscriber, topic: &TopicName) -> bool {
    member.subscription.topics.binary_search(topic).is_ok()
}
