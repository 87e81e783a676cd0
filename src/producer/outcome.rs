//! What became of a record: one outcome for each batch, which all its records' handles share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::types::TopicPartition;

/// Nobody knows yet.
const PENDING: u8 = 0;
/// Every record is in the log, one after another from `base_offset`.
const ACKED: u8 = 1;
/// The records fared differently, or failed: see `Slow::parts`.
const PARTS: u8 = 2;

/// The outcome of a batch's records.
pub(crate) struct Outcome {
    target: TopicPartition,
    state: AtomicU8,
    base_offset: AtomicI64,
    log_append_time: AtomicI64,
    slow: Mutex<Slow>,
}

#[derive(Default)]
struct Slow {
    wakers: Vec<Waker>,
    /// How often the wakers were taken: what a [`Slot`] of an earlier round means is gone.
    round: u32,
    parts: Vec<Part>,
    /// Records of which nothing is known yet; `None` until the batch was closed and anything ended.
    open: Option<u32>,
}

/// Where a waiting task's waker is.
#[derive(Clone, Copy)]
struct Slot {
    round: u32,
    at: u32,
}

/// The same fate for some records of the batch.
struct Part {
    first: u32,
    count: u32,
    fate: Fate,
}

#[derive(Clone)]
enum Fate {
    Acked { base_offset: i64, log_append_time: i64 },
    Failed(Error),
}

impl Outcome {
    pub(crate) fn new(target: TopicPartition) -> Self {
        Self {
            target,
            state: AtomicU8::new(PENDING),
            base_offset: AtomicI64::new(-1),
            log_append_time: AtomicI64::new(-1),
            slow: Mutex::default(),
        }
    }

    pub(crate) fn target(&self) -> &TopicPartition {
        &self.target
    }

    fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records `first..first + count` of `total` are in the log.
    pub(crate) fn ack(&self, first: u32, count: u32, total: u32, base_offset: i64, time: i64) {
        if first == 0 && count == total {
            self.base_offset.store(base_offset, Ordering::Relaxed);
            self.log_append_time.store(time, Ordering::Relaxed);
            let wakers = {
                let mut slow = self.slow();
                self.state.store(ACKED, Ordering::Release);
                slow.take_wakers()
            };
            wakers.into_iter().for_each(Waker::wake);
            return;
        }
        self.settle(first, count, total, Fate::Acked { base_offset, log_append_time: time });
    }

    /// The records `first..first + count` of `total` failed.
    pub(crate) fn fail(&self, first: u32, count: u32, total: u32, error: Error) {
        self.settle(first, count, total, Fate::Failed(error));
    }

    fn settle(&self, first: u32, count: u32, total: u32, fate: Fate) {
        let wakers = {
            let mut slow = self.slow();
            slow.parts.push(Part { first, count, fate });
            slow.open = Some(slow.open.unwrap_or(total).saturating_sub(count));
            self.state.store(PARTS, Ordering::Release);
            slow.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The fate of one record, when it is known.
    fn fate(&self, index: u32) -> Option<Fate> {
        match self.state.load(Ordering::Acquire) {
            PENDING => None,
            ACKED => Some(Fate::Acked {
                base_offset: offset_after(self.base_offset.load(Ordering::Relaxed), index),
                log_append_time: self.log_append_time.load(Ordering::Relaxed),
            }),
            _ => self.slow().fate(index),
        }
    }

    /// Waits until `known` says something; `slot` remembers where the task is registered.
    fn poll_known<R>(
        &self,
        cx: &Context<'_>,
        slot: &mut Option<Slot>,
        known: impl Fn(&Self, &Slow) -> Option<R>,
    ) -> Poll<R> {
        let mut slow = self.slow();
        if let Some(known) = known(self, &slow) {
            return Poll::Ready(known);
        }
        // A waker is never replaced: a task that waits for record after record shares one.
        let registered = slot
            .filter(|slot| slot.round == slow.round)
            .and_then(|slot| slow.wakers.get(slot.at as usize))
            .or_else(|| slow.wakers.last());
        if !registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            *slot = u32::try_from(slow.wakers.len()).ok().map(|at| Slot { round: slow.round, at });
            slow.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until every record's fate is known.
    pub(crate) async fn settled(&self) {
        let mut slot = None;
        std::future::poll_fn(|cx| {
            self.poll_known(cx, &mut slot, |outcome, slow| match outcome.state.load(Ordering::Acquire)
            {
                PENDING => None,
                ACKED => Some(()),
                _ => (slow.open == Some(0)).then_some(()),
            })
        })
        .await;
    }
}

impl Slow {
    fn take_wakers(&mut self) -> Vec<Waker> {
        self.round = self.round.wrapping_add(1);
        std::mem::take(&mut self.wakers)
    }

    fn fate(&self, index: u32) -> Option<Fate> {
        let part = self
            .parts
            .iter()
            .find(|part| index >= part.first && index - part.first < part.count)?;
        Some(match &part.fate {
            Fate::Acked { base_offset, log_append_time } => Fate::Acked {
                base_offset: offset_after(*base_offset, index - part.first),
                log_append_time: *log_append_time,
            },
            Fate::Failed(error) => Fate::Failed(error.clone()),
        })
    }
}

fn offset_after(base: i64, index: u32) -> i64 {
    if base < 0 { -1 } else { base + i64::from(index) }
}

/// An accepted record's pending acknowledgement.
///
/// Await it for the record's place in the log, or for the error that kept it out. Dropping it does
/// not call the record back: it is sent all the same, and its outcome goes unseen.
#[must_use = "await the delivery to learn whether the record arrived"]
pub struct Delivery {
    outcome: Arc<Outcome>,
    index: u32,
    slot: Option<Slot>,
    timestamp: i64,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(outcome: Arc<Outcome>, index: u32, timestamp: i64) -> Self {
        Self { outcome, index, slot: None, timestamp }
    }

    /// Where the record goes.
    #[must_use]
    pub fn target(&self) -> &TopicPartition {
        self.outcome.target()
    }

    /// Whether the outcome is known: awaiting it returns at once.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        match self.outcome.state.load(Ordering::Acquire) {
            PENDING => false,
            ACKED => true,
            _ => self.outcome.fate(self.index).is_some(),
        }
    }

    /// The outcome if it is known, else the delivery again; never waits.
    ///
    /// With many deliveries in order of sending, looking at the oldest one first costs a few
    /// nanoseconds a record.
    ///
    /// # Errors
    /// The delivery itself while the outcome is unknown.
    #[inline]
    pub fn try_done(self) -> Result<Result<RecordMetadata>, Self> {
        match self.outcome.fate(self.index) {
            None => Err(self),
            Some(Fate::Acked { base_offset, log_append_time }) => {
                Ok(Ok(self.metadata(base_offset, log_append_time)))
            }
            Some(Fate::Failed(error)) => Ok(Err(error)),
        }
    }

    fn metadata(&self, offset: i64, log_append_time: i64) -> RecordMetadata {
        RecordMetadata {
            outcome: Arc::clone(&self.outcome),
            offset,
            timestamp: if log_append_time >= 0 { log_append_time } else { self.timestamp },
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let fate = match this.outcome.fate(this.index) {
            Some(fate) => fate,
            None => {
                let mut slot = this.slot;
                let index = this.index;
                let polled = this.outcome.poll_known(cx, &mut slot, |outcome, slow| {
                    match outcome.state.load(Ordering::Acquire) {
                        PENDING => None,
                        ACKED => Some(Fate::Acked {
                            base_offset: offset_after(
                                outcome.base_offset.load(Ordering::Relaxed),
                                index,
                            ),
                            log_append_time: outcome.log_append_time.load(Ordering::Relaxed),
                        }),
                        _ => slow.fate(index),
                    }
                });
                this.slot = slot;
                match polled {
                    Poll::Ready(fate) => fate,
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        Poll::Ready(match fate {
            Fate::Acked { base_offset, log_append_time } => {
                Ok(this.metadata(base_offset, log_append_time))
            }
            Fate::Failed(error) => Err(error),
        })
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("target", self.target())
            .field("done", &self.is_done())
            .finish()
    }
}

/// Where an acknowledged record is.
#[derive(Clone)]
pub struct RecordMetadata {
    outcome: Arc<Outcome>,
    offset: i64,
    timestamp: i64,
}

impl RecordMetadata {
    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.outcome.target().topic()
    }

    /// The partition, from 0.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.outcome.target().partition()
    }

    /// The record's offset in its partition.
    ///
    /// `None` with `acks=0`, and when the broker recognised a repeated batch but no longer knew its offset.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        (self.offset >= 0).then_some(self.offset)
    }

    /// Milliseconds since 1970: the record's own time, or the broker's where the topic says LogAppendTime.
    #[must_use]
    pub fn timestamp_millis(&self) -> i64 {
        self.timestamp
    }
}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("target", self.outcome.target())
            .field("offset", &self.offset())
            .field("timestamp_millis", &self.timestamp)
            .finish()
    }
}
