//! The consumer as its membership sees it: partitions come and go, and the listener hears of it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::inner::ConsumerInner;
use super::membership::{Host, Listening, News};
use super::offsets::{Commit, Commits};
use super::subscription_state::Wakes;
use super::{ConsumerHandle, RebalanceListener};
use crate::error::Error;
use crate::machine::group::Loss;
use crate::types::{TopicName, TopicPartition};

/// A consumer of a group, with whoever listens to its rebalances.
pub(super) struct Grouped {
    handle: ConsumerHandle,
    listener: Option<Arc<dyn RebalanceListener>>,
}

impl Grouped {
    pub(super) fn new(
        handle: ConsumerHandle,
        listener: Option<Arc<dyn RebalanceListener>>,
    ) -> Self {
        Self { handle, listener }
    }

    fn inner(&self) -> &ConsumerInner {
        self.handle.inner()
    }
}

impl Host for Grouped {
    fn subscription(&self) -> watch::Receiver<Arc<[TopicName]>> {
        self.inner().subscription()
    }

    fn hold(&self, partitions: &[TopicPartition]) {
        self.inner().hold(partitions);
    }

    fn begin(&self, partitions: &[TopicPartition]) {
        self.inner().begin(partitions);
    }

    fn withhold(&self, withheld: bool) {
        self.inner().withhold(withheld);
    }

    fn stop(&self, partitions: &[TopicPartition]) {
        self.inner().stop(partitions);
    }

    async fn settled(&self, partitions: &[TopicPartition], until: Instant) -> bool {
        self.inner().settled(partitions, until).await
    }

    fn give_up(&self, partitions: &[TopicPartition]) {
        self.inner().give_up(partitions);
    }

    fn rest(&self) {
        self.inner().rest();
    }

    fn remove(&self, partitions: &[TopicPartition]) {
        self.inner().remove(partitions);
    }

    fn committable(&self, partitions: Option<&[TopicPartition]>) -> Commits {
        self.inner().committable(partitions)
    }

    fn committed(&self, offsets: &[(TopicPartition, Commit)]) {
        self.inner().committed(offsets);
    }

    fn refused(&self, error: &Error) {
        self.inner().refused(error);
    }

    fn calls(&self) -> (u64, bool) {
        let calls = self.inner().calls();
        (calls.count, calls.is_waiting)
    }

    fn nudge(&self) {
        self.inner().wake(Wakes::caller());
    }

    fn lost(&self, partitions: &[TopicPartition], why: Loss) {
        // The others are told by errors of their own.
        let is_news = matches!(why, Loss::Expired | Loss::LeftBehind);
        if self.listener.is_none() && is_news {
            self.inner().fail(Error::PartitionsLost {
                partitions: partitions.into(),
                reason: why.into(),
            });
        }
    }

    fn fail(&self, error: Error) {
        self.inner().fail(error);
    }

    fn end(&self, error: Error) {
        self.inner().end(error);
    }

    fn tell<'a>(&'a self, news: News, partitions: &'a [TopicPartition]) -> Listening<'a> {
        let Some(listener) = &self.listener else {
            return Box::pin(std::future::ready(()));
        };
        match news {
            News::Assigned => listener.assigned(&self.handle, partitions),
            News::Revoked => listener.revoked(&self.handle, partitions),
            News::Lost(why) => listener.lost(&self.handle, partitions, why.into()),
        }
    }

    fn left(&self) {
        self.inner().close();
    }
}
