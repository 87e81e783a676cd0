//! The consumer: records out of the log.

mod builder;
mod fetcher;
mod handle;
mod membership;
mod offsets;
mod positions;
mod record;
mod shared;
mod state;
mod take;
#[cfg(test)]
mod testing;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::config::ConsumerSettings;
use crate::error::Result;
use shared::Shared;
use take::Active;

pub use builder::ConsumerBuilder;
pub use handle::ConsumerHandle;
pub use record::{ConsumerRecord, RecordRef, Records, RecordsIter, TimestampType};

/// Reads records; made by [`ConsumerBuilder::build`].
///
/// [`recv`](Self::recv) hands out one record, [`poll`](Self::poll) many. Calling either again says that the
/// application is done with what it was handed before. Everything else can be done from other tasks too, by a
/// [`ConsumerHandle`], which this dereferences to. Dropping it ends its tasks and closes its connections.
///
/// ```no_run
/// # async fn example(client: ottla::Client) -> ottla::Result<()> {
/// use ottla::{OffsetReset, TopicPartition};
///
/// let mut consumer = client
///     .standalone_consumer()
///     .offset_reset(OffsetReset::Earliest)
///     .assign([TopicPartition::new("events", 0)])
///     .build()?;
/// while let Some(record) = consumer.recv().await? {
///     println!("{}: {:?}", record.offset(), record.value());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Consumer {
    handle: ConsumerHandle,
    active: Option<Active>,
}

impl Consumer {
    /// Starts the tasks; nothing is assigned yet.
    fn start(client: &Client, settings: ConsumerSettings) -> Self {
        static CONSUMERS: AtomicU32 = AtomicU32::new(0);
        let id = CONSUMERS.fetch_add(1, Ordering::Relaxed);
        let shared = Shared::new(id, client.cluster().clone(), settings);
        tokio::spawn(positions::run(shared.clone()));
        Self {
            handle: ConsumerHandle::new(shared),
            active: None,
        }
    }

    /// A handle to steer this consumer from other tasks.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
    }

    /// The next record; waits until there is one. `None` once the consumer was [stopped](ConsumerHandle::stop).
    ///
    /// The future may be dropped at any point: no record is lost by that, and none handed out twice.
    ///
    /// # Errors
    /// What the application must know, each once; the consumer goes on with the next call. [`Error::NoOffset`](crate::Error::NoOffset),
    /// [`Error::LogTruncated`](crate::Error::LogTruncated), [`Error::Corrupt`](crate::Error::Corrupt) (again with each call until the application
    /// seeks past it), and a broker's refusal such as `TOPIC_AUTHORIZATION_FAILED`.
    pub async fn recv(&mut self) -> Result<Option<ConsumerRecord>> {
        loop {
            if let Some(record) = self.take_one()? {
                return Ok(Some(record));
            }
            if !self.next_chunk().await? {
                return Ok(None);
            }
        }
    }

    /// The next records, up to `max.poll.records` of what is there; waits until there is one. `None` once the consumer
    /// was [stopped](ConsumerHandle::stop).
    ///
    /// The future may be dropped at any point: no record is lost by that, and none handed out twice.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn poll(&mut self) -> Result<Option<Records>> {
        loop {
            if !self.next_chunk().await? {
                return Ok(None);
            }
            let records = self.take_many()?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
    }
}

impl Deref for Consumer {
    type Target = ConsumerHandle;

    fn deref(&self) -> &ConsumerHandle {
        &self.handle
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared().close();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
