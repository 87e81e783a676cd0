//! Range: of each topic, neighbouring partitions to each member.
//!
//! Topics of the same count with the same members are shared out alike: partition n of each is the same member's.

use super::shares::{PartitionCounts, Shares, Subscriber, give, wanted};

/// Gives each topic's members a run of partitions each, the first ones one more where it does not come out even.
pub(super) fn assign(members: &[Subscriber], counts: &PartitionCounts) -> Shares {
    let mut shares = vec![Vec::new(); members.len()];
    for (topic, count, takers) in wanted(members, counts) {
        let ways = u32::try_from(takers.len()).unwrap_or(u32::MAX).max(1);
        let (each, more) = (count / ways, count % ways);
        let mut next = 0;
        for (place, member) in (0..ways).zip(takers) {
            let end = next + each + u32::from(place < more);
            for partition in next..end {
                give(&mut shares, member, topic, partition);
            }
            next = end;
        }
    }
    shares
}
