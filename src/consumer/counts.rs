//! What one consumer counts: a few additions for each fetch, commit and call, one for each record.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::{ConsumerMetrics, Histogram};

/// What is counted under the state's lock.
#[derive(Debug, Default)]
pub(super) struct ConsumerCounts {
    /// Handed out.
    pub(super) records: u64,
    /// When the application asked for more than what was at hand.
    pub(super) called_at: Option<Instant>,
    fetches: u64,
    bytes: u64,
    fetch_latency: Histogram,
}

impl ConsumerCounts {
    /// A fetch was answered with so many bytes of records.
    pub(super) fn fetched(&mut self, bytes: usize, after: Duration) {
        self.fetches += 1;
        self.bytes += bytes as u64;
        self.fetch_latency.add(after);
    }

    /// What was counted, as it is told to the application.
    pub(super) fn metrics(&self) -> ConsumerMetrics {
        ConsumerMetrics {
            records: self.records,
            fetches: self.fetches,
            bytes: self.bytes,
            fetch_latency: self.fetch_latency.latency(),
            ..ConsumerMetrics::default()
        }
    }
}

/// What is counted of a group.
#[derive(Debug, Default)]
pub(super) struct GroupCounts(Mutex<GroupTotals>);

#[derive(Debug, Default)]
struct GroupTotals {
    generation: Option<i32>,
    rebalances: u64,
    commits: u64,
    failed_commits: u64,
    commit_latency: Histogram,
}

impl GroupCounts {
    fn lock(&self) -> MutexGuard<'_, GroupTotals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The member is one of this generation.
    pub(super) fn generation(&self, generation: i32) {
        let mut counts = self.lock();
        if counts.generation.replace(generation) != Some(generation) {
            counts.rebalances += 1;
        }
    }

    pub(super) fn commit(&self, is_made: bool, after: Duration) {
        let mut counts = self.lock();
        if is_made {
            counts.commits += 1;
            counts.commit_latency.add(after);
        } else {
            counts.failed_commits += 1;
        }
    }
    /// Puts what was counted of the group beside what was counted of the consumer.
    pub(super) fn add_to(&self, metrics: &mut ConsumerMetrics) {
        let counts = self.lock();
        metrics.rebalances = counts.rebalances;
        metrics.commits = counts.commits;
        metrics.failed_commits = counts.failed_commits;
        metrics.commit_latency = counts.commit_latency.latency();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_counts_once_and_a_failed_commit_has_no_latency() {
        let counts = GroupCounts::default();
        for generation in [1, 1, 2, 2, 3] {
            counts.generation(generation);
        }
        counts.commit(true, Duration::from_millis(3));
        counts.commit(false, Duration::from_secs(60));
        let counts = counts.lock();
        assert_eq!(counts.rebalances, 3);
        assert_eq!((counts.commits, counts.failed_commits), (1, 1));
        assert_eq!(counts.commit_latency.latency().count, 1);
    }
}
