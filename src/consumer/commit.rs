//! Committing a group's offsets, and asking what it has committed.

use super::{ConsumerHandle, ConsumerRecord, RecordRef};
use crate::error::{Error, Result};
use crate::types::{OffsetAndMetadata, TopicPartition};

use super::offsets::Offsets;

/// A record that can be committed: [`ConsumerRecord`] or [`RecordRef`].
pub trait Committable: sealed::Sealed {}

mod sealed {
    use crate::types::{OffsetAndMetadata, TopicPartition};

    pub trait Sealed {
        fn behind(&self) -> (TopicPartition, OffsetAndMetadata);
    }
}

impl Committable for ConsumerRecord {}
impl Committable for RecordRef<'_> {}

impl sealed::Sealed for ConsumerRecord {
    fn behind(&self) -> (TopicPartition, OffsetAndMetadata) {
        self.as_ref().behind()
    }
}

impl sealed::Sealed for RecordRef<'_> {
    fn behind(&self) -> (TopicPartition, OffsetAndMetadata) {
        let offset = OffsetAndMetadata {
            offset: self.offset() + 1,
            leader_epoch: self.leader_epoch(),
            metadata: None,
        };
        (self.topic_partition().clone(), offset)
    }
}

impl ConsumerHandle {
    /// Commits that the group is done with this record, and so with all before it in its partition. Kafka:
    /// `commitSync` with the record's offset + 1.
    ///
    /// A commit is a round trip to the group's coordinator: per batch of [`poll`](crate::Consumer::poll), or with
    /// [`commit_in_background`](Self::commit_in_background), it costs less. Retried for up to
    /// `default.api.timeout.ms`.
    ///
    /// # Errors
    /// [`Error::Commit`], which tells whether the group is rebalancing or gave the partition to another member;
    /// [`Error::NotAssigned`] when the partition is not this consumer's any more; [`Error::Config`] without a group.
    pub async fn commit(&self, record: &impl Committable) -> Result<()> {
        self.commit_offsets([record.behind()]).await
    }

    /// Commits every position: all records that were handed out up to now, also those that the application may not
    /// be done with. Kafka: `commitSync()`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_positions(&self) -> Result<()> {
        let offsets = self.offsets()?;
        let positions = self.shared().positions(None);
        offsets.commit(&positions).await?;
        self.shared().committed(&positions);
        Ok(())
    }

    /// Commits these offsets; each is that of the next record to read. Kafka: `commitSync(offsets)`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Config`] for a negative offset. Some of the offsets may have been
    /// committed all the same.
    pub async fn commit_offsets(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)> + Send,
    ) -> Result<()> {
        let chosen: Vec<_> = offsets.into_iter().collect();
        let offsets = self.permit(&chosen)?;
        offsets.commit(&chosen).await?;
        self.shared().committed(&chosen);
        Ok(())
    }

    /// As [`commit`](Self::commit), without waiting for it: a later commit of the same partition, by whichever method,
    /// replaces one that is not sent yet, and a commit that fails is told to the log and to nobody else. Closing the consumer sends it
    /// first. Kafka: `commitAsync`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`]; [`Error::Config`] without a group.
    pub fn commit_in_background(&self, record: &impl Committable) -> Result<()> {
        self.commit_offsets_in_background([record.behind()])
    }

    /// As [`commit_positions`](Self::commit_positions), without waiting for it: see
    /// [`commit_in_background`](Self::commit_in_background). Kafka: `commitAsync()`.
    ///
    /// # Errors
    /// [`Error::Config`] without a group.
    pub fn commit_positions_in_background(&self) -> Result<()> {
        self.commit_offsets_in_background(self.shared().positions(None))
    }

    /// As [`commit_offsets`](Self::commit_offsets), without waiting for it: see
    /// [`commit_in_background`](Self::commit_in_background).
    ///
    /// # Errors
    /// [`Error::NotAssigned`]; [`Error::Config`] without a group or for a negative offset.
    pub fn commit_offsets_in_background(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)>,
    ) -> Result<()> {
        let chosen: Vec<_> = offsets.into_iter().collect();
        let offsets = self.permit(&chosen)?.clone();
        let shared = self.shared().clone();
        offsets.commit_in_background(chosen, move |done| shared.committed(done));
        Ok(())
    }

    /// What the group has committed for these partitions, in their order; `None` where it has committed nothing.
    /// Kafka: `committed`.
    ///
    /// # Errors
    /// [`Error::Config`] without a group; the broker's refusal, or the last failure after `default.api.timeout.ms`.
    pub async fn committed(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition> + Send,
    ) -> Result<Vec<Option<OffsetAndMetadata>>> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let found = self.offsets()?.fetch_committed(&partitions).await?;
        Ok(found.into_iter().map(|(_, committed)| committed).collect())
    }

    fn offsets(&self) -> Result<&Offsets> {
        self.shared().offsets.as_ref().ok_or_else(|| {
            Error::config(
                "group.id",
                "offsets belong to a group: make the consumer by client.consumer(group)",
            )
        })
    }

    /// The way to commit these.
    fn permit(&self, chosen: &[(TopicPartition, OffsetAndMetadata)]) -> Result<&Offsets> {
        let offsets = self.offsets()?;
        let is_member = !self.shared().subscription().borrow().is_empty();
        let mut state = self.shared().lock();
        for (partition, offset) in chosen {
            if offset.offset < 0 {
                let reason = format!("{} for {partition} is negative", offset.offset);
                return Err(Error::config("offset", reason));
            }
            // What is not this member's any more is another's to commit.
            if is_member && state.find(partition).is_none() {
                return Err(Error::NotAssigned {
                    partition: partition.clone(),
                });
            }
        }
        Ok(offsets)
    }
}
