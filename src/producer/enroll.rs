//! A partition's first batch in a transaction: sent when the partition is part of it.

use std::sync::Arc;

use super::accumulator::{Changed, PartitionQueue};
use super::batch_result::BatchResult;
use super::inner::ProducerInner;
use crate::machine::transaction::Enrolment;
use crate::types::TopicPartition;

impl ProducerInner {
    /// A batch was opened for a partition: what its transaction changes of the queue by that.
    pub(crate) fn enroll(
        &self,
        queue: &PartitionQueue,
        result: &Arc<BatchResult>,
    ) -> Option<Changed<()>> {
        match self.transactions.as_ref()?.enroll(&queue.target, result) {
            Enrolment::Known | Enrolment::Later => None,
            Enrolment::Now => Some(queue.change(|locked, _| locked.queue.enroll())),
            Enrolment::Refused(error) => Some(queue.change(|locked, ended| {
                locked.queue.retract(&error, ended);
            })),
        }
    }

    /// The queues of these partitions.
    pub(crate) fn enrolled_queues<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> impl Iterator<Item = &'a Arc<PartitionQueue>> {
        partitions.iter().filter_map(|partition| {
            let number = usize::try_from(partition.partition()).ok()?;
            let topic = self.accumulator.topics.get(partition.topic())?;
            topic.queues.get(number)
        })
    }
}
