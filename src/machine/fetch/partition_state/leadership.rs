//! Who leads a partition, and which broker it is fetched from.
//!
//! ```text
//!            names a nearer replica (KIP-392)
//!   Leader ──────────────────────────────────▶ Replica(until)
//!      ◀────────────────────────────────────── time is up, it fails, or the leader is another
//! ```

use std::time::Instant;

use crate::types::BrokerId;

/// The leader as the cluster's metadata has it, and the replica that it has named.
#[derive(Debug)]
pub(super) struct Leadership {
    pub(super) leader: Option<BrokerId>,
    /// -1 when it is not known.
    pub(super) epoch: i32,
    replica: Option<(BrokerId, Instant)>,
    /// Another broker is to fetch it, or the same one in another way: its loop was not told yet.
    moved: bool,
}

impl Leadership {
    pub(super) const UNKNOWN: Self = Self {
        leader: None,
        epoch: -1,
        replica: None,
        moved: false,
    };

    /// Another leader, or another epoch of it: what replica it would name is not known.
    pub(super) fn change(&mut self, leader: Option<BrokerId>, epoch: i32) {
        (self.leader, self.epoch) = (leader, epoch);
        self.replica = None;
        self.moved = true;
    }

    /// Its loop is to be told that it is fetched in another way.
    pub(super) fn moves(&mut self) {
        self.moved = true;
    }

    /// Whether the loop of the broker to fetch from is to be told of this partition.
    pub(super) fn take_moved(&mut self, now: Instant) -> bool {
        let is_over = self.replica.take_if(|(_, until)| *until <= now).is_some();
        std::mem::take(&mut self.moved) || is_over
    }

    pub(super) fn fetch_node(&self, now: Instant) -> Option<BrokerId> {
        match self.replica {
            Some((replica, until)) if now < until => Some(replica),
            _ => self.leader,
        }
    }

    pub(super) fn prefer(&mut self, replica: BrokerId, until: Instant) {
        self.replica = Some((replica, until));
        self.moved = true;
    }

    /// Back to the leader from this replica, or from any; `false` when it is fetched from another one, or the leader.
    pub(super) fn leave_replica(&mut self, which: Option<BrokerId>) -> bool {
        let is_it = |(replica, _): &mut (BrokerId, Instant)| which.is_none_or(|it| *replica == it);
        let is_left = self.replica.take_if(is_it).is_some();
        self.moved |= is_left;
        is_left
    }

    pub(super) fn replica_until(&self) -> Option<Instant> {
        self.replica.map(|(_, until)| until)
    }
}
