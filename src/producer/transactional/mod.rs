//! A producer that sends in transactions: a handle, the transaction that it begins, and the task that carries it out.

mod calls;
mod driver;
mod refusal;
mod transaction;

use std::fmt;
use std::time::Duration;

use super::transactions::Transactions;
use super::{Flushed, Producer};
use crate::error::Result;
use crate::metrics::ProducerMetrics;

pub(crate) use driver::drive;
pub use transaction::Transaction;

/// Sends records in transactions, one after the other.
///
/// Built by [`ProducerBuilder::transactional_id`](crate::ProducerBuilder::transactional_id). Building it fences whichever
/// producer had the same id before, and aborts the transaction that one left open.
///
/// It can do nothing but [`begin`](Self::begin) a [`Transaction`], which records are sent into:
///
/// ```no_run
/// # async fn example(client: ottla::Client) -> ottla::Result<()> {
/// use ottla::Record;
///
/// let producer = client.producer().transactional_id("payments-1").build()?;
/// let transaction = producer.begin().await?;
/// transaction.enqueue(Record::to("debits").key("42").value("-100")).await?;
/// transaction.enqueue(Record::to("credits").key("7").value("100")).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// Dropped, it ends when its last transaction has; call [`close`](Self::close) to wait for that.
pub struct TransactionalProducer {
    producer: Producer,
}

impl TransactionalProducer {
    pub(crate) fn new(producer: Producer) -> Self {
        Self { producer }
    }

    fn transactions(&self) -> Option<&Transactions> {
        self.producer.inner().transactions.as_ref()
    }

    /// Begins a transaction. Kafka: `beginTransaction`, and the first time `initTransactions`.
    ///
    /// Waits, up to `max.block.ms`, until the last one has been ended and the coordinator has given the producer its
    /// identity. Dropping the future begins nothing.
    ///
    /// # Errors
    /// [`Error::TransactionOpen`](crate::Error::TransactionOpen) while another one is open;
    /// [`Error::Fenced`](crate::Error::Fenced) and other [fatal](crate::Error::is_fatal) errors when this producer can do
    /// nothing more; [`Error::Deadline`](crate::Error::Deadline), or what stands in the way, after `max.block.ms`.
    pub async fn begin(&self) -> Result<Transaction> {
        let inner = self.producer.inner();
        inner.check_open()?;
        let Some(transactions) = self.transactions() else {
            return Err(inner.why_closed());
        };
        let number = transactions.begin(inner.settings.max_block).await?;
        Ok(Transaction::new(self.producer.clone(), number))
    }

    /// Learns about a topic before the first record; [`Producer::prepare`] in all else.
    ///
    /// # Errors
    /// As [`Producer::prepare`].
    pub async fn prepare(&self, topic: &str) -> Result<u32> {
        self.producer.prepare(topic).await
    }

    /// Waits for the end of a transaction that is being committed or aborted, and ends the producer's tasks. One that is
    /// open is aborted.
    ///
    /// # Errors
    /// [`Error::Undelivered`](crate::Error::Undelivered) when that did not end within `deadline`: its coordinator aborts it
    /// after `transaction.timeout.ms`.
    pub async fn close(&self, deadline: Duration) -> Result<Flushed> {
        if let Some(transactions) = self.transactions() {
            transactions.abort(None);
        }
        self.producer.close(deadline).await
    }

    /// What the producer has done so far, and what it holds now.
    #[must_use]
    pub fn metrics(&self) -> ProducerMetrics {
        self.producer.metrics()
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer")
            .finish_non_exhaustive()
    }
}
