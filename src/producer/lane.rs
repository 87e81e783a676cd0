//! What one broker's sender has to look at: queues that are ready, and queues that will be.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::topics::PartitionQueue;
use crate::error::Error;
use crate::types::BrokerId;

/// One broker's list.
pub(crate) struct Lane {
    pub(crate) broker: BrokerId,
    list: Mutex<List>,
    wake: Notify,
    /// Requests without an answer yet.
    in_flight: AtomicUsize,
    requests: AtomicU64,
    /// Why nothing can be sent, since the last time that something could.
    trouble: Mutex<Option<Arc<Error>>>,
}

#[derive(Default)]
struct List {
    now: VecDeque<Listed>,
    later: BinaryHeap<Reverse<Later>>,
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

impl Lane {
    pub(crate) fn new(broker: BrokerId) -> Self {
        Self {
            broker,
            list: Mutex::default(),
            wake: Notify::new(),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a queue that is ready.
    pub(crate) fn list_now(&self, queue: Arc<PartitionQueue>) {
        self.list().now.push_back(Listed { queue, timer: None });
        self.wake.notify_one();
    }

    /// Lists a queue that will be ready.
    pub(crate) fn list_at(&self, at: Instant, queue: Arc<PartitionQueue>) {
        let soonest = {
            let mut list = self.list();
            let soonest = list.later.peek().is_none_or(|Reverse(first)| at < first.at);
            list.later.push(Reverse(Later { at, queue }));
            soonest
        };
        if soonest {
            self.wake.notify_one();
        }
    }

    /// Lists every queue as ready, whatever its time: somebody waits for memory.
    pub(crate) fn rush(&self) {
        {
            let mut list = self.list();
            let later = std::mem::take(&mut list.later);
            let rushed = later
                .into_iter()
                .map(|Reverse(Later { at, queue })| Listed {
                    queue,
                    timer: Some(at),
                });
            list.now.extend(rushed);
        }
        self.wake.notify_one();
    }

    /// The queues to look at now: those listed as ready, and those whose time has come.
    pub(crate) fn due(&self, now: Instant) -> Vec<Listed> {
        let mut list = self.list();
        let mut due: Vec<_> = list.now.drain(..).collect();
        while list
            .later
            .peek()
            .is_some_and(|Reverse(first)| first.at <= now)
        {
            if let Some(Reverse(Later { at, queue })) = list.later.pop() {
                due.push(Listed {
                    queue,
                    timer: Some(at),
                });
            }
        }
        due
    }

    /// Puts back what was taken but not used, before everything else.
    pub(crate) fn put_back(&self, unused: impl DoubleEndedIterator<Item = Listed>) {
        let mut list = self.list();
        for listed in unused.rev() {
            list.now.push_front(listed);
        }
    }

    /// Whether there is a queue to look at now.
    pub(crate) fn has_due(&self, now: Instant) -> bool {
        let list = self.list();
        !list.now.is_empty()
            || list
                .later
                .peek()
                .is_some_and(|Reverse(first)| first.at <= now)
    }

    /// When to look again without being woken.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.list().later.peek().map(|Reverse(first)| first.at)
    }

    pub(crate) fn mute(&self, until: Instant) {
        let mut list = self.list();
        list.muted_until = list.muted_until.max(Some(until));
    }

    pub(crate) fn muted_until(&self, now: Instant) -> Option<Instant> {
        self.list().muted_until.filter(|until| *until > now)
    }

    /// A number for the next request, above 0 and different from all before.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn note_trouble(&self, error: Option<Arc<Error>>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    pub(crate) fn trouble(&self) -> Option<Arc<Error>> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn sending(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// A request was answered, or never will be.
    pub(crate) fn landed(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
