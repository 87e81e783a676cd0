//! What the handles and tasks of one spilling producer have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::aside::Aside;
use super::keeper::Keeper;
use super::lanes::Lanes;
use super::metrics::Counters;
use super::settings::FullBuffer;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::producer::Producer;

/// What the handles and tasks of one spilling producer have in common.
pub(crate) struct SpillInner {
    /// Sends what does not come from disk; what it holds ends here alone, after `delivery_timeout`.
    pub(crate) direct: Producer,
    /// Sends what comes from disk, for as long as it takes.
    pub(crate) replay: Producer,
    pub(crate) cluster: Cluster,
    pub(crate) keeper: Keeper,
    pub(crate) aside: Aside,
    pub(crate) counters: Counters,
    pub(crate) delivery_timeout: Duration,
    pub(crate) second_copies: bool,
    pub(crate) full_buffer: FullBuffer,
    lanes: Mutex<Lanes>,
    /// Changes with the lanes' routes.
    changed: watch::Sender<()>,
    /// There is an oldest record, where there was none.
    look: Notify,
    /// The watch knows of no record.
    idle: AtomicBool,
    closing: watch::Sender<bool>,
    runtime: Handle,
}

/// What an [`SpillInner`] is made of.
pub(crate) struct Parts {
    pub(crate) direct: Producer,
    pub(crate) replay: Producer,
    pub(crate) cluster: Cluster,
    pub(crate) keeper: Keeper,
    pub(crate) aside: Aside,
    pub(crate) delivery_timeout: Duration,
    pub(crate) second_copies: bool,
    pub(crate) full_buffer: FullBuffer,
    pub(crate) runtime: Handle,
}

impl SpillInner {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            direct: parts.direct,
            replay: parts.replay,
            cluster: parts.cluster,
            keeper: parts.keeper,
            aside: parts.aside,
            counters: Counters::default(),
            delivery_timeout: parts.delivery_timeout,
            second_copies: parts.second_copies,
            full_buffer: parts.full_buffer,
            lanes: Mutex::new(Lanes::new(parts.second_copies)),
            changed: watch::Sender::new(()),
            look: Notify::new(),
            idle: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            runtime: parts.runtime,
        }
    }

    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes after each change of a route.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Changes the lanes and wakes whoever waits for a route.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Lanes) -> R) -> R {
        let changed = change(&mut self.lanes());
        self.changed.send_replace(());
        changed
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if *self.closing.borrow() {
            return Err(Error::Closed { what: "producer" });
        }
        self.direct.inner().check_open()
    }

    pub(crate) fn begin_closing(&self) {
        self.closing.send_replace(true);
        self.changed.send_replace(());
        self.look.notify_one();
    }

    /// Waits until the producer is being closed.
    pub(crate) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender is here: it cannot have gone.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Waits until the record's time is up that was accepted then; without one, until there is one.
    pub(crate) async fn until_due(&self, accepted: Option<Instant>) {
        let look = self.look.notified();
        match accepted.and_then(|accepted| accepted.checked_add(self.delivery_timeout)) {
            Some(at) => {
                let _ = tokio::time::timeout_at(at.into(), look).await;
            }
            // Looked at once more behind that: one that came before it did not notify.
            None if self.idle.swap(true, Ordering::SeqCst) => look.await,
            None => {}
        }
    }

    /// A record is watched from now on.
    pub(crate) fn watch_record(&self) {
        if self.idle.load(Ordering::SeqCst) && self.idle.swap(false, Ordering::SeqCst) {
            self.look.notify_one();
        }
    }

    /// Waits until nothing is being sent from disk.
    pub(crate) async fn replays(&self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if !self.lanes().is_replaying() {
                return;
            }
            let _ = changes.changed().await;
        }
    }
}
