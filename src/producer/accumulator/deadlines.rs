//! When batches have waited for so long that they end: queues by their oldest batch.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::partition_queue::PartitionQueue;

/// Queues by the time their oldest batch's delivery timeout ends; each queue is here at most once.
#[derive(Default)]
pub(crate) struct Deadlines {
    heap: Mutex<BinaryHeap<Reverse<Deadline>>>,
    changed: Notify,
}

struct Deadline {
    at: Instant,
    queue: Arc<PartitionQueue>,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Deadlines {
    fn heap(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Deadline>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at `queue` again at `at`.
    pub(crate) fn watch(&self, at: Instant, queue: Arc<PartitionQueue>) {
        let soonest = {
            let mut heap = self.heap();
            let soonest = heap.peek().is_none_or(|Reverse(first)| at < first.at);
            heap.push(Reverse(Deadline { at, queue }));
            soonest
        };
        if soonest {
            self.changed.notify_one();
        }
    }

    /// Waits until there is something sooner to look at, or [`wake`](Self::wake) is called.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Wakes the watcher for a look at the producer's state.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// When a queue is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap().peek().map(|Reverse(first)| first.at)
    }

    /// Takes a queue whose time has come.
    pub(crate) fn pop(&self, now: Instant) -> Option<Arc<PartitionQueue>> {
        let mut heap = self.heap();
        if heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
            heap.pop().map(|Reverse(deadline)| deadline.queue)
        } else {
            None
        }
    }
}
