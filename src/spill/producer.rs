//! The handle: a producer whose records go to disk when the cluster is away.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::delivery::{NotSent, Sent, SpillDelivery};
use super::entry::{self, Kept};
use super::inner::SpillInner;
use super::keeper::Waiting;
use super::lanes::{Pending, Route};
use super::metrics::SpillMetrics;
use super::settings::FullBuffer;
use super::verdict::{Fate, of_new};
use crate::error::{Error, Result};
use crate::producer::{Delivery, NotAccepted};
use crate::record::{Record, millis};
use crate::types::{TopicName, is_legal_name};

/// A producer with a directory: what it cannot deliver for want of a cluster it keeps on disk, and sends it later.
///
/// Made by [`ProducerBuilder::spill`](crate::ProducerBuilder::spill); cheap to clone. [The module](crate::spill) says what
/// is promised.
///
/// Dropping the last clone lets what was accepted be delivered, or spilled, in the background for as long as the runtime
/// lives; call [`close`](Self::close) to wait for it.
#[derive(Clone)]
pub struct SpillingProducer {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<SpillInner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let inner = Arc::clone(&self.inner);
        let deadline = inner.delivery_timeout;
        if !inner.is_closing() {
            self.inner.spawn(async move {
                let _ = inner.close(deadline).await;
            });
        }
    }
}

/// What came of handing a record to the cluster's producer.
enum Handed {
    Over(Delivery),
    /// Its topic's records go another way since.
    Elsewhere,
    Not(Error),
}

impl SpillingProducer {
    /// Starts the tasks; `waiting` has the topics whose records are on disk.
    pub(crate) fn start(inner: Arc<SpillInner>, waiting: Vec<(TopicName, u64)>) -> Self {
        for (topic, doubtful) in waiting {
            let doubtful = if inner.second_copies { 0 } else { doubtful };
            inner.spill(&topic, doubtful);
        }
        inner.spawn(Arc::clone(&inner).watch());
        Self {
            handle: Arc::new(Handle { inner }),
        }
    }

    fn inner(&self) -> &Arc<SpillInner> {
        &self.handle.inner
    }

    /// Sends a record and waits until it is in the log or on disk.
    ///
    /// Dropping the future before it is ready hands the record over once, or not at all.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue); and what kept the record out of the log where that is not the want of a cluster, or
    /// out of the store: [`Error::SpillFull`], [`Error::Spill`]. The record comes back with it. [`Error::possibly_written`]
    /// tells whether it may be in the log all the same, which happens only where second copies are not accepted, and with
    /// a cluster's own failures.
    pub async fn send(&self, record: Record<'_>) -> Result<Sent, Box<NotSent>> {
        self.enqueue(record).await?.await
    }

    /// Hands a record over; the returned [`SpillDelivery`] tells where it has come.
    ///
    /// Records of one partition that are handed over one after another, are in the log in that order, by whichever way
    /// they come there. Waits while the buffer is full, up to `max.block.ms` and unless
    /// [`full_buffer`](crate::spill::SpillBuilder::full_buffer) says that it spills at once; while more is to be written to disk
    /// than the disk takes; and for moments while a topic's way changes. Dropping the future before it is ready hands over
    /// nothing.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::InvalidTopic`], [`Error::Partitioner`], [`Error::Closed`]; [`Error::UnknownTopic`]
    /// when the cluster is there and says after `max.block.ms` that the topic is not. The record comes back with it.
    pub async fn enqueue(&self, record: Record<'_>) -> Result<SpillDelivery, Box<NotSent>> {
        let inner = self.inner();
        let mut record = record.into_owned();
        if record.timestamp.is_none() {
            record.timestamp = Some(millis(SystemTime::now()));
        }
        let record = Kept::new(record);
        if let Err(error) = self.check(&record) {
            return Err(NotSent::new(record, error));
        }
        let topic = TopicName::from(record.topic());
        let (told, outcome) = oneshot::channel();
        let mut changes = inner.changes();
        loop {
            if let Err(error) = inner.check_open() {
                return Err(NotSent::new(record, error));
            }
            inner.keeper.room().await;
            changes.mark_unchanged();
            let route = inner.lanes().enter(&topic);
            match route {
                Route::Spilling => {
                    inner.keeper.append(Waiting {
                        topic: topic.clone(),
                        record: Arc::clone(&record),
                        told,
                    });
                    inner.change(|lanes| lanes.entered(&topic));
                    return Ok(self.delivery(record, None, outcome));
                }
                Route::Holding => {
                    let _ = changes.changed().await;
                }
                Route::Direct => match self.hand_over(&record).await {
                    Handed::Over(delivery) => {
                        let again = delivery.again();
                        self.accepted(&topic, &record, again, told);
                        return Ok(self.delivery(record, Some(delivery), outcome));
                    }
                    // Its way is another by now, or is about to be.
                    Handed::Elsewhere => {
                        let _ = changes.changed().await;
                    }
                    Handed::Not(error) => match of_new(&error, inner.second_copies) {
                        Fate::Spill => inner.give_up(&topic),
                        Fate::GiveBack => return Err(NotSent::new(record, error)),
                    },
                },
            }
        }
    }

    /// Refuses what could never be sent, before it is on disk.
    fn check(&self, record: &Record<'_>) -> Result<()> {
        if !is_legal_name(record.topic()) {
            return Err(Error::InvalidTopic {
                name: record.topic().into(),
            });
        }
        let bound = entry::bound(record);
        let inner = self.inner();
        inner.direct.inner().check_size(bound)?;
        inner.replay.inner().check_size(bound)
    }

    /// Hands a record to the cluster's producer, which makes it wait for its topic and for memory.
    async fn hand_over(&self, record: &Record<'_>) -> Handed {
        let inner = self.inner();
        let producer = inner.direct.inner();
        let refused = match producer.accept(record, None) {
            Ok(delivery) => return Handed::Over(delivery),
            Err(refused) => refused,
        };
        let began = Instant::now();
        let accepted = match refused {
            NotAccepted::Full(_, bytes) if inner.full_buffer == FullBuffer::Spill => {
                Err(producer.buffer_full(bytes, Duration::ZERO))
            }
            refused @ NotAccepted::UnknownTopic => tokio::select! {
                biased;
                accepted = producer.accept_slowly(record, refused, began) => accepted,
                unreachable = inner.cluster.unreachable() => Err(unreachable),
            },
            refused => producer.accept_slowly(record, refused, began).await,
        };
        match accepted {
            Ok(delivery) => Handed::Over(delivery),
            // The producer is open, its topic's queues are not.
            Err(Error::Closed { .. }) if inner.check_open().is_ok() => Handed::Elsewhere,
            Err(error) => Handed::Not(error),
        }
    }

    fn accepted(
        &self,
        topic: &TopicName,
        record: &Kept,
        delivery: Delivery,
        told: oneshot::Sender<Result<()>>,
    ) {
        let inner = self.inner();
        let pending = Pending {
            record: Arc::clone(record),
            delivery,
            accepted: Instant::now().into_std(),
            told,
        };
        let is_late = inner.lanes().accepted(topic, pending);
        if is_late {
            inner.give_up(topic);
        }
        inner.watch_record();
    }

    fn delivery(
        &self,
        record: Kept,
        delivery: Option<Delivery>,
        told: oneshot::Receiver<Result<()>>,
    ) -> SpillDelivery {
        SpillDelivery::new(record, delivery, told, self.inner().second_copies)
    }

    /// Accepts no more records, and waits until every one that was accepted is in the log, on disk, or given back.
    ///
    /// What is not in the log within `deadline` is spilled. What is on disk by then stays there, for whoever opens the
    /// directory next, which is free when this returns. All clones are closed. Closing again is no error.
    ///
    /// # Errors
    /// [`Error::Spill`] when the disk did not take the last of it.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        self.inner().close(deadline).await
    }

    /// What the producer has done so far, and what it holds now.
    #[must_use]
    pub fn metrics(&self) -> SpillMetrics {
        let inner = self.inner();
        let [spilled, waiting, bytes] = inner.keeper.figures();
        SpillMetrics {
            spilled,
            waiting,
            bytes,
            replayed: inner.counters.replayed(),
            set_aside: inner.aside.records(),
            spilling_topics: inner.lanes().spilling_topics(),
            trouble: inner.counters.trouble(),
            direct: inner.direct.metrics(),
            replay: inner.replay.metrics(),
        }
    }
}

impl fmt::Debug for SpillingProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillingProducer").finish_non_exhaustive()
    }
}
