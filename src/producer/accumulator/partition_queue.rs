//! One partition's queue, and how it is listed with its leader's sender.
//!
//! Its lock is private to this file: who changes the queue gets a [`Changed`], which has to be carried out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::super::batch_result::BatchResult;
use super::super::buffer_pool::Allocator;
use super::super::clock::{Clock, TICKER};
use super::super::delivery::Delivery;
use super::super::mark::Mark;
use super::changed::{Changed, EndedBatches, Listing};
use crate::batch::RecordParts;
use crate::machine::produce::waiters::Key;
use crate::machine::produce::{Append, BatchQueue, Limits, Missing, Readiness, Room};
use crate::record::millis;
use crate::types::{BrokerId, TopicPartition};

/// No partition without a leader has a backlog.
const LEADERLESS: u32 = u32::MAX;

/// One partition's queue, and how it is listed with its leader's sender.
pub(crate) struct PartitionQueue {
    pub(crate) target: TopicPartition,
    locked: Mutex<LockedQueue>,
    /// Batches that wait, for the choice of the sticky partition.
    backlog: AtomicU32,
}

/// What a queue's lock protects.
pub(crate) struct LockedQueue {
    pub(crate) queue: BatchQueue<Arc<BatchResult>>,
    clock: Clock,
    listed: bool,
    timer: Option<Instant>,
    /// Whether it is among the busy ones.
    pub(super) busy: bool,
    /// The last request that a batch was taken for: a request holds one batch a partition.
    taken_for: u64,
    /// Since the topic's metadata lacks the partition.
    missing: Option<Missing>,
}

/// What became of a record.
pub(crate) enum Appended {
    /// It has its place in the open batch; nothing else has changed.
    Added(Delivery),
    /// It opened a batch, and the one before may be ready.
    Opened(Changed<Opened>),
    /// It was not added.
    Not(Changed<Append<Arc<BatchResult>>>),
}

/// The first record of a batch.
pub(crate) struct Opened {
    pub(crate) delivery: Delivery,
    /// Nobody watches the queue's delivery timeout yet.
    pub(crate) first: bool,
    pub(crate) leaderless: bool,
}

/// Memory and results for one partition's queue.
struct QueueRoom<'a> {
    allocator: Allocator<'a>,
    queue: &'a PartitionQueue,
}

impl Room<Arc<BatchResult>> for QueueRoom<'_> {
    fn buffer(&mut self, least: usize, most: usize) -> Option<(Vec<u8>, usize)> {
        self.allocator.buffer(least, most)
    }

    fn grow(&mut self, least: usize, most: usize) -> Option<usize> {
        self.allocator.grow(least, most)
    }

    fn others(&mut self) -> Option<usize> {
        self.allocator.others()
    }

    fn result(&mut self) -> Arc<BatchResult> {
        Arc::new(BatchResult::new(self.queue.target.clone()))
    }
}

impl PartitionQueue {
    pub(super) fn new(target: TopicPartition, limits: Limits, leader: Option<BrokerId>) -> Self {
        Self {
            target,
            locked: Mutex::new(LockedQueue {
                queue: BatchQueue::new(limits, leader),
                clock: Clock::default(),
                listed: false,
                timer: None,
                busy: false,
                taken_for: 0,
                missing: None,
            }),
            backlog: AtomicU32::new(if leader.is_some() { 0 } else { LEADERLESS }),
        }
    }

    /// What tells it from every other queue: where it is, for none is freed before its producer.
    pub(crate) fn key(&self) -> Key {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, LockedQueue> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the queue.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&BatchQueue<Arc<BatchResult>>) -> R) -> R {
        look(&self.lock().queue)
    }

    /// Changes the queue; batches that end by it are to be added to the second argument.
    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut LockedQueue, &mut EndedBatches) -> R,
    ) -> Changed<R> {
        let (mut locked, mut ended) = (self.lock(), Vec::new());
        let result = change(&mut locked, &mut ended);
        self.changed(&mut locked, result, ended)
    }

    /// The same for what may find nothing to change: then the queue must be as it was.
    pub(crate) fn try_change<R>(
        &self,
        change: impl FnOnce(&mut LockedQueue, &mut EndedBatches) -> Option<R>,
    ) -> Option<Changed<R>> {
        let (mut locked, mut ended) = (self.lock(), Vec::new());
        let result = change(&mut locked, &mut ended)?;
        Some(self.changed(&mut locked, result, ended))
    }

    /// Finds out what a change leaves to be done; with the lock held.
    fn changed<R>(&self, locked: &mut LockedQueue, result: R, ended: EndedBatches) -> Changed<R> {
        self.publish_backlog(locked);
        let listing = locked.listing(tokio::time::Instant::now().into_std());
        Changed::new(result, ended, listing)
    }

    /// Begins to append a record.
    #[inline]
    pub(crate) fn begin_append(self: &Arc<Self>) -> Appending<'_> {
        Appending {
            queue: self,
            locked: self.lock(),
        }
    }

    fn not_added(&self, locked: &mut LockedQueue, append: Append<Arc<BatchResult>>) -> Appended {
        // Nothing has changed where many wait for what is on its way already.
        if locked.queue.has_open() || locked.listed {
            self.publish_backlog(locked);
            return Appended::Not(Changed::new(append, Vec::new(), None));
        }
        Appended::Not(self.changed(locked, append, Vec::new()))
    }

    /// Batches that waited when that was last published; `None` where the partition had no leader.
    pub(crate) fn published_backlog(&self) -> Option<u32> {
        let backlog = self.backlog.load(Ordering::Relaxed);
        (backlog != LEADERLESS).then_some(backlog)
    }

    /// Publishes how much waits; called before the lock is released.
    fn publish_backlog(&self, locked: &LockedQueue) {
        let backlog = match locked.queue.leader() {
            Some(_) => u32::try_from(locked.queue.backlog()).unwrap_or(LEADERLESS - 1),
            None => LEADERLESS,
        };
        self.backlog.store(backlog, Ordering::Relaxed);
    }
}

/// A record's append, with the queue's lock.
pub(crate) struct Appending<'a> {
    queue: &'a Arc<PartitionQueue>,
    locked: MutexGuard<'a, LockedQueue>,
}

impl Appending<'_> {
    /// The time of a record that is made now.
    #[inline]
    pub(crate) fn time(&mut self) -> i64 {
        let locked = &mut *self.locked;
        let fresh = !locked.queue.has_open();
        locked
            .clock
            .now(&TICKER, fresh, || millis(SystemTime::now()))
    }

    /// Appends to the open batch, if it has room as it is; nothing else changes. `bound` is the record's largest
    /// possible size, `sticky` tells that it has no key.
    #[inline]
    pub(crate) fn try_append(
        &mut self,
        parts: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
    ) -> Option<Delivery> {
        let (result, index) = self.locked.queue.try_append(parts, bound, sticky)?;
        let mark = self.locked.mark_time(&result, index, parts.timestamp);
        Some(Delivery::new(result, index, mark))
    }

    /// Appends where the open batch must grow, or gives way to another, for which there may be no memory; `on_open` sees
    /// the queue whose batch was opened, under its lock.
    #[cold]
    pub(crate) fn append(
        mut self,
        parts: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
        allocator: Allocator<'_>,
        on_open: impl FnOnce(&mut LockedQueue),
    ) -> Appended {
        let (queue, locked) = (self.queue, &mut *self.locked);
        let now = || tokio::time::Instant::now().into_std();
        let mut room = QueueRoom { allocator, queue };
        let added = match locked.queue.append(parts, bound, sticky, now, &mut room) {
            Append::Added(added) => added,
            other => return queue.not_added(locked, other),
        };
        let mark = locked.mark_time(&added.result, added.index, parts.timestamp);
        let delivery = Delivery::new(added.result, added.index, mark);
        if !added.opened {
            return Appended::Added(delivery);
        }
        let opened = Opened {
            delivery,
            first: added.first,
            leaderless: locked.queue.leader().is_none(),
        };
        on_open(locked);
        Appended::Opened(queue.changed(locked, opened, Vec::new()))
    }
}

impl LockedQueue {
    /// What the handle of a record of the open batch needs to tell its time.
    #[inline]
    fn mark_time(&self, result: &BatchResult, index: u32, time: i64) -> Mark {
        result.mark(index, time, self.queue.open_since())
    }

    /// The topic's metadata has the partition.
    pub(crate) fn found(&mut self) {
        self.missing = None;
    }

    /// The topic's metadata lacks the partition, after so many answers: whether it is gone for good.
    pub(crate) fn is_gone(&mut self, now: Instant, answers: u64) -> bool {
        let missing = self.missing.get_or_insert(Missing::new(now, answers));
        missing.is_gone(now, answers)
    }

    /// What to do about the queue's readiness; `None` when its sender knows already.
    fn listing(&mut self, now: Instant) -> Option<Listing> {
        let leader = self.queue.leader()?;
        match self.queue.readiness(now, false) {
            Readiness::No => None,
            Readiness::Now => {
                (!std::mem::replace(&mut self.listed, true)).then_some(Listing::Now(leader))
            }
            Readiness::At(at) => self.time(at).then_some(Listing::At(leader, at)),
            Readiness::Lingers(at) => self.time(at).then_some(Listing::Lingers(leader, at)),
        }
    }

    /// Notes when the sender is to look at the queue, unless it will earlier.
    fn time(&mut self, at: Instant) -> bool {
        let sooner = self.timer.is_none_or(|timer| at < timer);
        if sooner {
            self.timer = Some(at);
        }
        sooner
    }

    /// The sender has taken the queue from its list, or its timer has fired.
    pub(crate) fn unlist(&mut self, timer: Option<Instant>) {
        match timer {
            None => self.listed = false,
            Some(_) if self.timer == timer => self.timer = None,
            Some(_) => {}
        }
    }

    /// Whether a batch was taken for `request` already; if not, one is about to be.
    pub(crate) fn taken_before(&mut self, request: u64) -> bool {
        std::mem::replace(&mut self.taken_for, request) == request
    }

    /// A new leader's sender knows nothing of the queue yet.
    pub(crate) fn forget_listings(&mut self) {
        self.listed = false;
        self.timer = None;
    }
}
