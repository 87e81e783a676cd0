//! Committing a group's offsets, and asking what it has committed.

use super::offsets::{Commit, Commits, Offsets};
use super::{ConsumerHandle, ConsumerRecord, RecordRef, Records};
use crate::error::{Error, Result};
use crate::types::{OffsetAndMetadata, TopicPartition};

/// What can be committed: a [`ConsumerRecord`] or [`RecordRef`], or [`Records`] all at once.
pub trait Committable: sealed::Sealed {}

mod sealed {
    use super::RecordRef;

    /// Keeps the trait to this crate.
    pub trait Sealed {
        /// The last record of each partition.
        fn ends(&self) -> Vec<RecordRef<'_>>;
    }
}

impl Committable for ConsumerRecord {}
impl Committable for RecordRef<'_> {}
impl Committable for Records {}

impl sealed::Sealed for ConsumerRecord {
    fn ends(&self) -> Vec<RecordRef<'_>> {
        vec![self.as_ref()]
    }
}

impl sealed::Sealed for RecordRef<'_> {
    fn ends(&self) -> Vec<RecordRef<'_>> {
        vec![*self]
    }
}

impl sealed::Sealed for Records {
    fn ends(&self) -> Vec<RecordRef<'_>> {
        self.last_of_each()
    }
}

impl ConsumerHandle {
    /// Commits that the group is done with this record, and so with all before it in its partition; of [`Records`],
    /// with all of them. Kafka: `commitSync` with the offset behind the record.
    ///
    /// A commit is a round trip to the group's coordinator: per batch of [`poll`](crate::Consumer::poll), or with
    /// [`commit_in_background`](Self::commit_in_background), it costs less. Retried for up to
    /// `default.api.timeout.ms`; a later commit of the same partition that is made meanwhile takes its place.
    ///
    /// What follows the record and is handed to nobody, a transaction's marker or the records of an aborted one, is done
    /// with too where it has been fetched: the group then has no lag behind its last record. With `read_uncommitted`
    /// the marker comes later than the record: the next commit, or one of the [positions](Self::commit_positions)
    /// when the marker was passed, goes behind it.
    ///
    /// The commit is for the topic that the record was read from. Where the topic was deleted since, and one of the
    /// same name made anew, nothing is committed: brokers from Kafka 4.1 on check the topic's id; with older ones the
    /// id is compared with that of the newest metadata, which may be as old as `metadata.max.age.ms`; brokers before
    /// Kafka 2.8 know no ids, and take the offset for the new topic.
    ///
    /// # Errors
    /// [`Error::Commit`], which tells whether the group is rebalancing or gave the partition to another member;
    /// [`Error::TopicRecreated`]; [`Error::NotAssigned`] when the partition is not this consumer's any more;
    /// [`Error::Config`] without a group. Some of the offsets may have been committed all the same.
    pub async fn commit(&self, records: &impl Committable) -> Result<()> {
        self.make(self.behind(records)).await
    }

    /// Commits every position: all records that were handed out up to now, also those that the application may not
    /// be done with. Kafka: `commitSync()`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_positions(&self) -> Result<()> {
        self.make(self.inner().positions(None)).await
    }

    /// Commits these offsets; each is that of the next record to read. Kafka: `commitSync(offsets)`.
    ///
    /// Offsets alone do not tell which topic they are of: they count for the one that has the name when they arrive.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Config`] for a negative offset.
    pub async fn commit_offsets(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)> + Send,
    ) -> Result<()> {
        self.make(of_no_topic(offsets)).await
    }

    /// The offsets behind records, and behind what follows them that nobody is handed, as far as that was seen.
    fn behind(&self, records: &impl Committable) -> Commits {
        let mut state = self.inner().lock();
        let ends = records.ends().into_iter();
        let behind = ends.map(|record| {
            let (partition, topic_id) = (record.topic_partition(), record.topic_id());
            let (end, epoch) = (record.offset() + 1, record.leader_epoch());
            let read = state.find(partition).filter(|p| p.topic_id == topic_id);
            let unseen = read.and_then(|partition| partition.behind(end));
            let offset = OffsetAndMetadata {
                offset: unseen.map_or(end, |unseen| unseen.offset),
                leader_epoch: unseen.map_or(epoch, |unseen| {
                    (unseen.leader_epoch >= 0).then_some(unseen.leader_epoch)
                }),
                metadata: None,
            };
            (partition.clone(), Commit { offset, topic_id })
        });
        behind.collect()
    }

    async fn make(&self, chosen: Commits) -> Result<()> {
        let outcome = self.permit(&chosen)?.commit(&chosen).await;
        self.inner().committed(&outcome.committed);
        outcome.result
    }

    /// As [`commit`](Self::commit), without waiting for it: a later commit of the same partition, by whichever method,
    /// replaces one that is not sent yet, and a commit that fails is told to the log and to nobody else. Closing the consumer sends it
    /// first. Kafka: `commitAsync`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`]; [`Error::TopicRecreated`]; [`Error::Config`] without a group.
    pub fn commit_in_background(&self, records: &impl Committable) -> Result<()> {
        self.make_in_background(self.behind(records))
    }

    /// As [`commit_positions`](Self::commit_positions), without waiting for it: see
    /// [`commit_in_background`](Self::commit_in_background). Kafka: `commitAsync()`.
    ///
    /// # Errors
    /// [`Error::Config`] without a group.
    pub fn commit_positions_in_background(&self) -> Result<()> {
        self.make_in_background(self.inner().positions(None))
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
        self.make_in_background(of_no_topic(offsets))
    }

    fn make_in_background(&self, chosen: Commits) -> Result<()> {
        let offsets = self.permit(&chosen)?.clone();
        let inner = self.inner().clone();
        offsets.commit_in_background(chosen, move |done| inner.committed(done));
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
        self.inner().offsets.as_ref().ok_or_else(|| {
            Error::config(
                "group.id",
                "offsets belong to a group: make the consumer by client.consumer(group)",
            )
        })
    }

    /// The way to commit these.
    fn permit(&self, chosen: &[(TopicPartition, Commit)]) -> Result<&Offsets> {
        let offsets = self.offsets()?;
        let is_member = !self.inner().subscription().borrow().is_empty();
        let mut state = self.inner().lock();
        for (partition, commit) in chosen {
            let offset = commit.offset.offset;
            if offset < 0 {
                let reason = format!("{offset} for {partition} is negative");
                return Err(Error::config("offset", reason));
            }
            // What is not this member's any more is another's to commit.
            if is_member && state.find(partition).is_none() {
                return Err(Error::NotAssigned {
                    partition: partition.clone(),
                });
            }
        }
        drop(state);
        offsets.check_topics(chosen)?;
        Ok(offsets)
    }
}

/// Offsets of which nothing tells what topic they are of.
fn of_no_topic(offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)>) -> Commits {
    let offsets = offsets.into_iter();
    offsets
        .map(|(partition, offset)| (partition, offset.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use crate::config::{Compression, ConsumerSettings};
    use crate::consumer::testing::fetched::{answer_fetch, batch, consumer, marker, of_group};
    use crate::consumer::testing::{consumer_settings, partitions};

    #[tokio::test]
    async fn records_are_told_by_partition_and_committed_behind_the_last_of_each() {
        let mut consumer = consumer(2, consumer_settings()).await;
        let of = |base, records| batch(base, records, 10, Compression::None);
        answer_fetch(&consumer, 0, &[of(0, 2), of(2, 3)]);
        answer_fetch(&consumer, 1, &[of(0, 3)]);
        let records = consumer.poll().await.unwrap().unwrap();
        let told: Vec<_> = records
            .by_partition()
            .into_iter()
            .map(|part| {
                assert!(
                    part.iter()
                        .all(|r| r.topic_partition() == part.topic_partition())
                );
                let offsets: Vec<_> = part.iter().map(|record| record.offset()).collect();
                assert_eq!(part.len(), offsets.len());
                (part.topic_partition().partition(), offsets)
            })
            .collect();
        assert_eq!(told, [(0, vec![0, 1, 2, 3, 4]), (1, vec![0, 1, 2])]);
        let commits: Vec<_> = consumer
            .behind(&records)
            .into_iter()
            .map(|(partition, commit)| (partition, commit.offset.offset))
            .collect();
        let expected = partitions(0..2).into_iter().zip([5, 3]);
        assert_eq!(commits, expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_commit_of_a_record_goes_behind_what_nobody_is_handed() {
        let settings = ConsumerSettings {
            auto_commit: None,
            ..consumer_settings()
        };
        let mut consumer = of_group(1, settings, Some("g")).await;
        let plain = |base, records| batch(base, records, 10, Compression::None);
        answer_fetch(&consumer, 0, &[plain(0, 2), marker(2), plain(3, 1)]);
        let mut records = Vec::new();
        for _ in 0..3 {
            records.push(consumer.recv().await.unwrap().unwrap());
        }
        let behind = |consumer: &crate::Consumer, record: &crate::ConsumerRecord| {
            consumer.behind(record)[0].1.offset.offset
        };
        assert_eq!(behind(&consumer, &records[0]), 1, "a record follows");
        assert_eq!(behind(&consumer, &records[1]), 3, "at once");
        assert_eq!(behind(&consumer, &records[2]), 4);
        // What comes later counts when it was passed.
        answer_fetch(&consumer, 0, &[marker(4)]);
        answer_fetch(&consumer, 0, &[marker(5)]);
        let next = timeout(Duration::ZERO, consumer.recv());
        assert!(next.await.is_err(), "there is no record");
        assert_eq!(behind(&consumer, &records[2]), 6);
        assert_eq!(behind(&consumer, &records[1]), 2, "long ago");
        // By many at a time, as well.
        answer_fetch(&consumer, 0, &[plain(6, 2), marker(8)]);
        let many = consumer.poll().await.unwrap().unwrap();
        assert_eq!(consumer.behind(&many)[0].1.offset.offset, 9);
    }
}
