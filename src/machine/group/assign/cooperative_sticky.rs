//! Cooperative sticky: as sticky, but members keep what they own while they join (KIP-429).
//!
//! What is to change its owner is first taken from the old one: it is in nobody's share until a member that owned
//! it has joined again without it.

use bytes::{BufMut, Bytes, BytesMut};

use super::balance::{Claim, balance};
use super::shares::{PartitionCounts, Shares, Subscriber};

/// The generation in which the member's assignment was made. Java: `CooperativeStickyAssignor`'s user data version 0.
pub(super) fn user_data(generation: Option<i32>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(generation.unwrap_or(-1));
    out.freeze()
}

pub(super) fn assign(members: &[Subscriber], counts: &PartitionCounts) -> Shares {
    let claims: Vec<_> = members.iter().map(claim).collect();
    let balanced = balance(members, counts, &claims);
    let mut shares = balanced.shares;
    for (member, share) in shares.iter_mut().enumerate() {
        share.retain(|partition| {
            let owner = balanced.owners.get(partition);
            // Claimed by others alone, or by several of whom none is believed.
            owner.is_none_or(|owner| *owner == Some(member))
        });
    }
    shares
}

fn claim(member: &Subscriber) -> Claim {
    let subscription = &member.subscription;
    let told: Option<[u8; 4]> = subscription.user_data.first_chunk().copied();
    Claim {
        partitions: subscription.owned.clone(),
        generation: subscription.generation.or(told.map(i32::from_be_bytes)),
    }
}
