//! The topics that records go to, with a queue for each partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::partition_queue::PartitionQueue;
use crate::machine::produce::{self, Limits};
use crate::machine::topology::Topic;
use crate::types::TopicPartition;

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
            let (waits, leaderless) = queue.look(|queue| {
                let waits = queue.backlog() > 0 || queue.has_open();
                (waits, queue.leader().is_none())
            });
            any.0 |= waits;
            any.1 |= waits && leaderless;
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
        queue.published_backlog()
    }

    /// The next partition in turn that has a leader.
    pub(crate) fn round_robin(&self) -> u32 {
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        let has_leader = |partition| self.backlog(partition).is_some();
        produce::partition::round_robin(turn, self.partitions, has_leader)
    }
}
