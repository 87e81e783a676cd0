//! The producer: a handle, and the tasks that carry its records to the brokers.

#![deny(unused_must_use)]

mod accept;
mod accumulator;
mod answer;
mod apart;
mod batch_result;
#[cfg(feature = "internals")]
pub(crate) mod bench;
mod buffer_pool;
mod builder;
mod carry_out;
mod clock;
mod compress;
mod compressor;
mod delivery;
mod drain;
mod end;
mod enqueue;
mod enroll;
mod flushed;
#[cfg(feature = "spill")]
mod halt;
mod identity;
mod inner;
mod last_use;
mod mark;
mod metrics;
mod partitioner;
mod retry_log;
mod sender;
mod sizes;
mod split;
mod submit;
#[cfg(test)]
mod tests;
mod transactional;
mod transactions;
mod unresolved;
mod usage;
mod wait;
mod watch;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use self::accept::Refused;
use self::inner::ProducerInner;
use crate::cluster::{Cluster, TopicUser};
use crate::config::ProducerSettings;
use crate::error::{Error, Result};
use crate::metrics::ProducerMetrics;
use crate::record::Record;
use crate::types::after;

#[cfg(feature = "spill")]
pub(crate) use self::accept::Refused as NotAccepted;
pub use self::builder::ProducerBuilder;
pub use self::delivery::{Delivery, RecordMetadata};
pub use self::enqueue::Enqueue;
pub use self::flushed::Flushed;
pub use self::partitioner::Partitioner;
pub use self::transactional::{Transaction, TransactionalProducer};

/// Sends records.
///
/// Cheap to clone, and made to be shared: all clones fill the same batches. Built by
/// [`Client::producer`](crate::Client::producer).
///
/// Records are batched by partition for up to `linger.ms`, compressed, and sent with up to five
/// requests in flight to each broker. With the default settings an acknowledged record is in the log
/// exactly once, at the offset reported, and the records of one partition are in the order in which
/// they were accepted.
///
/// Dropping the last clone lets what was accepted be delivered in the background for as long as the
/// runtime lives; call [`close`](Self::close) to wait for it.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// Tells the tasks when the last clone is gone.
struct Handle {
    inner: Arc<ProducerInner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.begin_closing();
        self.inner.accumulator.deadlines.wake();
    }
}

/// A record that [`Producer::try_enqueue`] could not take at once, and why.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotEnqueued<'a> {
    /// The record, as it was given.
    pub record: Record<'a>,
    /// Why it was not taken.
    #[source]
    pub error: Error,
}

impl Producer {
    /// Starts a producer's tasks on the current runtime.
    pub(crate) fn start(cluster: Cluster, settings: ProducerSettings) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::Closed {
            what: "the tokio runtime (build the producer inside one)",
        })?;
        let inner = Arc::new(ProducerInner::new(
            cluster,
            settings,
            runtime.clone(),
            sender::start,
        ));
        let user: Weak<dyn TopicUser> = Arc::<ProducerInner>::downgrade(&inner);
        inner.cluster.add_user(user);
        // It is made here: a watcher that is dropped before its first turn resolves every delivery too.
        runtime.spawn(watch::run(watch::AbortOnDrop(Arc::clone(&inner))));
        if inner.transactions.is_some() {
            runtime.spawn(transactional::drive(Arc::clone(&inner)));
        }
        Ok(Self {
            handle: Arc::new(Handle { inner }),
        })
    }

    #[inline]
    pub(crate) fn inner(&self) -> &Arc<ProducerInner> {
        &self.handle.inner
    }

    /// Sends a record and waits for its acknowledgement.
    ///
    /// Awaiting each record before sending the next costs a round trip to the broker for each; use
    /// [`enqueue`](Self::enqueue) to keep many on the way.
    ///
    /// Dropping the future before it is ready either sends nothing, or sends the record once with its
    /// outcome unseen.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue); and [`Error::Delivery`] when the record was accepted but not
    /// acknowledged, which tells with [`Error::possibly_written`] whether it may be in the log.
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata> {
        let delivery = self.enqueue(record).await?;
        delivery.await
    }

    /// Hands a record over to be sent; the returned [`Delivery`] is its acknowledgement.
    ///
    /// Waits, up to `max.block.ms`, while the topic is unknown or `buffer.memory` is used up; callers
    /// who wait for memory are served in order. Dropping the future before it is ready hands over
    /// nothing.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::BufferFull`], [`Error::RecordTooLarge`] (nothing is
    /// reserved), [`Error::InvalidTopic`], [`Error::Partitioner`], [`Error::Closed`], or a broker's
    /// refusal to tell about the topic. The record is not in the log after any of them.
    #[inline]
    pub fn enqueue<'a>(&'a self, record: Record<'a>) -> Enqueue<'a> {
        Enqueue::new(self.inner(), record)
    }

    /// Hands a record over if that needs no waiting; else gives it back.
    ///
    /// A topic that this producer has not sent to yet is unknown to it: the first call begins to look it up and gives
    /// the record back with [`Error::UnknownTopic`]; a later one takes it. [`prepare`](Self::prepare) waits for that.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), at once, with the record.
    #[expect(
        clippy::result_large_err,
        reason = "the record goes back as it came, without a box"
    )]
    pub fn try_enqueue<'a>(&self, record: Record<'a>) -> Result<Delivery, NotEnqueued<'a>> {
        let inner = self.inner();
        let mut refused = match inner.accept(&record, None) {
            Ok(delivery) => return Ok(delivery),
            Err(refused) => refused,
        };
        if let Refused::UnknownTopic = refused {
            refused = match inner.look_up(record.topic()) {
                Ok(false) => refused,
                Ok(true) => match inner.accept(&record, None) {
                    Ok(delivery) => return Ok(delivery),
                    Err(refused) => refused,
                },
                Err(error) => Refused::Error(error),
            };
        }
        let unknown = |what: String| Error::UnknownTopic {
            what: what.into(),
            waited: Duration::ZERO,
            last: None,
        };
        let error = match refused {
            Refused::Error(error) => error,
            Refused::UnknownTopic => unknown(format!("topic {}", record.topic())),
            Refused::UnknownPartition(partition) => {
                inner.cluster.refresh_topic(record.topic());
                unknown(format!("partition {partition} of topic {}", record.topic()))
            }
            Refused::Full(_, bytes) => {
                if inner.accumulator.pool.tried() {
                    inner.accumulator.rush();
                }
                inner.buffer_full(bytes, Duration::ZERO)
            }
        };
        Err(NotEnqueued { record, error })
    }

    /// Learns about a topic before the first record, and tells how many partitions it has.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] after `max.block.ms`, or a broker's refusal.
    pub async fn prepare(&self, topic: &str) -> Result<u32> {
        let inner = self.inner();
        inner.check_open()?;
        let deadline = after(Instant::now().into_std(), inner.settings.max_block).into();
        Ok(inner.learn(topic, deadline).await?.partitions)
    }

    /// Sends what is buffered without waiting for `linger.ms`, and waits until every record accepted
    /// before the call has been acknowledged or has failed.
    ///
    /// A failed record does not fail the flush: its [`Delivery`] has the error, and [`Flushed`] tells how many failed
    /// since the last flush. The wait is bounded by `delivery.timeout.ms`.
    ///
    /// # Errors
    /// [`Error::Closed`] when the producer was closed before.
    pub async fn flush(&self) -> Result<Flushed> {
        self.inner().check_open()?;
        watch::flush(self.inner()).await;
        Ok(self.inner().counters.take_untold())
    }

    /// Accepts no more records, delivers those that were, and ends the producer's tasks.
    ///
    /// What is not delivered within `deadline` fails with [`Error::Delivery`], so that every
    /// [`Delivery`] is resolved when `close` returns. All clones are closed. Closing again is no error.
    ///
    /// [`Flushed`] tells how many records failed since the last flush, for reasons of their own.
    ///
    /// # Errors
    /// [`Error::Undelivered`] when records had to be failed because `deadline` passed; it tells how many failed in all.
    pub async fn close(&self, deadline: Duration) -> Result<Flushed> {
        let inner = self.inner();
        let drained = tokio::time::timeout(deadline, watch::flush_last(inner)).await;
        inner.abort(&Error::Closed { what: "producer" });
        let flushed = inner.counters.take_untold();
        match drained {
            Ok(()) => Ok(flushed),
            Err(_) => Err(Error::Undelivered {
                failed: flushed.failed(),
                limit: deadline,
            }),
        }
    }

    /// What the producer has done so far, and what it holds now.
    #[must_use]
    pub fn metrics(&self) -> ProducerMetrics {
        let inner = self.inner();
        inner.counters.snapshot(
            &inner.accumulator.pool,
            inner.settings.batch_size,
            &inner.accumulator.broker_queues(),
        )
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("buffer_used", &self.inner().accumulator.pool.used())
            .finish_non_exhaustive()
    }
}
