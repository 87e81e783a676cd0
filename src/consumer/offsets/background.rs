//! Commits that nobody waits for: the latest of each partition, one request after the other.

use tokio::time::Instant;
use tracing::warn;

use super::Offsets;
use super::commits::{Commits, Manner};
use crate::types::{TopicPartition, after};

impl Offsets {
    /// Commits these some time soon, and then tells `committed`; a failure is logged.
    pub(in crate::consumer) fn commit_in_background(
        &self,
        offsets: Commits,
        committed: impl Fn(&Commits) + Send + 'static,
    ) {
        if offsets.is_empty() || !self.0.waiting.add(offsets) {
            return;
        }
        let offsets = self.clone();
        self.0.runtime.spawn(async move {
            loop {
                // Taken only now: a commit that the application waits for makes an earlier one needless.
                let turn = offsets.turn().await;
                let Some(commits) = offsets.0.waiting.take() else {
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
        self.0.waiting.done(until).await;
    }

    /// Drops what is not sent yet of partitions that are not this member's any more, or are committed anew.
    pub(in crate::consumer) fn forget_background<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) {
        self.0.waiting.forget(partitions);
    }
}
