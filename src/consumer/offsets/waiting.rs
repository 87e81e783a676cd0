//! Commits that wait to be made in the background: the latest of each partition.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::commits::{Commit, Commits};
use crate::types::TopicPartition;

/// What is to be committed in the background.
#[derive(Debug)]
pub(super) struct WaitingCommits {
    latest: Mutex<HashMap<TopicPartition, Commit>>,
    /// Whether a task is committing what waits.
    is_busy: watch::Sender<bool>,
}

impl Default for WaitingCommits {
    fn default() -> Self {
        Self {
            latest: Mutex::default(),
            is_busy: watch::Sender::new(false),
        }
    }
}

impl WaitingCommits {
    fn latest(&self) -> MutexGuard<'_, HashMap<TopicPartition, Commit>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is left to commit.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        *self.is_busy.borrow()
    }

    /// These wait, too; whether a task must be started that commits them.
    #[must_use = "nobody commits them otherwise"]
    pub(super) fn add(&self, commits: Commits) -> bool {
        let mut latest = self.latest();
        latest.extend(commits);
        !self.is_busy.send_replace(true)
    }

    /// All that waits; the task's work is over when that is nothing.
    pub(super) fn take(&self) -> Option<Commits> {
        let mut latest = self.latest();
        if latest.is_empty() {
            self.is_busy.send_replace(false);
            return None;
        }
        Some(latest.drain().collect())
    }

    /// Drops what is not sent yet of these partitions.
    pub(super) fn forget<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        let mut latest = self.latest();
        for partition in partitions {
            latest.remove(partition);
        }
    }

    /// Waits until nothing is left to commit, or until the deadline.
    pub(super) async fn done(&self, until: Instant) {
        let mut busy = self.is_busy.subscribe();
        // The sender lives as long as `self`; what is not done in time is not waited for.
        let _ = timeout_at(until, busy.wait_for(|busy| !busy)).await;
    }
}
