//! Who writes to a partition, told by its leader, and the end of a transaction that hangs there (KIP-664).

use std::time::SystemTime;

use tokio::time::Instant;

use super::advice::advised;
use super::{Admin, refusal, time};
use crate::cluster::{Purpose, each, is_transient, unanswered, unless_nobody_answered};
use crate::error::{Error, ErrorCode, Result};
use crate::net::Connection;
use crate::types::TopicPartition;
use crate::wire::{
    DescribeProducers, MetadataTopics, PartitionProducers, WriteTxnMarkers, WritingProducer,
};

/// A producer that has lately written to a partition. Kafka: `ProducerState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveProducer {
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The sequence of its last record, -1 where there is none.
    pub last_sequence: i32,
    /// The time of its last batch.
    pub last_timestamp: SystemTime,
    /// The epoch of the coordinator that last ended a transaction of it here, `None` where none has.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins; `None` without one. What reads committed records waits there.
    pub transaction_start: Option<i64>,
}

impl Admin {
    /// Who has lately written to partitions, told by their leaders; each has its own result, in order. Kafka:
    /// `DescribeProducers`.
    ///
    /// # Errors
    /// When no broker could be asked. A partition's own result has the broker's error: `UNKNOWN_TOPIC_OR_PARTITION`,
    /// `TOPIC_AUTHORIZATION_FAILED`. [`Error::Unsupported`] of brokers older than Kafka 2.8.
    pub async fn describe_producers(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<Result<Vec<ActiveProducer>>>> {
        let deadline = self.calls.deadline();
        let outcomes = each(partitions.into_iter().collect(), |partition| {
            let admin = self.clone();
            async move {
                let context = || format!("describing the producers of {partition}");
                let call = &DescribeProducers {
                    topics: vec![(partition.name().clone(), vec![partition.partition()])],
                };
                let what = "describe producers";
                let leads = &partition;
                let told = admin
                    .calls
                    .retry_while(passes, deadline, what, || async {
                        let connection = admin.leader(deadline, leads).await?;
                        let limit = admin.calls.request_timeout();
                        let answer = connection.call(call, limit).await?;
                        let told = answer.topics.into_iter().flat_map(|(_, all)| all).next();
                        let told = told.ok_or_else(|| unanswered(context()))?;
                        refusal(told.code, told.message.as_ref(), context)?;
                        Ok(told)
                    })
                    .await?;
                Ok(producers(told))
            }
        })
        .await;
        unless_nobody_answered(outcomes)
    }

    /// Aborts a producer's open transaction in one partition, past its coordinator: for one that hangs, so that nothing
    /// behind it is read by who reads committed records. Kafka: `WriteTxnMarkers`, as `abortTransaction` does (KIP-664).
    ///
    /// Take [`fence_producers`](Self::fence_producers) where the coordinator still knows the transaction: records of one
    /// that is only slow would be lost, and what it writes later to this partition committed.
    ///
    /// # Errors
    /// When the leader could not be asked, or it refused: `CLUSTER_AUTHORIZATION_FAILED`, `INVALID_PRODUCER_EPOCH` and
    /// `TRANSACTION_COORDINATOR_FENCED` where the producer has gone on since; [`Error::Unsupported`] of a broker older than
    /// Kafka 2.8.
    pub async fn abort_transaction(
        &self,
        partition: &TopicPartition,
        producer: &ActiveProducer,
    ) -> Result<()> {
        let context = || format!("aborting a transaction in {partition}");
        let call = &WriteTxnMarkers {
            producer: producer.producer_id,
            epoch: i16::try_from(producer.producer_epoch).unwrap_or(-1),
            coordinator_epoch: producer.coordinator_epoch.unwrap_or(0),
            topics: vec![(partition.name().clone(), vec![partition.partition()])],
        };
        let deadline = self.calls.deadline();
        self.calls
            .retry_while(passes, deadline, "abort transaction", || async {
                let connection = self.leader(deadline, partition).await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let told = answer.topics.into_iter().flat_map(|(_, all)| all).next();
                let (_, code) = told.ok_or_else(|| unanswered(context()))?;
                advised(refusal(code, None, context))
            })
            .await
    }

    /// A connection to a partition's leader, as the metadata tells now.
    async fn leader(&self, deadline: Instant, partition: &TopicPartition) -> Result<Connection> {
        let topics = MetadataTopics::Names(vec![partition.name().clone()]);
        let told = self
            .calls
            .metadata(deadline, "find a leader", topics)
            .await?;
        let context = || format!("finding the leader of {partition}");
        let topic = told.topics.first().ok_or_else(|| unanswered(context()))?;
        refusal(topic.code, None, context)?;
        let number = partition.partition();
        let found = topic.partitions.iter().find(|one| one.partition == number);
        let refused = |code| Error::broker(code, None, context());
        let found = found.ok_or_else(|| refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))?;
        let leader = found.leader;
        let leader = leader.ok_or_else(|| refused(ErrorCode::LEADER_NOT_AVAILABLE))?;
        self.calls.cluster.broker(leader, Purpose::Control).await
    }
}

/// Whether another try may do better: of another broker, once a partition's leader has moved.
fn passes(error: &Error) -> bool {
    is_transient(error) || error.broker_code() == Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)
}

fn producers(told: PartitionProducers) -> Vec<ActiveProducer> {
    told.producers.into_iter().map(active).collect()
}

fn active(told: WritingProducer) -> ActiveProducer {
    ActiveProducer {
        producer_id: told.id,
        producer_epoch: told.epoch,
        last_sequence: told.last_sequence,
        last_timestamp: time(told.last_timestamp),
        coordinator_epoch: (told.coordinator_epoch >= 0).then_some(told.coordinator_epoch),
        transaction_start: (told.transaction_start >= 0).then_some(told.transaction_start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_zero_is_none() {
        let told = |coordinator_epoch, transaction_start| WritingProducer {
            id: 7,
            epoch: 1,
            last_sequence: 2,
            last_timestamp: 3,
            coordinator_epoch,
            transaction_start,
        };
        let one = active(told(4, 5));
        assert_eq!(
            (one.coordinator_epoch, one.transaction_start),
            (Some(4), Some(5))
        );
        assert_eq!((one.producer_id, one.last_timestamp), (7, time(3)));
        let one = active(told(-1, -1));
        assert_eq!((one.coordinator_epoch, one.transaction_start), (None, None));
    }

    #[test]
    fn a_leader_that_has_moved_is_looked_for_and_a_refusal_is_told() {
        for (code, again) in [
            (ErrorCode::NOT_LEADER_OR_FOLLOWER, true),
            (ErrorCode::LEADER_NOT_AVAILABLE, true),
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
            (ErrorCode::INVALID_PRODUCER_EPOCH, false),
            (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, false),
        ] {
            assert_eq!(passes(&Error::broker(code, None, "x")), again, "{code}");
        }
    }
}
