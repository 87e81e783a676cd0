//! Commits that nobody waits for: the latest of each partition, one request after the other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::Commit;
use super::{Commits, Manner, Offsets};
use crate::types::{TopicPartition, after};

/// What is to be committed in the background.
#[derive(Debug)]
pub(super) struct Background {
    waiting: Mutex<HashMap<TopicPartition, Commit>>,
    /// Whether a task is committing what waits.
    is_busy: watch::Sender<bool>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            is_busy: watch::Sender::new(false),
        }
    }
}

impl Background {
    fn waiting(&self) -> MutexGuard<'_, HashMap<TopicPartition, Commit>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is left to commit.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        *self.is_busy.borrow()
    }

    /// All that waits; the task's work is over when that is nothing.
    fn take(&self) -> Option<Commits> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            self.is_busy.send_replace(false);
            return None;
        }
        Some(waiting.drain().collect())
    }
}

impl Offsets {
    /// Commits these some time soon, and then tells `committed`; a failure is logged.
    pub(in crate::consumer) fn commit_in_background(
        &self,
        offsets: Commits,
        committed: impl Fn(&Commits) + Send + 'static,
    ) {
        if offsets.is_empty() {
            return;
        }
        let background = &self.0.background;
        let mut waiting = background.waiting();
        waiting.extend(offsets);
        if background.is_busy.send_replace(true) {
            return;
        }
        drop(waiting);
        let offsets = self.clone();
        self.0.runtime.spawn(async move {
            loop {
                // Taken only now: a commit that the application waits for makes an earlier one needless.
                let turn = offsets.turn().await;
                let Some(commits) = offsets.0.background.take() else {
                    break;
                };
                let began = offsets.standing();
                let limit = offsets.0.settings.api_timeout;
                let until = after(Instant::now().into_std(), limit).into();
                let outcome = offsets
                    .commit_in(turn, began, &commits, until, Manner::Regular)
                    .await;
                committed(&outcome.committed);
                let failed = commits.len() - outcome.committed.len();
                if let Err(error) = outcome.result {
                    warn!(%error, partitions = failed, "offsets not committed in the background");
                } else if failed > 0 {
                    warn!(
                        partitions = failed,
                        "offsets of topics that are gone not committed"
                    );
                }
            }
        });
    }

    /// Waits until nothing is left to commit in the background, or until the deadline.
    pub(in crate::consumer) async fn background_done(&self, until: Instant) {
        let mut busy = self.0.background.is_busy.subscribe();
        // The sender lives as long as `self`; what is not done in time is not waited for.
        let _ = timeout_at(until, busy.wait_for(|busy| !busy)).await;
    }

    /// Drops what is not sent yet of partitions that are not this member's any more, or are committed anew.
    pub(in crate::consumer) fn forget_background<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) {
        let mut waiting = self.0.background.waiting();
        for partition in partitions {
            waiting.remove(partition);
        }
    }
}
