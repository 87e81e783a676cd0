//! What became of a batch's records: one result, in which all their handles share.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::mark::{Mark, UNREGISTERED};
use crate::error::Error;
use crate::types::TopicPartition;

/// Nobody knows yet.
pub(super) const PENDING: u8 = 0;
/// Every record is in the log, one after another from `base_offset`.
pub(super) const ACKED: u8 = 1;
/// The records fared differently, or failed: see `Slow::parts`.
const PARTS: u8 = 2;

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

#[derive(Default)]
pub(super) struct Slow {
    /// By index, the own times of records whose handles do not tell them, unless it is the first record's.
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

    /// What a record's handle needs to tell its time, where the batch's first record has that one.
    #[inline]
    pub(super) fn mark(&self, index: u32, time: i64, first: i64) -> Mark {
        if index == 0 {
            self.first_time.store(first, Ordering::Relaxed);
        }
        Mark::between(first, time).unwrap_or_else(|| self.keep_time(index, time))
    }

    /// Keeps a record's time, for which its handle has no room.
    #[cold]
    fn keep_time(&self, index: u32, time: i64) -> Mark {
        self.slow().keep_time(index, time);
        Mark::KEPT
    }

    /// A record's own time, for who has its handle.
    pub(super) fn own_time(&self, index: u32, mark: Mark) -> i64 {
        let first = self.first_time.load(Ordering::Relaxed);
        if let Some(time) = mark.time(first) {
            return time;
        }
        let slow = self.slow();
        let at = slow.times.binary_search_by_key(&index, |(index, _)| *index);
        let kept = at.ok().and_then(|at| slow.times.get(at));
        kept.map_or(first, |(_, time)| *time)
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

    /// Waits until the record's fate is known; the handle's mark remembers where the task is registered, and gives its
    /// time to the result.
    pub(super) fn poll_fate(&self, cx: &Context<'_>, index: u32, mark: &mut Mark) -> Poll<Fate> {
        let mut slow = self.slow();
        let fate = match self.state() {
            PENDING => None,
            ACKED => Some(self.acked(index)),
            _ => slow.fate(index),
        };
        if let Some(fate) = fate {
            return Poll::Ready(fate);
        }
        let first = self.first_time.load(Ordering::Relaxed);
        if let Some(time) = mark.time(first).filter(|time| *time != first) {
            slow.keep_time(index, time);
        }
        *mark = Mark::waits_at(slow.register(cx, mark.waker_at()));
        Poll::Pending
    }

    fn is_known(&self, slow: &Slow) -> bool {
        match self.state() {
            PENDING => false,
            ACKED => true,
            _ => slow.open == Some(0),
        }
    }

    /// Whether every record's fate is known.
    pub(crate) fn is_resolved(&self) -> bool {
        self.is_known(&self.slow())
    }

    /// Waits until every record's fate is known.
    pub(crate) async fn resolved(&self) {
        let mut waker_at = UNREGISTERED;
        std::future::poll_fn(|cx| {
            let mut slow = self.slow();
            if self.is_known(&slow) {
                return Poll::Ready(());
            }
            waker_at = slow.register(cx, waker_at);
            Poll::Pending
        })
        .await;
    }
}

impl Slow {
    fn keep_time(&mut self, index: u32, time: i64) {
        let at = self.times.partition_point(|(kept, _)| *kept < index);
        // Nearly always the last: handles wait in the order of their records.
        self.times.insert(at, (index, time));
    }

    /// Registers a task, which may be registered at `waker_at`; returns where it is.
    fn register(&mut self, cx: &Context<'_>, waker_at: u32) -> u32 {
        // A waker is never replaced: a task that waits for record after record shares one.
        let registered = self
            .wakers
            .get(waker_at as usize)
            .or_else(|| self.wakers.last());
        if registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return waker_at;
        }
        self.wakers.push(cx.waker().clone());
        u32::try_from(self.wakers.len() - 1).unwrap_or(UNREGISTERED)
    }

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
