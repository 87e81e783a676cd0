//! What the parts of a consumer have in common: its state with the lock, and who is woken by what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use super::state::State;
use crate::cluster::{Cluster, ConsumerId};
use crate::config::{ConsumerSettings, OffsetReset};
use crate::error::{Error, Result};
use crate::machine::fetch::{Filter, Start};
use crate::types::{TopicName, TopicPartition};

/// Shared by a consumer, its handles and its tasks.
pub(super) struct Shared {
    pub(super) id: ConsumerId,
    pub(super) cluster: Cluster,
    pub(super) settings: Arc<ConsumerSettings>,
    pub(super) filter: Filter,
    state: Mutex<State>,
    /// Wakes the application's call: records, an error, or the end.
    pub(super) ready: Notify,
    /// Wakes the keeper of positions.
    pub(super) work: Notify,
    /// Told of each call of the application, and of each that ends without a record.
    pub(super) called: Notify,
    closing: watch::Sender<bool>,
    subscription: watch::Sender<Arc<[TopicName]>>,
}

/// The application's calls so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) count: u64,
    /// A call is waiting: the application is alive, and not busy with a record.
    pub(super) is_waiting: bool,
}

impl Shared {
    pub(super) fn new(id: ConsumerId, cluster: Cluster, settings: ConsumerSettings) -> Arc<Self> {
        let filter = Filter {
            read_committed: settings.isolation == crate::config::IsolationLevel::ReadCommitted,
            check_crcs: settings.check_crcs,
            limit: settings.buffer_memory,
        };
        Arc::new(Self {
            id,
            cluster,
            settings: Arc::new(settings),
            filter,
            state: Mutex::default(),
            ready: Notify::new(),
            work: Notify::new(),
            called: Notify::new(),
            closing: watch::Sender::new(false),
            subscription: watch::Sender::new(Arc::default()),
        })
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the consumer's tasks; the application's call returns.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
        let mut state = self.lock();
        state.is_closed = true;
        state.wake_sources();
        drop(state);
        self.ready.notify_one();
        self.work.notify_one();
        self.called.notify_waiters();
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the consumer is closed.
    pub(super) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as `self`.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// The topics subscribed to.
    pub(super) fn subscription(&self) -> watch::Receiver<Arc<[TopicName]>> {
        self.subscription.subscribe()
    }

    pub(super) fn subscribe(&self, topics: Arc<[TopicName]>) {
        self.subscription.send_replace(topics);
    }

    /// An error for the next call of the application.
    pub(super) fn fail(&self, error: Error) {
        self.lock().tell(error);
        self.ready.notify_one();
    }

    /// Adds partitions that are not fetched before `begin`.
    pub(super) fn hold(&self, partitions: &[TopicPartition]) {
        self.lock().hold(partitions);
        for partition in partitions {
            self.cluster.add_interest(partition.topic());
        }
    }

    /// Lets partitions be fetched: from where the application has sought to, or the reset policy's offset.
    pub(super) fn begin(&self, partitions: &[TopicPartition]) {
        let start = match self.settings.offset_reset {
            OffsetReset::Earliest => Start::Earliest,
            // Without a committed offset to miss, `none` has nothing to refuse yet.
            OffsetReset::Latest | OffsetReset::None => Start::Latest,
        };
        let mut state = self.lock();
        for partition in partitions {
            if let Some(partition) = state.find(partition) {
                partition.begin(start);
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// Hands out nothing more of these partitions, and drops what is buffered; their positions stay.
    pub(super) fn stop(&self, partitions: &[TopicPartition]) {
        self.lock().stop(partitions);
    }

    /// Waits until the application is done with what it was handed of these; `false` at the deadline.
    pub(super) async fn settled(
        &self,
        partitions: &[TopicPartition],
        deadline: tokio::time::Instant,
    ) -> bool {
        loop {
            let mut called = std::pin::pin!(self.called.notified());
            called.as_mut().enable();
            if !self.lock().holds_any(partitions) {
                return true;
            }
            if timeout_at(deadline, called).await.is_err() {
                return false;
            }
        }
    }

    /// Gives partitions up.
    pub(super) fn remove(&self, partitions: &[TopicPartition]) {
        self.lock().remove(partitions);
        self.work.notify_one();
    }

    pub(super) fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assigned()
    }

    pub(super) fn calls(&self) -> Calls {
        let state = self.lock();
        Calls {
            count: state.calls,
            is_waiting: state.is_waiting,
        }
    }

    /// Does something to a partition under the lock, then wakes whoever may have work by that.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub(super) fn with(
        &self,
        partition: &TopicPartition,
        change: impl FnOnce(&mut State, &TopicPartition) -> bool,
    ) -> Result<()> {
        let mut state = self.lock();
        if !change(&mut state, partition) {
            return Err(Error::NotAssigned {
                partition: partition.clone(),
            });
        }
        if let Some(index) = state.index(partition) {
            state.wake_source(index, Instant::now());
        }
        let has_line = state.has_line();
        drop(state);
        self.work.notify_one();
        if has_line {
            self.ready.notify_one();
        }
        Ok(())
    }
}
