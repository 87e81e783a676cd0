//! Ends what was accepted for one topic, and accepts no more for it until it is resumed: the records go another way.

use std::sync::Arc;
use std::time::Duration;

use super::accumulator::PartitionQueue;
use super::inner::ProducerInner;
use crate::error::Error;
use crate::machine::produce::BatchQueue;

impl ProducerInner {
    fn queues_of(&self, topic: &str) -> Vec<Arc<PartitionQueue>> {
        let topic = self.accumulator.topics.get(topic);
        topic.map_or_else(Vec::new, |topic| topic.queues.clone())
    }

    /// Why records of that queue were not delivered for so long.
    fn overdue(&self, queue: &PartitionQueue, timeout: Duration) -> Error {
        let leader = queue.look(BatchQueue::leader);
        let last = leader.and_then(|leader| self.accumulator.trouble(leader));
        Error::DeliveryTimeout { timeout, last }
    }

    /// Ends what waits, and what will come back to wait; what is in flight is left to its answer.
    pub(crate) fn halt(self: &Arc<Self>, topic: &str, timeout: Duration) {
        for queue in self.queues_of(topic) {
            let error = Arc::new(self.overdue(&queue, timeout));
            let changed = queue.change(|locked, ended| locked.queue.halt(&error, ended));
            self.carry_out(&queue, changed);
        }
    }

    /// Ends what is in flight too, which may be in the log.
    pub(crate) fn halt_flights(self: &Arc<Self>, topic: &str, timeout: Duration) {
        for queue in self.queues_of(topic) {
            let error = self.overdue(&queue, timeout);
            self.abort_queue(&queue, &error);
        }
    }

    /// Accepts the topic's records again.
    pub(crate) fn resume(self: &Arc<Self>, topic: &str) {
        for queue in self.queues_of(topic) {
            let changed = queue.change(|locked, _| {
                // With the lock held: who closes the producer closes the queue behind this.
                if !self.is_closing() {
                    locked.queue.reopen();
                }
            });
            self.carry_out(&queue, changed);
        }
    }
}
