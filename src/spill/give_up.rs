//! Brings a topic's records to disk: those that are handed over and have not arrived in time, then all later ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::info;

use super::inner::SpillInner;
use super::keeper::Waiting;
use super::lanes::State;
use super::replay;
use crate::error::Result;
use crate::types::TopicName;

/// So long is waited for answers to what is in flight when its topic's records are brought to disk.
const GRACE: Duration = Duration::from_secs(1);

impl SpillInner {
    /// Begins to bring the topic's records to disk, unless that has begun.
    pub(crate) fn give_up(self: &Arc<Self>, topic: &TopicName) {
        let begins = self.change(|lanes| lanes.begin_giving_up(topic));
        if begins {
            let (inner, topic) = (Arc::clone(self), topic.clone());
            self.spawn(async move { inner.bring_to_disk(&topic).await });
        }
    }

    /// Hands what does not arrive of the topic to the store, in order, until nothing is accepted any more but by it.
    async fn bring_to_disk(self: &Arc<Self>, topic: &TopicName) {
        let mut spilled = 0;
        let starts = loop {
            spilled += self.bring_accepted(topic).await;
            if let Some(starts) = self.change(|lanes| lanes.spilling(topic)) {
                break starts;
            }
        };
        info!(%topic, spilled, "the topic's records are spilled until the cluster takes them");
        if starts {
            self.start_replay(topic, 0);
        }
    }

    /// Ends what the producer holds of the topic, and hands what did not arrive to the store; tells how many that were.
    async fn bring_accepted(self: &Arc<Self>, topic: &TopicName) -> u64 {
        let producer = self.direct.inner();
        producer.halt(topic, self.delivery_timeout);
        let in_flight = self.lanes().unresolved(topic);
        let landing = async {
            for delivery in in_flight {
                let _ = delivery.await;
            }
        };
        if timeout(GRACE, landing).await.is_err() {
            producer.halt_flights(topic, self.delivery_timeout);
        }
        let pending = self.lanes().take(topic);
        let mut spilled = 0_u64;
        for pending in pending {
            match pending.state(self.second_copies) {
                State::Over => {}
                State::ToSpill => {
                    spilled += 1;
                    self.keeper.append(Waiting {
                        topic: topic.clone(),
                        record: pending.record,
                        told: pending.told,
                    });
                }
                // On a partition that is new since: it is ended in the next round.
                State::Open => {
                    self.lanes().accepted(topic, pending);
                }
            }
        }
        spilled
    }

    /// Sends the topic's records to disk from now on, and those on disk to the cluster; those below `doubtful` may have
    /// been written. Nothing of the topic has been accepted yet.
    pub(crate) fn spill(self: &Arc<Self>, topic: &TopicName, doubtful: u64) {
        if self.change(|lanes| lanes.spilling(topic)) == Some(true) {
            self.start_replay(topic, doubtful);
        }
    }

    fn start_replay(self: &Arc<Self>, topic: &TopicName, doubtful: u64) {
        let task = replay::run(Arc::clone(self), topic.clone(), doubtful);
        self.spawn(task);
    }

    /// Gives up topics whose records have waited for too long; until the producer is closed.
    pub(crate) async fn watch(self: Arc<Self>) {
        while !self.is_closing() {
            let now = tokio::time::Instant::now().into_std();
            let before = now.checked_sub(self.delivery_timeout);
            let (overdue, next) = match before {
                Some(before) => self.lanes().overdue(before),
                None => (Vec::new(), Some(now)),
            };
            for topic in &overdue {
                self.give_up(topic);
            }
            self.until_due(next).await;
        }
    }

    /// Waits until nothing that was accepted is in memory alone: it is in the log, on disk, or given back.
    pub(crate) async fn close(self: &Arc<Self>, deadline: Duration) -> Result<()> {
        self.begin_closing();
        let began = Instant::now();
        let _ = timeout(deadline, self.direct.flush()).await;
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let left = self.lanes().unsettled();
            if left.is_empty() {
                break;
            }
            left.iter().for_each(|topic| self.give_up(topic));
            let _ = changes.changed().await;
        }
        // Those that are being sent from disk: what is acknowledged now is not sent again by whoever opens it next.
        let _ = timeout(deadline.saturating_sub(began.elapsed()), self.replays()).await;
        let _ = self.direct.close(Duration::ZERO).await;
        let _ = self.replay.close(Duration::ZERO).await;
        // Nothing is on its way any more: they note how far they came, and end.
        self.replays().await;
        self.keeper.close().await
    }
}
