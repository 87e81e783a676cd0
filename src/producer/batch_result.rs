//! What became of a batch's records: one result, in which all their handles share.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::types::TopicPartition;

/// Nobody knows yet.
pub(super) const PENDING: u8 = 0;
/// Every record is in the log, one after another from `base_offset`.
pub(super) const ACKED: u8 = 1;
/// The records fared differently, or failed: see `Slow::parts`.
const PARTS: u8 = 2;

/// No waker is registered.
pub(super) const UNREGISTERED: u32 = u32::MAX;

/// What became of a batch's records. Kafka: `ProduceRequestResult`.
pub(crate) struct BatchResult {
    target: TopicPartition,
    state: AtomicU8,
    base_offset: AtomicI64,
    log_append_time: AtomicI64,
    /// The first record's own time.
    first_time: AtomicI64,
    slow: Mutex<Slow>,
}

/// Room made at once for the times of a batch's records: the clock ticks a few times while it fills.
const TIMES: usize = 32;

#[derive(Default)]
pub(super) struct Slow {
    /// Records whose own time is another than that of the record before, with that time. Few where the clock tells it,
    /// and not worth 8 bytes in each handle.
    times: Vec<(u32, i64)>,
    wakers: Vec<Waker>,
    parts: Vec<Part>,
    /// Records of which nothing is known yet; `None` until the batch was closed and anything ended.
    open: Option<u32>,
}

/// The same fate for some records of the batch.
struct Part {
    first: u32,
    count: u32,
    fate: Fate,
}

/// What became of one record.
#[derive(Clone)]
pub(super) enum Fate {
    Acked {
        base_offset: i64,
        log_append_time: i64,
    },
    Failed(Error),
}

impl BatchResult {
    pub(crate) fn new(target: TopicPartition) -> Self {
        Self {
            target,
            state: AtomicU8::new(PENDING),
            base_offset: AtomicI64::new(-1),
            log_append_time: AtomicI64::new(-1),
            first_time: AtomicI64::new(-1),
            slow: Mutex::default(),
        }
    }

    pub(crate) fn target(&self) -> &TopicPartition {
        &self.target
    }

    /// `PENDING`, `ACKED`, or neither.
    #[inline]
    pub(super) fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From this record on they have this time of their own; to be called in the order of the records.
    pub(crate) fn note_time(&self, index: u32, time: i64) {
        if index == 0 {
            self.first_time.store(time, Ordering::Relaxed);
        } else {
            let mut slow = self.slow();
            if slow.times.capacity() == 0 {
                slow.times.reserve(TIMES);
            }
            slow.times.push((index, time));
        }
    }

    /// A record's own time, for who has its handle.
    pub(super) fn own_time(&self, index: u32) -> i64 {
        let slow = self.slow();
        let at = slow.times.partition_point(|(first, _)| *first <= index);
        match at.checked_sub(1).and_then(|last| slow.times.get(last)) {
            Some((_, time)) => *time,
            None => self.first_time.load(Ordering::Relaxed),
        }
    }

    /// The records `first..first + count` of `total` are in the log.
    pub(crate) fn ack(&self, first: u32, count: u32, total: u32, base_offset: i64, time: i64) {
        if first == 0 && count == total {
            self.base_offset.store(base_offset, Ordering::Relaxed);
            self.log_append_time.store(time, Ordering::Relaxed);
            let wakers = {
                let mut slow = self.slow();
                self.state.store(ACKED, Ordering::Release);
                std::mem::take(&mut slow.wakers)
            };
            wakers.into_iter().for_each(Waker::wake);
            return;
        }
        self.resolve(
            first,
            count,
            total,
            Fate::Acked {
                base_offset,
                log_append_time: time,
            },
        );
    }

    /// The records `first..first + count` of `total` failed.
    pub(crate) fn fail(&self, first: u32, count: u32, total: u32, error: Error) {
        self.resolve(first, count, total, Fate::Failed(error));
    }

    fn resolve(&self, first: u32, count: u32, total: u32, fate: Fate) {
        let wakers = {
            let mut slow = self.slow();
            slow.parts.push(Part { first, count, fate });
            slow.open = Some(slow.open.unwrap_or(total).saturating_sub(count));
            self.state.store(PARTS, Ordering::Release);
            // Until the last part they keep their places, which waiting handles know.
            slow.wakers.clone()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The fate of one record, when it is known.
    #[inline]
    pub(super) fn fate(&self, index: u32) -> Option<Fate> {
        match self.state() {
            PENDING => None,
            ACKED => Some(self.acked(index)),
            _ => self.slow().fate(index),
        }
    }

    /// The same, for who holds the lock.
    pub(super) fn fate_with(&self, slow: &Slow, index: u32) -> Option<Fate> {
        match self.state() {
            PENDING => None,
            ACKED => Some(self.acked(index)),
            _ => slow.fate(index),
        }
    }

    #[inline]
    fn acked(&self, index: u32) -> Fate {
        let (base_offset, log_append_time) = self.place(index);
        Fate::Acked {
            base_offset,
            log_append_time,
        }
    }

    /// One record's offset, and the broker's time, when the whole batch is in the log.
    #[inline]
    pub(super) fn place(&self, index: u32) -> (i64, i64) {
        (
            offset_after(self.base_offset.load(Ordering::Relaxed), index),
            self.log_append_time.load(Ordering::Relaxed),
        )
    }

    /// Waits until `known` says something; `waker_at` remembers where the task is registered.
    pub(super) fn poll_known<R>(
        &self,
        cx: &Context<'_>,
        waker_at: &mut u32,
        known: impl Fn(&Self, &Slow) -> Option<R>,
    ) -> Poll<R> {
        let mut slow = self.slow();
        if let Some(known) = known(self, &slow) {
            return Poll::Ready(known);
        }
        // A waker is never replaced: a task that waits for record after record shares one.
        let registered = slow
            .wakers
            .get(*waker_at as usize)
            .or_else(|| slow.wakers.last());
        if !registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker_at = u32::try_from(slow.wakers.len()).unwrap_or(UNREGISTERED);
            slow.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until every record's fate is known.
    pub(crate) async fn resolved(&self) {
        let mut waker_at = UNREGISTERED;
        std::future::poll_fn(|cx| {
            self.poll_known(cx, &mut waker_at, |result, slow| match result.state() {
                PENDING => None,
                ACKED => Some(()),
                _ => (slow.open == Some(0)).then_some(()),
            })
        })
        .await;
    }
}

impl Slow {
    fn fate(&self, index: u32) -> Option<Fate> {
        let part = self
            .parts
            .iter()
            .find(|part| index >= part.first && index - part.first < part.count)?;
        Some(match &part.fate {
            Fate::Acked {
                base_offset,
                log_append_time,
            } => Fate::Acked {
                base_offset: offset_after(*base_offset, index - part.first),
                log_append_time: *log_append_time,
            },
            Fate::Failed(error) => Fate::Failed(error.clone()),
        })
    }
}

fn offset_after(base: i64, index: u32) -> i64 {
    if base < 0 {
        -1
    } else {
        base + i64::from(index)
    }
}
