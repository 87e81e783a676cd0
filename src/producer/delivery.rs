//! A record's handle to its batch's result, and where an acknowledged record is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use super::batch_result::{ACKED, BatchResult, Fate, PENDING};
use super::mark::Mark;
use crate::error::Result;
use crate::record::system_time;
use crate::types::TopicPartition;

/// An accepted record's pending acknowledgement.
///
/// Await it for the record's place in the log, or for the error that kept it out. Dropping it does
/// not call the record back: it is sent all the same, and its outcome goes unseen.
#[must_use = "await the delivery to learn whether the record arrived"]
pub struct Delivery {
    /// Taken by the metadata when the delivery resolves.
    result: Option<Arc<BatchResult>>,
    index: u32,
    /// The record's time, then where the waiting task's waker is.
    mark: Mark,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(result: Arc<BatchResult>, index: u32, mark: Mark) -> Self {
        Self {
            result: Some(result),
            index,
            mark,
        }
    }

    /// A second handle to the same record; this one must not have been polled yet.
    #[cfg(feature = "spill")]
    pub(crate) fn again(&self) -> Self {
        Self {
            result: self.result.clone(),
            index: self.index,
            mark: self.mark,
        }
    }

    /// One of a record that was never sent, and how to end it.
    #[cfg(all(test, feature = "spill"))]
    pub(crate) fn planted(target: TopicPartition) -> (Self, impl FnOnce(Result<()>)) {
        let result = Arc::new(BatchResult::new(target));
        let delivery = Self::new(Arc::clone(&result), 0, result.mark(0, 0, 0));
        let end = move |outcome| match outcome {
            Ok(()) => result.ack(0, 1, 1, 0, -1),
            Err(error) => result.fail(0, 1, 1, error),
        };
        (delivery, end)
    }

    /// Why the record failed, `None` in it for one that did not; `None` while nobody knows.
    #[cfg(feature = "spill")]
    pub(crate) fn failure(&self) -> Option<Option<crate::error::Error>> {
        let Some(result) = &self.result else {
            return Some(None);
        };
        result.fate(self.index).map(|fate| match fate {
            Fate::Acked { .. } => None,
            Fate::Failed(error) => Some(error),
        })
    }

    /// Where the record goes.
    #[must_use]
    ///
    /// # Panics
    /// After it has been awaited to its end.
    pub fn target(&self) -> &TopicPartition {
        self.result().target()
    }

    #[inline]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a future must not be used after it has resolved"
    )]
    pub(super) fn result(&self) -> &Arc<BatchResult> {
        self.result
            .as_ref()
            .expect("delivery used after it has resolved")
    }

    /// Whether the outcome is known: awaiting it returns at once.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.result
            .as_ref()
            .is_none_or(|result| match result.state() {
                PENDING => false,
                ACKED => true,
                _ => result.fate(self.index).is_some(),
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
        match self.result().state() {
            PENDING => Err(self),
            ACKED => Ok(Ok(self.acked())),
            _ => self.try_done_slowly(),
        }
    }

    #[cold]
    fn try_done_slowly(mut self) -> Result<Result<RecordMetadata>, Self> {
        let fate = self.result().fate(self.index);
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
        let result = self
            .result
            .take()
            .expect("delivery used after it has resolved");
        let (offset, log_append_time) = result.place(self.index);
        RecordMetadata {
            result,
            offset,
            log_append_time,
            index: self.index,
            mark: self.mark,
        }
    }

    #[inline]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a future must not be used after it has resolved"
    )]
    fn resolve(&mut self, fate: Fate) -> Result<RecordMetadata> {
        let result = self
            .result
            .take()
            .expect("delivery used after it has resolved");
        match fate {
            Fate::Acked {
                base_offset: offset,
                log_append_time,
            } => Ok(RecordMetadata {
                result,
                offset,
                log_append_time,
                index: self.index,
                mark: self.mark,
            }),
            Fate::Failed(error) => Err(error),
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (index, mut mark) = (self.index, self.mark);
        if self.result().state() == ACKED {
            return Poll::Ready(Ok(self.acked()));
        }
        let result = self.result();
        let fate = match result.fate(index) {
            Some(fate) => fate,
            None => {
                let polled = result.poll_fate(cx, index, &mut mark);
                self.mark = mark;
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
                &self.result.as_ref().map(|result| result.target()),
            )
            .field("done", &self.is_done())
            .finish()
    }
}

/// Where an acknowledged record is.
#[derive(Clone)]
pub struct RecordMetadata {
    result: Arc<BatchResult>,
    offset: i64,
    /// -1 where the record's own time counts.
    log_append_time: i64,
    index: u32,
    mark: Mark,
}

impl RecordMetadata {
    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.result.target().topic()
    }

    /// The partition, from 0.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.result.target().partition()
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
            _ => self.result.own_time(self.index, self.mark),
        }
    }
}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("target", self.result.target())
            .field("offset", &self.offset())
            .field("timestamp_millis", &self.timestamp_millis())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn each_record_keeps_its_own_time_unless_the_broker_gave_it_one() {
        let own = [7, 7, 7, 9, 9, 3, 3, i64::MAX, -1, 12];
        let mut cx = Context::from_waker(Waker::noop());
        for (log_append_time, waits) in [(-1, false), (-1, true), (50, false)] {
            let result = Arc::new(BatchResult::new(TopicPartition::new("t", 0)));
            let mut deliveries = Vec::new();
            for (index, time) in (0..).zip(own) {
                let mark = result.mark(index, time, own[0]);
                deliveries.push(Delivery::new(result.clone(), index, mark));
            }
            // Some wait, twice, and not in the order of their records.
            for delivery in deliveries.iter_mut().rev().step_by(2).filter(|_| waits) {
                assert!(Pin::new(&mut *delivery).poll(&mut cx).is_pending());
                assert!(Pin::new(delivery).poll(&mut cx).is_pending());
            }
            // In two parts, as after a split.
            result.ack(0, 4, 10, 100, log_append_time);
            result.ack(4, 6, 10, 200, log_append_time);
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
