//! One partition's queue, and how it is listed with its leader's sender.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::super::batch_result::BatchResult;
use super::super::clock::Clock;
use super::super::mark::Mark;
use crate::machine::produce::waiters::Key;
use crate::machine::produce::{BatchQueue, Limits, Missing, Readiness};
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
    pub(crate) clock: Clock,
    /// The time of the open batch's first record.
    first_time: i64,
    listed: bool,
    timer: Option<Instant>,
    /// Whether it is among the busy ones.
    pub(super) busy: bool,
    /// The last request that a batch was taken for: a request holds one batch a partition.
    taken_for: u64,
    /// Since the topic's metadata lacks the partition.
    missing: Option<Missing>,
}

/// What to tell the leader's sender about a queue, once its lock is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Now(BrokerId),
    At(BrokerId, Instant),
    Lingers(BrokerId, Instant),
}

impl PartitionQueue {
    pub(super) fn new(target: TopicPartition, limits: Limits, leader: Option<BrokerId>) -> Self {
        Self {
            target,
            locked: Mutex::new(LockedQueue {
                queue: BatchQueue::new(limits, leader),
                clock: Clock::default(),
                first_time: -1,
                listed: false,
                timer: None,
                busy: false,
                taken_for: 0,
                missing: None,
            }),
            backlog: AtomicU32::new(if leader.is_some() { 0 } else { LEADERLESS }),
        }
    }

    /// Whether the partition had no leader when its backlog was last published.
    pub(crate) fn is_leaderless(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) == LEADERLESS
    }

    /// What tells it from every other queue: where it is, for none is freed before its producer.
    pub(crate) fn key(&self) -> Key {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, LockedQueue> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Batches that waited when that was last published; `None` where the partition had no leader.
    pub(crate) fn published_backlog(&self) -> Option<u32> {
        let backlog = self.backlog.load(Ordering::Relaxed);
        (backlog != LEADERLESS).then_some(backlog)
    }

    /// Publishes how much waits; called before the lock is released.
    pub(crate) fn publish_backlog(&self, locked: &LockedQueue) {
        let backlog = match locked.queue.leader() {
            Some(_) => u32::try_from(locked.queue.backlog()).unwrap_or(LEADERLESS - 1),
            None => LEADERLESS,
        };
        self.backlog.store(backlog, Ordering::Relaxed);
    }
}

impl LockedQueue {
    /// What a record's handle needs to tell its time.
    #[inline]
    pub(crate) fn mark_time(&mut self, result: &BatchResult, index: u32, time: i64) -> Mark {
        result.mark(index, time, &mut self.first_time)
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

    /// Whether the sender looks at the queue as soon as it can.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    /// What to do about the queue's readiness; `None` when its sender knows already.
    pub(crate) fn plan(&mut self, now: Instant) -> Option<Plan> {
        let leader = self.queue.leader()?;
        match self.queue.readiness(now, false) {
            Readiness::No => None,
            Readiness::Now => {
                (!std::mem::replace(&mut self.listed, true)).then_some(Plan::Now(leader))
            }
            Readiness::At(at) => self.time(at).then_some(Plan::At(leader, at)),
            Readiness::Lingers(at) => self.time(at).then_some(Plan::Lingers(leader, at)),
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
    pub(crate) fn forget_plans(&mut self) {
        self.listed = false;
        self.timer = None;
    }
}
