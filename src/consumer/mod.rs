//! The consumer: records out of the log.

mod acks;
mod builder;
mod collect;
mod commit;
mod counts;
mod fetcher;
mod group;
mod handle;
mod in_transaction;
mod inner;
mod listener;
mod lookup;
mod membership;
mod metrics;
mod offsets;
mod positions;
mod readiness;
mod record;
mod reset;
mod stream;
mod subscription_state;
#[cfg(test)]
mod testing;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use crate::cluster::{Cluster, TopicUser, next_role};
use crate::config::ConsumerSettings;
use crate::error::{Error, Result};
use collect::{FetchCollector, give_way};
use group::Grouped;
use inner::ConsumerInner;
use membership::Membership;

pub(crate) use acks::{AckTracker, FinishedOffset, Handling, Settling};
pub use builder::ConsumerBuilder;
pub use commit::Committable;
pub use handle::ConsumerHandle;
pub use listener::{ListenerFuture, LostReason, RebalanceListener};
pub(crate) use offsets::Commit;
pub use record::{
    ConsumerRecord, PartitionRecords, RecordRef, Records, RecordsIter, TimestampType,
};
pub use stream::RecordStream;

/// Reads records, alone or as a member of a group; made by [`ConsumerBuilder::build`].
///
/// [`recv`](Self::recv) hands out one record, [`poll`](Self::poll) many. Calling either again says that the
/// application is done with what it was handed before; that is what `enable.auto.commit` commits. Everything else can
/// be done from other tasks too, by a [`ConsumerHandle`], which this dereferences to.
///
/// [`close`](Self::close) commits and leaves the group. Dropping it does so in the background, and leaves out what was
/// handed out last, which the application may not be done with.
///
/// ```no_run
/// # async fn save(_: &ottla::ConsumerRecord) {}
/// # async fn example(client: ottla::Client) -> ottla::Result<()> {
/// let mut consumer = client
///     .consumer("group_1")
///     .auto_commit(false)
///     .subscribe(["coupon_create"])
///     .build()
///     .await?;
/// while let Some(record) = consumer.recv().await? {
///     save(&record).await;
///     consumer.commit(&record).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Consumer {
    handle: ConsumerHandle,
    collector: FetchCollector,
    /// With a group.
    membership: Option<Membership>,
}

impl Consumer {
    /// Starts the tasks; nothing is assigned or subscribed to yet.
    fn start(
        cluster: Cluster,
        settings: ConsumerSettings,
        group: Option<Arc<str>>,
        listener: Option<Arc<dyn RebalanceListener>>,
        acks: Option<Arc<dyn AckTracker>>,
    ) -> Self {
        let inner = ConsumerInner::new(next_role(), cluster, settings, group, acks);
        let user: Weak<dyn TopicUser> = Arc::<ConsumerInner>::downgrade(&inner);
        inner.cluster.add_user(user);
        tokio::spawn(positions::run(positions::EndOnDrop(inner.clone())));
        let handle = ConsumerHandle::new(inner.clone());
        let membership = inner.offsets.as_ref().map(|offsets| {
            let grouped = Arc::new(Grouped::new(handle.clone(), listener));
            let home = inner.cluster.home();
            Membership::spawn(grouped, offsets.clone(), &inner.settings, &home)
        });
        Self {
            collector: FetchCollector::new(inner),
            handle,
            membership,
        }
    }

    /// A handle to steer this consumer from other tasks.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    fn inner(&self) -> &Arc<ConsumerInner> {
        self.handle.inner()
    }

    /// The next record; waits until there is one. `None` once the consumer was [stopped](ConsumerHandle::stop).
    ///
    /// The future may be dropped at any point: no record is lost by that, and none handed out twice. While its group's
    /// coordinator is silent for too long, a member is handed nothing:
    /// [`session_timeout`](crate::ConsumerBuilder::session_timeout).
    ///
    /// # Errors
    /// What the application must know, each once; the consumer goes on with the next call, unless
    /// [`Error::ends_consumer`] says otherwise, which shows how a service reads. [`Error::NoOffset`],
    /// [`Error::LogTruncated`], [`Error::Corrupt`] and [`Error::TooLargeToRead`] (again with each call until the
    /// application seeks past it), [`Error::PollInterval`] (the member joins its group again with the next call),
    /// [`Error::PartitionsLost`] (only without a listener), and a broker's refusal such as `TOPIC_AUTHORIZATION_FAILED`;
    /// with `fail.on.missing.topics` also [`Error::UnknownTopic`]. What passes by itself is tried again, and told by the
    /// log.
    pub async fn recv(&mut self) -> Result<Option<ConsumerRecord>> {
        give_way().await;
        loop {
            if let Some(record) = self.collector.take_one()? {
                return Ok(Some(record));
            }
            if !self.collector.next_completed().await? {
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
        self.poll_at_most(self.inner().settings.max_poll_records)
            .await
    }

    /// As [`poll`](Self::poll), with so many records at most.
    pub(crate) async fn poll_at_most(&mut self, most: usize) -> Result<Option<Records>> {
        give_way().await;
        loop {
            if !self.collector.next_completed().await? {
                return Ok(None);
            }
            let records = self.collector.take_many(most)?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
    }

    /// The bound of all that is fetched and in use, in bytes.
    pub(crate) fn buffer_memory(&self) -> usize {
        self.inner().settings.buffer_memory
    }

    /// Has put the records of the last `poll` into the hands of an [`AckTracker`], which keeps so many bytes of memory in use.
    pub(crate) fn passed_on(&self, held: usize) {
        let inner = self.inner();
        inner.apply(|state| {
            inner.enter(state);
            state.set_held(held)
        });
    }

    /// Counts what was handed out as done, commits it with `enable.auto.commit`, leaves the group, and ends.
    ///
    /// Partitions are revoked from the listener first. Of a static member (`group.instance.id`) the group keeps the
    /// place for `session.timeout.ms`. What is not done after `deadline` goes on in the background.
    ///
    /// # Errors
    /// [`Error::Commit`] when the last offsets were not committed; [`Error::Deadline`]. Either way the consumer is
    /// closed.
    pub async fn close(self, deadline: Duration) -> Result<()> {
        self.inner().part(true);
        let Some(membership) = &self.membership else {
            self.inner().close();
            return Ok(());
        };
        timeout(deadline, membership.leave())
            .await
            .unwrap_or(Err(Error::Deadline {
                what: "close",
                limit: deadline,
            }))
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
        self.inner().part(false);
        // A member ends the rest when it has left its group.
        if self.membership.is_none() {
            self.inner().close();
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
