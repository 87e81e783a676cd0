//! What a change to a partition's queue leaves to be done is done here, and only here.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::accumulator::{Changed, EndedBatches, Listing, PartitionQueue};
use super::inner::ProducerInner;
use crate::error::Error;

impl ProducerInner {
    /// Does what a change to a queue left to be done; gives what came of the change.
    pub(crate) fn carry_out<R>(
        self: &Arc<Self>,
        queue: &Arc<PartitionQueue>,
        changed: Changed<R>,
    ) -> R {
        let (result, ended, listing) = changed.into_parts();
        self.end(queue, ended);
        if let Some(listing) = listing {
            self.list(queue, listing);
        }
        result
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
            self.failed(end.share.count, &error);
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
