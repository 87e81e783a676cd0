//! One transaction: records and offsets that become visible together, or never.

use std::fmt;
use std::time::Duration;

use super::super::transactions::Transactions;
use crate::error::{Error, Result};
use crate::producer::{Delivery, Enqueue, NotEnqueued, Producer, RecordMetadata};
use crate::record::Record;
use crate::types::{GroupMetadata, OffsetAndMetadata, TopicPartition};

/// An open transaction, begun by [`TransactionalProducer::begin`](crate::TransactionalProducer::begin).
///
/// What is sent into it, to whichever topics, and the offsets that are given to it become visible to readers with
/// `isolation.level=read_committed` all at once by [`commit`](Self::commit), or never. It is owned, and may be moved into a
/// task, or shared by several in an `Arc`. Dropped without a commit it is aborted in the background.
///
/// A transaction that is not ended within `transaction.timeout.ms` is aborted by its coordinator, which fences the producer.
#[must_use = "a transaction that is dropped is aborted"]
pub struct Transaction {
    producer: Producer,
    number: u64,
    /// Whether it was committed or aborted.
    is_over: bool,
}

impl Transaction {
    pub(super) fn new(producer: Producer, number: u64) -> Self {
        Self {
            producer,
            number,
            is_over: false,
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "only a producer with transactions begins one"
    )]
    fn transactions(&self) -> &Transactions {
        let transactions = self.producer.inner().transactions.as_ref();
        transactions.expect("a producer of transactions")
    }

    /// Longest wait for a coordinator (`max.block.ms`).
    fn patience(&self) -> Duration {
        self.producer.inner().settings.max_block
    }

    /// Sends a record and waits until the partition's leader has it; [`Producer::send`] in all else.
    ///
    /// # Errors
    /// As [`Producer::send`]. After an error of a record the transaction cannot be committed.
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata> {
        self.producer.send(record).await
    }

    /// Hands a record over to be sent; [`Producer::enqueue`] in all else. There is no need to await each [`Delivery`]:
    /// [`commit`](Self::commit) waits for all of them, and fails when one has.
    ///
    /// # Errors
    /// As [`Producer::enqueue`]: the record was not taken, and the transaction may go on.
    #[inline]
    pub fn enqueue<'a>(&'a self, record: Record<'a>) -> Enqueue<'a> {
        self.producer.enqueue(record)
    }

    /// Hands a record over if that needs no waiting; else gives it back. [`Producer::try_enqueue`] in all else.
    ///
    /// # Errors
    /// As [`Producer::try_enqueue`]: the record was not taken, and the transaction may go on.
    #[expect(
        clippy::result_large_err,
        reason = "the record goes back as it came, without a box"
    )]
    pub fn try_enqueue<'a>(&self, record: Record<'a>) -> Result<Delivery, NotEnqueued<'a>> {
        self.producer.try_enqueue(record)
    }

    /// Makes a group's offsets part of the transaction: they are committed with the records. Kafka:
    /// `sendOffsetsToTransaction` (KIP-447).
    ///
    /// Each offset is that of the next record to read, one behind the last one that was processed. The group's own
    /// consumer must not commit them: see [`ConsumerHandle::group_metadata`](crate::ConsumerHandle::group_metadata).
    ///
    /// Dropping the future does not take the offsets back: [`commit`](Self::commit) waits for what becomes of them.
    ///
    /// # Errors
    /// [`Error::NotCommitted`] when the transaction has failed, as when the group has gone on to another generation: drop
    /// it, and read again from the committed offsets. [`Error::Deadline`], or what stands in the way, when nothing is known
    /// after `max.block.ms`: the transaction may go on, and its commit waits. [`Error::Config`] for a negative offset.
    pub async fn send_offsets<O: Into<OffsetAndMetadata>>(
        &self,
        group: &GroupMetadata,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        let offsets = offsets
            .into_iter()
            .map(|(partition, offset)| (partition, offset.into()));
        let offsets: Vec<(_, OffsetAndMetadata)> = offsets.collect();
        if let Some((partition, offset)) = offsets.iter().find(|(_, o)| o.offset < 0) {
            let reason = format!("{} of {partition} is negative", offset.offset);
            return Err(Error::config("offset", reason));
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let (transactions, limit) = (self.transactions(), self.patience());
        transactions
            .send_offsets(self.number, group.clone(), offsets, limit)
            .await
    }

    /// Waits until every record has arrived, and commits. Kafka: `commitTransaction`.
    ///
    /// A transaction without records and offsets costs no request.
    ///
    /// Once the future was polled the commit goes on, whether or not it is dropped: a commit whose answer is lost is asked
    /// for again, exactly as it was, until it is answered, and the next transaction begins after that.
    ///
    /// # Errors
    /// [`Error::NotCommitted`]: when a record or the offsets failed, in which case the transaction is aborted in the
    /// background; with `possibly_committed` when nothing is known after `delivery.timeout.ms` and `max.block.ms`, or the
    /// producer has ended before the answer came. The cause says whether the producer [goes on](Error::is_fatal).
    pub async fn commit(mut self) -> Result<()> {
        self.is_over = true;
        let limit = self.producer.inner().settings.delivery_timeout;
        let limit = limit.saturating_add(self.patience());
        self.transactions().commit(self.number, limit).await
    }

    /// Aborts: what was not sent is dropped, and nobody who reads committed records ever sees the rest. Kafka:
    /// `abortTransaction`.
    ///
    /// Dropping the transaction does the same without waiting for it.
    ///
    /// # Errors
    /// Why the coordinator cannot be asked, after `max.block.ms`: it is asked on in the background.
    pub async fn abort(mut self) -> Result<()> {
        self.is_over = true;
        let transactions = self.transactions();
        transactions.abort(Some(self.number));
        transactions.ended(self.number, self.patience()).await?;
        transactions.end_error()
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_over {
            self.transactions().abort(Some(self.number));
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
