//! The queues that one broker's sender has to look at: those that are ready, and those that will be.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::partition_queue::PartitionQueue;

/// The queues to look at, and when.
#[derive(Default)]
pub(super) struct ReadyList {
    now: VecDeque<Listed>,
    /// Queues that wait before they try again.
    later: BinaryHeap<Reverse<Later>>,
    /// Queues whose open batch lingers, by the time when that ends.
    lingering: VecDeque<Later>,
    /// The broker asked for less: nothing is sent before.
    muted_until: Option<Instant>,
}

/// A queue to look at when the time has come.
struct Later {
    at: Instant,
    queue: Arc<PartitionQueue>,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// A queue from the list, with the time it was listed for.
pub(crate) struct Listed {
    pub(crate) queue: Arc<PartitionQueue>,
    pub(crate) timer: Option<Instant>,
}

/// How much is left of one look at the queues that are due.
pub(crate) struct Sweep {
    now: Instant,
    ready: usize,
    lingering: usize,
}

impl ReadyList {
    fn is_later_due(&self, now: Instant) -> bool {
        let first = self.later.peek();
        first.is_some_and(|Reverse(first)| first.at <= now)
    }

    /// Whether no queue is ready.
    pub(super) fn is_none_ready(&self) -> bool {
        self.now.is_empty()
    }

    /// Lists a queue that is ready.
    pub(super) fn now(&mut self, queue: Arc<PartitionQueue>) {
        self.now.push_back(Listed { queue, timer: None });
    }

    /// Lists a queue that will be ready; tells whether none will be sooner.
    pub(super) fn at(&mut self, at: Instant, queue: Arc<PartitionQueue>) -> bool {
        let soonest = self.next_time().is_none_or(|first| at < first);
        self.later.push(Reverse(Later { at, queue }));
        soonest
    }

    /// Lists a queue whose open batch lingers until `at`; tells whether none will be ready sooner.
    pub(super) fn lingering(&mut self, at: Instant, queue: Arc<PartitionQueue>) -> bool {
        let soonest = self.next_time().is_none_or(|first| at < first);
        // All linger for the same time: nearly always it is the last one.
        let behind = self
            .lingering
            .iter()
            .rev()
            .take_while(|l| l.at > at)
            .count();
        let place = self.lingering.len() - behind;
        self.lingering.insert(place, Later { at, queue });
        soonest
    }

    /// Begins to look at the queues that are due: those listed as ready, those whose time has come, and if `rush` those
    /// that linger. What is listed meanwhile is for the next sweep.
    pub(super) fn sweep(&self, now: Instant, rush: bool) -> Sweep {
        Sweep {
            now,
            ready: self.now.len(),
            lingering: if rush {
                self.lingering.len()
            } else {
                self.lingering.partition_point(|first| first.at <= now)
            },
        }
    }

    /// The sweep's next queue.
    pub(super) fn next_due(&mut self, sweep: &mut Sweep) -> Option<Listed> {
        if sweep.ready > 0 {
            sweep.ready -= 1;
            return self.now.pop_front();
        }
        let later = if self.is_later_due(sweep.now) {
            self.later.pop().map(|Reverse(later)| later)
        } else if sweep.lingering > 0 {
            sweep.lingering -= 1;
            self.lingering.pop_front()
        } else {
            None
        };
        later.map(|Later { at, queue }| Listed {
            queue,
            timer: Some(at),
        })
    }

    /// Puts back what was taken but not used, before everything else.
    pub(super) fn put_back(&mut self, unused: Listed) {
        self.now.push_front(unused);
    }

    /// Whether there is a queue to look at now.
    pub(super) fn has_due(&self, now: Instant, rush: bool) -> bool {
        !self.now.is_empty()
            || self.is_later_due(now)
            || self.lingering.front().is_some_and(|l| rush || l.at <= now)
    }

    /// When to look again without being woken.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let later = self.later.peek().map(|Reverse(first)| first.at);
        let lingers = self.lingering.front().map(|first| first.at);
        later.into_iter().chain(lingers).min()
    }

    /// The broker asked to be left alone until then.
    pub(super) fn mute(&mut self, until: Instant) {
        self.muted_until = self.muted_until.max(Some(until));
    }

    /// Until when it wants to be left alone, if it does.
    pub(super) fn muted_until(&self, now: Instant) -> Option<Instant> {
        self.muted_until.filter(|until| *until > now)
    }
}
