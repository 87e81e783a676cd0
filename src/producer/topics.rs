//! The topics that records go to, with a queue for each partition.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::HashMap;

use super::batch_result::BatchResult;
use super::clock::Clock;
use crate::machine::produce::waiters::Key;
use crate::machine::produce::{self, BatchQueue, Limits, Readiness};
use crate::machine::topology::Topic;
use crate::types::{BrokerId, TopicPartition};

/// No partition without a leader has a backlog.
const LEADERLESS: u32 = u32::MAX;

/// One topic's queues.
pub(crate) struct TopicQueues {
    /// Queues by partition; those past `partitions` belong to partitions that are gone.
    pub(crate) queues: Vec<Arc<PartitionQueue>>,
    pub(crate) partitions: u32,
    /// The partition for records without a key.
    pub(crate) sticky: AtomicU32,
    /// The turn of round robin.
    pub(crate) turn: AtomicU32,
    /// `USED`, `UNUSED` or `FORGOTTEN`, since it was asked last.
    usage: AtomicU8,
}

/// A batch was opened.
const USED: u8 = 0;
/// None was, so far.
const UNUSED: u8 = 1;
/// Nor was one for so long that the topic was given up.
const FORGOTTEN: u8 = 2;

impl TopicQueues {
    /// The queues of `topic`; those of `before` go on.
    pub(crate) fn new(topic: &Topic, before: Option<&Self>, limits: Limits) -> Self {
        let old = before.map_or(&[][..], |before| &before.queues);
        let mut queues: Vec<_> = old.to_vec();
        let missing = topic.partitions.iter().enumerate().skip(queues.len());
        queues.extend(missing.map(|(number, partition)| {
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            let target = TopicPartition::new(Arc::clone(&topic.name), number);
            Arc::new(PartitionQueue::new(target, limits, partition.leader))
        }));
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        let start = || AtomicU32::new(fastrand::u32(0..partitions.max(1)));
        let topic = Self {
            queues,
            partitions,
            sticky: before.map_or_else(start, |b| AtomicU32::new(b.sticky.load(Ordering::Relaxed))),
            turn: before.map_or_else(start, |b| AtomicU32::new(b.turn.load(Ordering::Relaxed))),
            usage: AtomicU8::new(USED),
        };
        topic.leave_leaderless(false);
        topic
    }

    /// Whether the topic was given up: it must be looked up again before the next record.
    #[inline]
    pub(crate) fn is_forgotten(&self) -> bool {
        self.usage.load(Ordering::Relaxed) == FORGOTTEN
    }

    /// A batch is opened, or the topic was looked up; tells whether it had been given up.
    pub(crate) fn note_use(&self) -> bool {
        self.usage.load(Ordering::Relaxed) != USED
            && self.usage.swap(USED, Ordering::SeqCst) == FORGOTTEN
    }

    /// Whether a batch was opened since this was asked last.
    pub(crate) fn take_use(&self) -> bool {
        let asked = self
            .usage
            .compare_exchange(USED, UNUSED, Ordering::SeqCst, Ordering::SeqCst);
        asked.is_ok()
    }

    /// Gives the topic up; `false` when a batch was opened just now.
    pub(crate) fn give_up(&self) -> bool {
        self.usage
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |usage| {
                (usage != USED).then_some(FORGOTTEN)
            })
            .is_ok()
    }

    /// Whether records wait in a queue, and whether that is because there is no leader.
    pub(crate) fn waits(&self) -> (bool, bool) {
        let mut any = (false, false);
        for queue in &self.queues {
            let locked = queue.lock();
            let waits = locked.queue.backlog() > 0 || locked.queue.has_open();
            any.0 |= waits;
            any.1 |= waits && locked.queue.leader().is_none();
        }
        any
    }

    /// The sticky partition; one that is gone gives way to another.
    pub(crate) fn sticky(&self) -> u32 {
        let current = self.sticky.load(Ordering::Relaxed);
        if current < self.partitions {
            current
        } else {
            0
        }
    }

    /// Chooses the sticky partition after `current`, away from slow ones when `adaptive`.
    pub(crate) fn switch_sticky(&self, current: u32, adaptive: bool) {
        let next = produce::partition::next_sticky(current, self.partitions, |partition| {
            let backlog = self.backlog(partition)?;
            Some(if adaptive { backlog } else { 0 })
        });
        self.sticky.store(next, Ordering::Relaxed);
    }

    /// Chooses another sticky partition when the one of now has no leader, and another has.
    pub(crate) fn leave_leaderless(&self, adaptive: bool) {
        let current = self.sticky();
        if self.backlog(current).is_none() {
            self.switch_sticky(current, adaptive);
        }
    }

    /// A partition's batches that wait; `None` where it has no leader.
    fn backlog(&self, partition: u32) -> Option<u32> {
        let queue = self.queues.get(partition as usize)?;
        let backlog = queue.backlog.load(Ordering::Relaxed);
        (backlog != LEADERLESS).then_some(backlog)
    }

    /// The next partition in turn that has a leader.
    pub(crate) fn round_robin(&self) -> u32 {
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        let has_leader = |partition| self.backlog(partition).is_some();
        produce::partition::round_robin(turn, self.partitions, has_leader)
    }
}

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
    /// The time of the record that was appended last.
    last_time: i64,
    listed: bool,
    timer: Option<Instant>,
    /// Whether it is among the busy ones.
    busy: bool,
    /// The last request that a batch was taken for: a request holds one batch a partition.
    taken_for: u64,
}

/// What to tell the leader's sender about a queue, once its lock is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Now(BrokerId),
    At(BrokerId, Instant),
    Lingers(BrokerId, Instant),
}

impl PartitionQueue {
    fn new(target: TopicPartition, limits: Limits, leader: Option<BrokerId>) -> Self {
        Self {
            target,
            locked: Mutex::new(LockedQueue {
                queue: BatchQueue::new(limits, leader),
                clock: Clock::default(),
                last_time: -1,
                listed: false,
                timer: None,
                busy: false,
                taken_for: 0,
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
    /// Notes a record's time with its batch's result, unless that is the time of the record before.
    #[inline]
    pub(crate) fn note_time(&mut self, result: &BatchResult, index: u32, time: i64) {
        if index == 0 || self.last_time != time {
            self.last_time = time;
            result.note_time(index, time);
        }
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

/// The queues that may hold what has not ended: all that a flush looks at.
#[derive(Default)]
pub(crate) struct Busy(Mutex<HashMap<Key, Arc<PartitionQueue>>>);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<PartitionQueue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a queue whose lock is held.
    pub(crate) fn add(&self, queue: &Arc<PartitionQueue>, locked: &mut LockedQueue) {
        if !std::mem::replace(&mut locked.busy, true) {
            self.lock().insert(queue.key(), Arc::clone(queue));
        }
    }

    /// Removes a queue that holds nothing, and whose lock is held.
    pub(crate) fn remove(&self, queue: &PartitionQueue, locked: &mut LockedQueue) {
        if std::mem::replace(&mut locked.busy, false) {
            self.lock().remove(&queue.key());
        }
    }

    pub(crate) fn queues(&self) -> Vec<Arc<PartitionQueue>> {
        self.lock().values().cloned().collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::topology::Partition;
    use crate::types::TopicId;

    /// A topic whose partitions broker 1 leads.
    pub(crate) fn topic(partitions: usize) -> Topic {
        let leader = BrokerId(1);
        let partition = Partition {
            leader: Some(leader),
            leader_epoch: 0,
            replicas: vec![leader],
            isr: vec![leader],
            offline: Vec::new(),
        };
        Topic {
            name: "t".into(),
            id: TopicId::ZERO,
            internal: false,
            partitions: vec![partition; partitions],
            error: None,
        }
    }

    #[test]
    fn queue_is_among_the_busy_ones_once_until_it_is_removed() {
        let limits = Limits {
            batch_size: 1,
            linger: std::time::Duration::ZERO,
            delivery_timeout: std::time::Duration::ZERO,
            retries: 0,
            compressed: false,
            idempotent: false,
        };
        let queues = TopicQueues::new(&topic(3), None, limits).queues;
        let busy = Busy::default();
        for queue in queues.iter().take(2) {
            busy.add(queue, &mut queue.lock());
            busy.add(queue, &mut queue.lock());
        }
        assert_eq!(busy.queues().len(), 2);
        busy.remove(&queues[0], &mut queues[0].lock());
        busy.remove(&queues[2], &mut queues[2].lock());
        assert_eq!(busy.queues()[0].key(), queues[1].key());
        assert_eq!(busy.queues().len(), 1);
    }
}
