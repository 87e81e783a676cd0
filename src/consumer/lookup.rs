//! Asking for the ends of partitions' logs, and for offsets of times, without reading.

use std::time::SystemTime;

use super::ConsumerHandle;
use crate::cluster::{Calls, OffsetSpec, PartitionOffset};
use crate::error::Result;
use crate::record::millis;
use crate::types::TopicPartition;

impl ConsumerHandle {
    /// The offsets of the oldest records that these partitions' logs have, in the order asked; of any topics, assigned
    /// or not. Kafka: `beginningOffsets`.
    ///
    /// # Errors
    /// The first partition's that cannot be asked: the broker's refusal, such as `UNKNOWN_TOPIC_OR_PARTITION`, or why
    /// there was no answer within `default.api.timeout.ms`.
    pub async fn beginning_offsets(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition> + Send,
    ) -> Result<Vec<i64>> {
        self.ends(partitions, OffsetSpec::Earliest).await
    }

    /// The offsets of the next records that these partitions' logs get, in the order asked; with `read_committed` the
    /// offsets behind which nothing may be read yet. Kafka: `endOffsets`.
    ///
    /// # Errors
    /// As [`beginning_offsets`](Self::beginning_offsets).
    pub async fn end_offsets(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition> + Send,
    ) -> Result<Vec<i64>> {
        self.ends(partitions, OffsetSpec::Latest).await
    }

    /// The first record at or after a time, of each partition in the order asked; its `offset` is `None` when there
    /// is no such record. Kafka: `offsetsForTimes`.
    ///
    /// # Errors
    /// As [`beginning_offsets`](Self::beginning_offsets).
    pub async fn offsets_for_times(
        &self,
        times: impl IntoIterator<Item = (TopicPartition, SystemTime)> + Send,
    ) -> Result<Vec<PartitionOffset>> {
        let spec = |(partition, time)| (partition, OffsetSpec::Timestamp(millis(time).max(0)));
        self.look_up(times.into_iter().map(spec).collect()).await
    }

    async fn ends(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        end: OffsetSpec,
    ) -> Result<Vec<i64>> {
        let asked = partitions.into_iter().map(|partition| (partition, end));
        let found = self.look_up(asked.collect()).await?;
        // Both ends are always there.
        Ok(found.iter().map(|one| one.offset.unwrap_or(0)).collect())
    }

    async fn look_up(
        &self,
        asked: Vec<(TopicPartition, OffsetSpec)>,
    ) -> Result<Vec<PartitionOffset>> {
        let inner = self.inner();
        let calls = Calls {
            cluster: inner.cluster.clone(),
            timeout: inner.settings.api_timeout,
        };
        let found = calls.list_offsets(asked, inner.settings.isolation).await?;
        found.into_iter().collect()
    }
}
