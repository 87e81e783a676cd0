//! What a change to a partition's queue leaves to be done, and the one place that does it.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::accumulator::{Listing, PartitionQueue};
use super::batch_result::BatchResult;
use super::inner::ProducerInner;
use super::sender;
use crate::error::Error;
use crate::machine::produce::Ended;

/// Batches that a change ended.
pub(crate) type EndedBatches = Vec<Ended<Arc<BatchResult>>>;

/// A change to a queue was made under its lock. What came of it is had by carrying out what it leaves to be done, with
/// no lock held: who waits for a batch that ended is told, its memory given back, and the leader's sender told when to
/// look at the queue.
#[must_use = "what the change left to be done is done by `carry_out`, and only that has what came of it"]
pub(crate) struct Changed<R> {
    result: R,
    ended: EndedBatches,
    listing: Option<Listing>,
}

impl<R> Changed<R> {
    pub(super) fn new(result: R, ended: EndedBatches, listing: Option<Listing>) -> Self {
        Self {
            result,
            ended,
            listing,
        }
    }

    /// A look at what came of the change, before it is carried out.
    pub(crate) fn look(&self) -> &R {
        &self.result
    }

    /// The batches that ended, to say more of why.
    pub(crate) fn ended_mut(&mut self) -> &mut [Ended<Arc<BatchResult>>] {
        &mut self.ended
    }

    /// For a test that has no producer around its queue.
    #[cfg(test)]
    pub(crate) fn only_result(self) -> R {
        self.result
    }
}

impl ProducerInner {
    /// Does what a change to a queue left to be done; gives what came of the change.
    pub(crate) fn carry_out<R>(
        self: &Arc<Self>,
        queue: &Arc<PartitionQueue>,
        changed: Changed<R>,
    ) -> R {
        let Changed {
            result,
            ended,
            listing,
        } = changed;
        self.end(queue, ended);
        if let Some(listing) = listing {
            self.list(queue, listing);
        }
        result
    }

    /// The same for the caller of an append, who does the sender's work where that is spared a waking; else the next
    /// caller lets the sender run first.
    pub(crate) fn carry_out_for_caller<R>(
        self: &Arc<Self>,
        queue: &Arc<PartitionQueue>,
        mut changed: Changed<R>,
    ) -> R {
        if let Some(Listing::Now(broker)) = changed.listing {
            if self.settings.linger.is_zero()
                && sender::send_at_once(self, &self.broker_queue(broker), queue)
            {
                changed.listing = None;
            } else {
                self.yield_due.store(true, Ordering::Relaxed);
            }
        }
        self.carry_out(queue, changed)
    }

    /// Resolves the records of batches that have ended, and gives their memory back.
    fn end(&self, queue: &PartitionQueue, ended: EndedBatches) {
        for end in ended {
            self.accumulator.pool.release(end.charged);
            let error = Error::Delivery {
                target: queue.target.clone(),
                possibly_written: end.possibly_written,
                attempts: end.attempts,
                cause: end.error,
            };
            self.counters.failed(end.share.count, &error);
            self.retry_log.failed(&queue.target);
            let share = end.share;
            share
                .result
                .fail(share.first, share.count, share.total, error);
        }
    }

    /// Tells a queue's sender.
    fn list(self: &Arc<Self>, queue: &Arc<PartitionQueue>, listing: Listing) {
        match listing {
            Listing::Now(broker) => self.broker_queue(broker).list_now(Arc::clone(queue)),
            Listing::At(broker, at) => self.broker_queue(broker).list_at(at, Arc::clone(queue)),
            Listing::Lingers(broker, at) => {
                let broker = self.broker_queue(broker);
                broker.list_lingering(at, Arc::clone(queue));
                // Who began to wait for memory before has not seen it on the list.
                fence(Ordering::SeqCst);
                if self.accumulator.pool.is_wanted() {
                    broker.rush();
                }
            }
        }
    }
}
