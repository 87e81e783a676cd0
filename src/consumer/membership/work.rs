//! Brings partitions to the application and takes them away again.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::contain::contain;
use super::host::{Host, News};
use crate::consumer::offsets::{Commits, Manner, Offsets};
use crate::error::{Error, ErrorCode};
use crate::machine::group::Loss;
use crate::types::TopicPartition;

/// The tools of that.
pub(super) struct Hands<H> {
    pub(super) host: Arc<H>,
    pub(super) offsets: Offsets,
    /// Whether offsets are committed without being asked for.
    pub(super) commits: bool,
}

impl<H> Clone for Hands<H> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            offsets: self.offsets.clone(),
            commits: self.commits,
        }
    }
}

/// What the group said to the last commit, if that means that the partitions may be another member's already.
fn loss(failure: &Error) -> Option<Loss> {
    match failure.broker_code()? {
        ErrorCode::UNKNOWN_MEMBER_ID => Some(Loss::Expired),
        ErrorCode::ILLEGAL_GENERATION => Some(Loss::LeftBehind),
        ErrorCode::FENCED_INSTANCE_ID => Some(Loss::Fenced),
        _ => None,
    }
}

impl<H: Host> Hands<H> {
    pub(super) async fn assign(&self, partitions: &[TopicPartition]) {
        self.host.hold(partitions);
        self.tell(News::Assigned, partitions).await;
        // A listener that seeks has done so by now.
        self.host.begin(partitions);
    }

    /// Gives these up, of which nothing is handed out any more; returns why the last commit failed.
    pub(super) async fn revoke(
        &self,
        partitions: &[TopicPartition],
        until: Instant,
    ) -> Option<Error> {
        if !self.host.settled(partitions, until).await {
            debug!("the application is not done with records of partitions that are revoked");
        }
        let failure = self.commit(Some(partitions), until).await;
        let news = failure.as_ref().and_then(loss);
        if let Some(why) = news {
            self.host.lost(partitions, why);
        }
        self.tell(news.map_or(News::Revoked, News::Lost), partitions)
            .await;
        self.offsets.background_done(until).await;
        self.host.give_up(partitions);
        self.offsets.forget_background(partitions);
        failure
    }

    pub(super) async fn lose(&self, partitions: &[TopicPartition], why: Loss) {
        self.tell(News::Lost(why), partitions).await;
        self.host.remove(partitions);
    }

    /// Commits what the application is done with, unless that is left to it; why it failed.
    pub(super) async fn commit(
        &self,
        partitions: Option<&[TopicPartition]>,
        until: Instant,
    ) -> Option<Error> {
        if !self.commits {
            return None;
        }
        let mut is_again = false;
        loop {
            let done = self.host.committable(partitions);
            if done.is_empty() {
                return None;
            }
            let committing = self.offsets.commit_until(&done, until, Manner::Parting);
            let outcome = committing.await;
            self.committed(&outcome.committed);
            let left = done.len() - outcome.committed.len();
            let error = outcome.result.err()?;
            self.host.refused(&error);
            // What was too long is left out now.
            let is_too_long = error.broker_code() == Some(ErrorCode::OFFSET_METADATA_TOO_LARGE);
            if !is_too_long || std::mem::replace(&mut is_again, true) {
                warn!(%error, partitions = left, "offsets of revoked partitions not committed");
                return Some(error);
            }
        }
    }

    pub(super) fn committed(&self, committed: &Commits) {
        if !committed.is_empty() {
            self.host.committed(committed);
        }
    }

    async fn tell(&self, news: News, partitions: &[TopicPartition]) {
        if !contain(|| self.host.tell(news, partitions)).await {
            warn!(?news, "the rebalance listener panicked");
        }
    }
}
