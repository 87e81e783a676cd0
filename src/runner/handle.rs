//! Steering a runner from any task, while it runs.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::metrics::{OldestUnfinished, RunnerMetrics};
use super::shared::Shared;
use crate::consumer::ConsumerHandle;
use crate::error::{Error, Result};
use crate::machine::runner::Pace;

/// Everything that a [`Runner`](super::Runner) can be asked but its end; cheap to clone, usable from any task.
#[derive(Clone)]
pub struct RunnerHandle {
    shared: Arc<Shared>,
    consumer: ConsumerHandle,
}

impl RunnerHandle {
    pub(super) fn new(shared: Arc<Shared>, consumer: ConsumerHandle) -> Self {
        Self { shared, consumer }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Begins no handler until [`resume`](Self::resume); those in flight go on. The member stays in its group.
    pub fn pause(&self) {
        self.shared.pause(true);
    }

    /// Begins handlers again.
    pub fn resume(&self) {
        self.shared.pause(false);
    }

    /// Whether the runner is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.lock().is_paused
    }

    /// At most so many records in a period from now on, or as many as there are for `None`. What the current period has
    /// given counts. Records that are tried again are not counted.
    ///
    /// # Errors
    /// [`Error::Config`] for a pace of no records, or a period of no time.
    pub fn set_pace(&self, pace: Option<Pace>) -> Result<()> {
        check_pace(pace)?;
        self.shared.set_pace(pace);
        Ok(())
    }

    /// What the runner has done so far, and what is in its hands now.
    #[must_use]
    pub fn metrics(&self) -> RunnerMetrics {
        let consumer = self.consumer.metrics();
        let now = Instant::now();
        let state = self.shared.lock();
        let ages = state.all().filter_map(|partition| {
            let (offset, since) = partition.acks.oldest()?;
            Some(OldestUnfinished {
                partition: partition.name.clone(),
                offset,
                age: now.saturating_duration_since(since),
            })
        });
        let oldest = ages.max_by_key(|oldest| oldest.age);
        let held_up = state.all().filter(|partition| partition.is_full);
        let held_up = held_up.map(|partition| partition.name.clone()).collect();
        let counts = &state.counts;
        RunnerMetrics {
            in_flight: state.running,
            queued: state.lanes.waiting(),
            waiting_to_retry: state.aside,
            held_bytes: state.held,
            handled: counts.handled,
            skipped: counts.skipped,
            retries: counts.retries,
            dead_letters: counts.dead_letters,
            oldest,
            held_up,
            handler_time: counts.time.latency(),
            consumer,
        }
    }

    /// The consumer: its assignment, lag, committed offsets. Commits and seeks are the runner's own business.
    #[must_use]
    pub fn consumer(&self) -> &ConsumerHandle {
        &self.consumer
    }
}

/// Refuses a pace that says nothing.
pub(super) fn check_pace(pace: Option<Pace>) -> Result<()> {
    match pace.is_none_or(Pace::is_valid) {
        true => Ok(()),
        false => Err(Error::config(
            "pace",
            "it is at least one record in a period that is longer than nothing: to take none, pause",
        )),
    }
}

impl fmt::Debug for RunnerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerHandle")
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
