//! What the consumer asks a runner: what is finished, and whether handlers come to an end.

use std::sync::{Arc, Weak};

use tokio::time::timeout;
use tracing::{debug, warn};

use super::shared::Shared;
use super::state::Reading;
use crate::consumer::{AckTracker, Commit, FinishedOffset, Handling, Settling};
use crate::error::{Error, ErrorCode};
use crate::types::{OffsetAndMetadata, TopicPartition};

/// The runner as its consumer knows it.
pub(super) struct Tracker(Weak<Shared>);

impl Tracker {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.0.upgrade()
    }
}

impl AckTracker for Tracker {
    fn hold(&self, partition: &TopicPartition, version: u64) {
        if let Some(shared) = self.shared() {
            shared.apply(|state| state.hold(partition, version));
        }
    }

    fn begin(&self, partition: &TopicPartition, committed: &OffsetAndMetadata) {
        if let Some(shared) = self.shared()
            && let Some(partition) = shared.lock().find(partition)
        {
            partition.acks.begin(committed);
        }
    }

    fn stop(&self, partitions: &[TopicPartition]) {
        let Some(shared) = self.shared() else { return };
        let mut state = shared.lock();
        for name in partitions {
            if let Some(partition) = state.find(name) {
                partition.is_stopped = true;
            }
        }
    }

    fn settled<'a>(&'a self, partitions: &'a [TopicPartition]) -> Settling<'a> {
        Box::pin(async move {
            let Some(shared) = self.shared() else { return };
            let resting = shared.resting(|state| {
                let mut held = partitions.iter();
                held.any(|name| {
                    state
                        .find(name)
                        .is_some_and(|partition| partition.running > 0)
                })
            });
            if timeout(shared.conduct.patience, resting).await.is_err() {
                warn!(
                    ?partitions,
                    "partitions are given up while handlers of their records are in flight"
                );
            }
        })
    }

    fn remove(&self, partitions: &[TopicPartition]) {
        let Some(shared) = self.shared() else { return };
        shared.apply(|state| partitions.iter().for_each(|name| state.remove(name)));
    }

    fn finished(&self, partitions: Option<&[TopicPartition]>) -> Vec<FinishedOffset> {
        let Some(shared) = self.shared() else {
            return Vec::new();
        };
        let state = shared.lock();
        let limit = state.metadata_limit;
        let wanted = state.all().filter(|partition| {
            partitions.is_none_or(|partitions| partitions.contains(&partition.name))
        });
        wanted
            .filter_map(|partition| {
                let progress = partition.acks.progress(limit)?;
                let is_committed = partition.acks.is_committed(&progress.offset);
                (!is_committed).then(|| FinishedOffset {
                    partition: partition.name.clone(),
                    topic_id: progress.topic_id,
                    offset: progress.offset,
                    is_all: progress.is_all,
                })
            })
            .collect()
    }

    fn committed(&self, offsets: &[(TopicPartition, Commit)]) {
        let Some(shared) = self.shared() else { return };
        let mut state = shared.lock();
        for (name, commit) in offsets {
            if let Some(partition) = state.find(name) {
                partition.acks.committed(commit.topic_id, &commit.offset);
            }
        }
    }

    fn refused(&self, error: &Error) {
        if error.broker_code() != Some(ErrorCode::OFFSET_METADATA_TOO_LARGE) {
            return;
        }
        if let Some(shared) = self.shared() {
            shared.lock().metadata_limit = 0;
            debug!(
                "the broker's offset.metadata.max.bytes is small: commits tell nothing above their offsets from now on"
            );
        }
    }

    fn handling(&self) -> Handling {
        let Some(shared) = self.shared() else {
            return Handling {
                ended: 0,
                is_busy: false,
            };
        };
        let mut state = shared.lock();
        let is_busy = state.is_busy();
        // One that waits for its pace, to be resumed, or to try again, is not one that hangs; one that has ended is.
        if !is_busy && !state.is_closed && state.reading != Reading::Asking {
            state.rests += 1;
        }
        Handling {
            ended: state.ended + state.rests,
            is_busy,
        }
    }
}
