//! What the application is handed: records, as places in the bytes that were fetched.

mod blocks;
mod typed;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::batch::{Slot, TimestampType as BatchTimestampType};
use crate::machine::fetch::Block;
use crate::record::{Data, Header, NO_TIMESTAMP, Record, system_time};
use crate::types::{TopicId, TopicPartition};

/// Whose clock a record's timestamp is from. Kafka: `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampType {
    /// The producer's: when the record was made.
    CreateTime,
    /// The broker's: when the record's batch was written to the log.
    LogAppendTime,
}

/// A record from the log, owned; returned by [`Consumer::recv`](crate::Consumer::recv).
///
/// It shares the memory of the batch that it came in, which lives for as long as one of its records does: to keep a
/// few records of many for long, keep a copy of their bytes instead.
#[derive(Clone)]
pub struct ConsumerRecord {
    block: Arc<Block>,
    slot: Slot,
}

/// A record that is borrowed from [`Records`].
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    block: &'a Arc<Block>,
    slot: &'a Slot,
}

/// What both kinds of record can tell.
macro_rules! accessors {
    ($life:lifetime $self:ident: $($this:tt)+) => {
        /// The topic's name.
        #[must_use]
        pub fn topic($($this)+) -> &$life str {
            $self.block.partition.topic()
        }

        /// The partition's number.
        #[must_use]
        pub fn partition($($this)+) -> i32 {
            $self.block.partition.partition()
        }

        /// Topic and partition.
        #[must_use]
        pub fn topic_partition($($this)+) -> &$life TopicPartition {
            &$self.block.partition
        }

        /// The id of the topic that the record is of; zero on a broker older than Kafka 2.8.
        #[must_use]
        pub fn topic_id($($this)+) -> TopicId {
            $self.block.topic_id
        }

        /// The record's place in its partition.
        #[must_use]
        pub fn offset($($this)+) -> i64 {
            $self.slot.offset
        }

        /// The key; `None` when it is null.
        #[must_use]
        pub fn key($($this)+) -> Option<&$life [u8]> {
            $self.slot.key(&$self.block.bytes)
        }

        /// The value; `None` when it is null, a tombstone.
        #[must_use]
        pub fn value($($this)+) -> Option<&$life [u8]> {
            $self.slot.value(&$self.block.bytes)
        }

        /// The headers, in order; names may repeat. A name that is not UTF-8 is shown with replacement characters.
        pub fn headers($($this)+) -> impl Iterator<Item = Header<$life>> + use<$life> {
            $self.slot.headers(&$self.block.bytes).map(|(name, value)| {
                let name = String::from_utf8_lossy(name);
                match value {
                    Some(value) => Header::new(name, Data::Borrowed(value)),
                    None => Header::null(name),
                }
            })
        }

        /// How many headers there are.
        #[must_use]
        pub fn header_count($($this)+) -> usize {
            $self.slot.header_count()
        }

        /// The last header of this name; its value may be null.
        #[must_use]
        pub fn header($($this)+, name: &str) -> Option<Header<$life>> {
            $self.headers().filter(|header| header.name() == name).last()
        }

        /// The record's time; `None` where it has none.
        #[must_use]
        pub fn timestamp($($this)+) -> Option<SystemTime> {
            system_time($self.slot.timestamp)
        }

        /// The record's time in milliseconds since 1970, negative before that; -1 where there is none.
        #[must_use]
        pub fn timestamp_millis($($this)+) -> i64 {
            $self.slot.timestamp
        }

        /// Whose clock the time is from.
        #[must_use]
        pub fn timestamp_type($($this)+) -> TimestampType {
            match $self.block.timestamp_type {
                BatchTimestampType::Create => TimestampType::CreateTime,
                BatchTimestampType::LogAppend => TimestampType::LogAppendTime,
            }
        }

        /// The leader epoch under which the record was written (KIP-320); `None` where the broker does not tell.
        #[must_use]
        pub fn leader_epoch($($this)+) -> Option<i32> {
            ($self.block.leader_epoch >= 0).then_some($self.block.leader_epoch)
        }
    };
}

impl ConsumerRecord {
    pub(super) fn new(block: Arc<Block>, slot: Slot) -> Self {
        Self { block, slot }
    }

    fn share(&self, part: Option<&[u8]>) -> Option<Bytes> {
        part.map(|part| self.block.bytes.slice_ref(part))
    }

    /// The key, sharing the batch's memory.
    #[must_use]
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.share(self.key())
    }

    /// The value, sharing the batch's memory.
    #[must_use]
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.share(self.value())
    }

    /// The same record as one to send, to `topic`: key, value, headers and time, of which each can be replaced.
    ///
    /// A record without a time gets that of when it is sent. The partition is the partitioner's to choose.
    ///
    /// ```no_run
    /// # async fn example(producer: ottla::Producer, record: ottla::ConsumerRecord) -> ottla::Result<()> {
    /// let attempt = record.header_as::<Option<i32>>("attempt")?.unwrap_or(0) + 1;
    /// producer.send(record.to_record("payments.retry").set_header("attempt", attempt)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_record<'a>(&'a self, topic: &'a str) -> Record<'a> {
        self.as_ref().to_record(topic)
    }

    /// The same record, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            block: &self.block,
            slot: &self.slot,
        }
    }

    accessors!('_ self: &self);
}

impl<'a> RecordRef<'a> {
    /// The same record, owned: it shares the batch's memory.
    #[must_use]
    pub fn to_owned(&self) -> ConsumerRecord {
        ConsumerRecord {
            block: self.block.clone(),
            slot: *self.slot,
        }
    }

    /// The same record as one to send: see [`ConsumerRecord::to_record`].
    pub fn to_record(&self, topic: &'a str) -> Record<'a> {
        let record = Record::to(topic).headers(self.headers());
        let record = record.key_or_null(self.key()).value_or_null(self.value());
        match self.timestamp_millis() {
            NO_TIMESTAMP => record,
            millis => record.timestamp_millis(millis),
        }
    }

    accessors!('a self: self);
}

fn show(record: &RecordRef<'_>, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // No payloads: they may be large, or secret.
    f.debug_struct(name)
        .field("partition", record.topic_partition())
        .field("offset", &record.offset())
        .field("key", &record.key().map(<[u8]>::len))
        .field("value", &record.value().map(<[u8]>::len))
        .finish_non_exhaustive()
}

impl fmt::Debug for ConsumerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.as_ref(), "ConsumerRecord", f)
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self, "RecordRef", f)
    }
}

/// Records handed out together by [`Consumer::poll`](crate::Consumer::poll): one or more, in order per partition.
///
/// ```no_run
/// # fn example(records: ottla::Records) {
/// for record in &records {
///     println!("{} {}: {:?}", record.partition(), record.offset(), record.value());
/// }
/// # }
/// ```
#[derive(Default)]
pub struct Records {
    slots: Vec<Slot>,
    parts: Vec<Part>,
}

/// Records that lie in one block.
struct Part {
    block: Arc<Block>,
    slots: Range<usize>,
    /// Of the partition, when they were taken.
    version: u64,
}

impl Records {
    pub(super) fn with_capacity(records: usize) -> Self {
        Self {
            slots: Vec::with_capacity(records),
            parts: Vec::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none; never so for what `poll` returns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The records, borrowed: nothing is allocated or counted for each.
    #[must_use]
    pub fn iter(&self) -> RecordsIter<'_> {
        RecordsIter {
            records: self,
            part: 0,
            at: 0,
        }
    }

    /// The partitions that the records are from; one may come more than once.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.parts.iter().map(|part| &part.block.partition)
    }

    /// The records of each partition, in order; partitions in the order in which they first come.
    ///
    /// ```no_run
    /// # async fn handle(_: ottla::PartitionRecords<'_>) {}
    /// # async fn example(mut consumer: ottla::Consumer) -> ottla::Result<()> {
    /// while let Some(records) = consumer.poll().await? {
    ///     for of_partition in records.by_partition() {
    ///         handle(of_partition).await;
    ///     }
    ///     consumer.commit(&records).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn by_partition(&self) -> Vec<PartitionRecords<'_>> {
        let mut places: HashMap<&TopicPartition, usize> = HashMap::new();
        let mut all: Vec<PartitionRecords<'_>> = Vec::new();
        for (part, Part { block, slots, .. }) in self.parts.iter().enumerate() {
            let place = *places.entry(&block.partition).or_insert(all.len());
            if place == all.len() {
                all.push(PartitionRecords {
                    records: self,
                    partition: &block.partition,
                    parts: Vec::new(),
                    len: 0,
                });
            }
            if let Some(one) = all.get_mut(place) {
                one.parts.push(part);
                one.len += slots.len();
            }
        }
        all
    }

    /// The last record of each partition.
    pub(super) fn last_of_each(&self) -> Vec<RecordRef<'_>> {
        let all = self.by_partition();
        all.iter().filter_map(PartitionRecords::last).collect()
    }

    /// The records of one part.
    fn part(&self, place: usize) -> impl DoubleEndedIterator<Item = RecordRef<'_>> + use<'_> {
        let part = self.parts.get(place);
        part.into_iter().flat_map(|part| {
            let slots = self.slots.get(part.slots.clone()).unwrap_or_default();
            let block = &part.block;
            slots.iter().map(move |slot| RecordRef { block, slot })
        })
    }

    /// Where `put` appends to.
    pub(super) fn slots(&mut self) -> &mut Vec<Slot> {
        &mut self.slots
    }

    /// Whether the last of them are of this block.
    pub(super) fn ends_in(&self, block: &Arc<Block>) -> bool {
        let last = self.parts.last();
        last.is_some_and(|last| Arc::ptr_eq(&last.block, block))
    }

    /// The slots from `from` on are places in this block; the partition has this version.
    pub(super) fn put(&mut self, block: Arc<Block>, from: usize, version: u64) {
        self.parts.push(Part {
            block,
            slots: from..self.slots.len(),
            version,
        });
    }

    /// Leaves out the parts for which `keep`, told each part's place, says no.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let old = std::mem::take(&mut self.slots);
        let parts = std::mem::take(&mut self.parts);
        for (place, part) in parts.into_iter().enumerate() {
            if keep(place) {
                let from = self.slots.len();
                self.slots
                    .extend_from_slice(old.get(part.slots).unwrap_or_default());
                self.put(part.block, from, part.version);
            }
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = RecordRef<'a>;
    type IntoIter = RecordsIter<'a>;

    fn into_iter(self) -> RecordsIter<'a> {
        self.iter()
    }
}

/// The records of one partition among [`Records`], in order; from [`Records::by_partition`].
#[derive(Clone, Debug)]
pub struct PartitionRecords<'a> {
    records: &'a Records,
    partition: &'a TopicPartition,
    /// Places of the parts that are of this partition.
    parts: Vec<usize>,
    len: usize,
}

impl<'a> PartitionRecords<'a> {
    /// The partition.
    #[must_use]
    pub fn topic_partition(&self) -> &'a TopicPartition {
        self.partition
    }

    /// How many records there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'a>> + use<'a> {
        let records = self.records;
        self.parts
            .clone()
            .into_iter()
            .flat_map(move |part| records.part(part))
    }

    /// The last record: committing it commits them all.
    #[must_use]
    pub fn last(&self) -> Option<RecordRef<'a>> {
        let part = self.parts.last()?;
        self.records.part(*part).next_back()
    }
}

/// Iterates over [`Records`].
#[derive(Clone, Debug)]
pub struct RecordsIter<'a> {
    records: &'a Records,
    part: usize,
    at: usize,
}

impl<'a> Iterator for RecordsIter<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let slot = self.records.slots.get(self.at)?;
        let Part { block, slots, .. } = loop {
            let part = self.records.parts.get(self.part)?;
            if self.at < part.slots.end {
                break part;
            }
            self.part += 1;
        };
        debug_assert!(slots.contains(&self.at));
        self.at += 1;
        Some(RecordRef { block, slot })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.records.slots.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for RecordsIter<'_> {}
