//! What was made of a server's addresses so far: where to begin the next time, and what to tell of losses.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::outage::Outage;

/// What was made of a server's addresses so far, by which the next attempt knows where to begin.
#[derive(Debug, Default)]
pub(super) struct DialHistory {
    tried: Mutex<Tried>,
    /// Connections that were lost with requests on them.
    losses: Mutex<Option<Outage>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// The one that has answered last.
    good: Option<SocketAddr>,
    /// One that was begun with and has not answered, be it that nobody waited for it.
    begun: Option<SocketAddr>,
}

impl DialHistory {
    fn lock(&self) -> MutexGuard<'_, Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order in which to try addresses now.
    pub(super) fn order(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        order(addresses, *self.lock())
    }

    /// An attempt begins.
    pub(super) fn begun(&self, place: Option<SocketAddr>) {
        self.lock().begun = place;
    }

    /// A broker has answered there.
    pub(super) fn answered(&self, place: Option<SocketAddr>) {
        *self.lock() = Tried {
            good: place,
            begun: None,
        };
    }

    /// A connection was lost with requests on it; whether to tell of it.
    pub(super) fn lost(&self, now: Instant) -> bool {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses.get_or_insert_with(|| Outage::new(now)).failed(now)
    }
}

/// The order in which to try addresses: from behind the one that was tried in vain, or from the one that is good.
fn order(mut addresses: Vec<SocketAddr>, tried: Tried) -> Vec<SocketAddr> {
    let place = |wanted: Option<SocketAddr>| {
        let wanted = wanted?;
        addresses.iter().position(|address| *address == wanted)
    };
    let behind = place(tried.begun).map(|at| at + 1);
    if let Some(first) = behind.or_else(|| place(tried.good)) {
        let first = first % addresses.len().max(1);
        addresses.rotate_left(first);
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_begins_behind_what_did_not_answer_or_with_what_is_good() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let all = || vec![at(1), at(2), at(3)];
        let ports = |begun: Option<u16>, good: Option<u16>| {
            let tried = Tried {
                good: good.map(at),
                begun: begun.map(at),
            };
            let ordered = order(all(), tried);
            ordered.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        for (begun, good, expected) in [
            (None, None, [1, 2, 3]),
            (Some(1), None, [2, 3, 1]),
            (Some(3), None, [1, 2, 3]),
            (None, Some(2), [2, 3, 1]),
            (Some(2), Some(2), [3, 1, 2]),
            // The name stands for others by now.
            (Some(9), Some(8), [1, 2, 3]),
            (Some(9), Some(3), [3, 1, 2]),
        ] {
            assert_eq!(ports(begun, good), expected, "{begun:?} {good:?}");
        }
        assert!(order(Vec::new(), Tried::default()).is_empty());
    }
}
