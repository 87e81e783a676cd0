//! What became of a record: one outcome for each batch, which all its records' handles share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::record::system_time;
use crate::types::TopicPartition;

/// Nobody knows yet.
const PENDING: u8 = 0;
/// Every record is in the log, one after another from `base_offset`.
const ACKED: u8 = 1;
/// The records fared differently, or failed: see `Slow::parts`.
const PARTS: u8 = 2;

/// No waker is registered.
const UNREGISTERED: u32 = u32::MAX;

/// The outcome of a batch's records.
pub(crate) struct Outcome {
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
struct Slow {
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

#[derive(Clone)]
enum Fate {
    Acked {
        base_offset: i64,
        log_append_time: i64,
    },
    Failed(Error),
}

impl Outcome {
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
    fn own_time(&self, index: u32) -> i64 {
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
        self.settle(
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
        self.settle(first, count, total, Fate::Failed(error));
    }

    fn settle(&self, first: u32, count: u32, total: u32, fate: Fate) {
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
    fn fate(&self, index: u32) -> Option<Fate> {
        match self.state.load(Ordering::Acquire) {
            PENDING => None,
            ACKED => Some(self.acked(index)),
            _ => self.slow().fate(index),
        }
    }

    /// The same, for who holds the lock.
    fn fate_with(&self, slow: &Slow, index: u32) -> Option<Fate> {
        match self.state.load(Ordering::Acquire) {
            PENDING => None,
            ACKED => Some(self.acked(index)),
            _ => slow.fate(index),
        }
    }

    #[inline]
    fn acked(&self, index: u32) -> Fate {
        Fate::Acked {
            base_offset: offset_after(self.base_offset.load(Ordering::Relaxed), index),
            log_append_time: self.log_append_time.load(Ordering::Relaxed),
        }
    }

    /// Waits until `known` says something; `slot` remembers where the task is registered.
    fn poll_known<R>(
        &self,
        cx: &Context<'_>,
        slot: &mut u32,
        known: impl Fn(&Self, &Slow) -> Option<R>,
    ) -> Poll<R> {
        let mut slow = self.slow();
        if let Some(known) = known(self, &slow) {
            return Poll::Ready(known);
        }
        // A waker is never replaced: a task that waits for record after record shares one.
        let registered = slow
            .wakers
            .get(*slot as usize)
            .or_else(|| slow.wakers.last());
        if !registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            *slot = u32::try_from(slow.wakers.len()).unwrap_or(UNREGISTERED);
            slow.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until every record's fate is known.
    pub(crate) async fn settled(&self) {
        let mut slot = UNREGISTERED;
        std::future::poll_fn(|cx| {
            self.poll_known(cx, &mut slot, |outcome, slow| {
                match outcome.state.load(Ordering::Acquire) {
                    PENDING => None,
                    ACKED => Some(()),
                    _ => (slow.open == Some(0)).then_some(()),
                }
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

/// An accepted record's pending acknowledgement.
///
/// Await it for the record's place in the log, or for the error that kept it out. Dropping it does
/// not call the record back: it is sent all the same, and its outcome goes unseen.
#[must_use = "await the delivery to learn whether the record arrived"]
pub struct Delivery {
    /// Taken by the metadata when the delivery resolves.
    outcome: Option<Arc<Outcome>>,
    index: u32,
    /// Where the waiting task's waker is.
    slot: u32,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(outcome: Arc<Outcome>, index: u32) -> Self {
        Self {
            outcome: Some(outcome),
            index,
            slot: UNREGISTERED,
        }
    }

    /// Where the record goes.
    #[must_use]
    ///
    /// # Panics
    /// After it has been awaited to its end.
    pub fn target(&self) -> &TopicPartition {
        self.outcome().target()
    }

    #[inline]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a future must not be used after it has resolved"
    )]
    fn outcome(&self) -> &Arc<Outcome> {
        self.outcome
            .as_ref()
            .expect("delivery used after it has resolved")
    }

    /// Whether the outcome is known: awaiting it returns at once.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.outcome
            .as_ref()
            .is_none_or(|outcome| match outcome.state.load(Ordering::Acquire) {
                PENDING => false,
                ACKED => true,
                _ => outcome.fate(self.index).is_some(),
            })
    }

    /// The outcome if it is known, else the delivery again; never waits.
    ///
    /// With many deliveries in order of sending, looking at the oldest one first costs a few
    /// nanoseconds a record.
    ///
    /// # Errors
    /// The delivery itself while the outcome is unknown.
    #[inline]
    pub fn try_done(mut self) -> Result<Result<RecordMetadata>, Self> {
        match self.outcome().state.load(Ordering::Acquire) {
            PENDING => Err(self),
            ACKED => Ok(Ok(self.acked())),
            _ => self.try_done_slowly(),
        }
    }

    #[cold]
    fn try_done_slowly(mut self) -> Result<Result<RecordMetadata>, Self> {
        let fate = self.outcome().fate(self.index);
        match fate {
            None => Err(self),
            Some(fate) => Ok(self.resolve(fate)),
        }
    }

    /// The metadata of a record whose whole batch is in the log: without a detour by way of its fate.
    #[inline]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a future must not be used after it has resolved"
    )]
    fn acked(&mut self) -> RecordMetadata {
        let outcome = self
            .outcome
            .take()
            .expect("delivery used after it has resolved");
        let offset = offset_after(outcome.base_offset.load(Ordering::Relaxed), self.index);
        let log_append_time = outcome.log_append_time.load(Ordering::Relaxed);
        RecordMetadata {
            outcome,
            offset,
            log_append_time,
            index: self.index,
        }
    }

    #[inline]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a future must not be used after it has resolved"
    )]
    fn resolve(&mut self, fate: Fate) -> Result<RecordMetadata> {
        let outcome = self
            .outcome
            .take()
            .expect("delivery used after it has resolved");
        match fate {
            Fate::Acked {
                base_offset: offset,
                log_append_time,
            } => Ok(RecordMetadata {
                outcome,
                offset,
                log_append_time,
                index: self.index,
            }),
            Fate::Failed(error) => Err(error),
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (index, mut slot) = (self.index, self.slot);
        if self.outcome().state.load(Ordering::Acquire) == ACKED {
            return Poll::Ready(Ok(self.acked()));
        }
        let outcome = self.outcome();
        let fate = match outcome.fate(index) {
            Some(fate) => fate,
            None => {
                let polled = outcome.poll_known(cx, &mut slot, |outcome, slow| {
                    outcome.fate_with(slow, index)
                });
                self.slot = slot;
                ready!(polled)
            }
        };
        Poll::Ready(self.resolve(fate))
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field(
                "target",
                &self.outcome.as_ref().map(|outcome| outcome.target()),
            )
            .field("done", &self.is_done())
            .finish()
    }
}

/// Where an acknowledged record is.
#[derive(Clone)]
pub struct RecordMetadata {
    outcome: Arc<Outcome>,
    offset: i64,
    /// -1 where the record's own time counts.
    log_append_time: i64,
    index: u32,
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
    /// `None` with `acks=0`, and when a batch that was sent again is known to be in the log, but the broker no
    /// longer knew where: one that was restarted remembers each producer's last batch alone.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        (self.offset >= 0).then_some(self.offset)
    }

    /// The record's own time, or the broker's where the topic says LogAppendTime; `None` for a record without one.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        system_time(self.timestamp_millis())
    }

    /// The same in milliseconds since 1970; -1 for none.
    #[must_use]
    pub fn timestamp_millis(&self) -> i64 {
        match self.log_append_time {
            time if time >= 0 => time,
            _ => self.outcome.own_time(self.index),
        }
    }
}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("target", self.outcome.target())
            .field("offset", &self.offset())
            .field("timestamp_millis", &self.timestamp_millis())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_keeps_its_own_time_unless_the_broker_gave_it_one() {
        let own = [7, 7, 7, 9, 9, 3, 3, 3, 3, 12];
        for log_append_time in [-1, 50] {
            let outcome = Arc::new(Outcome::new(TopicPartition::new("t", 0)));
            let mut last = None;
            let mut deliveries = Vec::new();
            for (index, time) in (0..).zip(own) {
                if last.replace(time) != Some(time) {
                    outcome.note_time(index, time);
                }
                deliveries.push(Delivery::new(outcome.clone(), index));
            }
            // In two parts, as after a split.
            outcome.ack(0, 4, 10, 100, log_append_time);
            outcome.ack(4, 6, 10, 200, log_append_time);
            for (delivery, time) in deliveries.into_iter().zip(own) {
                let told = delivery.try_done().unwrap().unwrap().timestamp_millis();
                assert_eq!(told, if log_append_time < 0 { time } else { 50 });
            }
        }
    }

    #[test]
    fn a_handle_takes_two_words() {
        assert_eq!(size_of::<Delivery>(), 16);
    }
}
