//! What one consumer counts: a few additions for each fetch, commit and call, one for each record.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ConsumerHandle;
use super::subscription_state::SubscriptionState;
use crate::machine::fetch::PartitionState;
use crate::metrics::{ConsumerMetrics, Histogram};

/// What is counted under the state's lock.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Handed out.
    pub(super) records: u64,
    /// When the application asked for more than what was at hand.
    pub(super) called_at: Option<Instant>,
    fetches: u64,
    bytes: u64,
    fetch_latency: Histogram,
}

impl Counts {
    /// A fetch was answered with so many bytes of records.
    pub(super) fn fetched(&mut self, bytes: usize, after: Duration) {
        self.fetches += 1;
        self.bytes += bytes as u64;
        self.fetch_latency.add(after);
    }
}

/// What is counted of a group.
#[derive(Debug, Default)]
pub(super) struct GroupCounts(Mutex<Grouped>);

#[derive(Debug, Default)]
struct Grouped {
    generation: Option<i32>,
    rebalances: u64,
    commits: u64,
    failed_commits: u64,
    commit_latency: Histogram,
}

impl GroupCounts {
    fn lock(&self) -> MutexGuard<'_, Grouped> {
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
}

/// How many offsets lie between the position and the end of what may be read.
pub(super) fn lag(partition: &PartitionState, read_committed: bool) -> Option<u64> {
    let end = if read_committed {
        partition.last_stable_offset
    } else {
        partition.high_watermark
    };
    let position = partition.position()?;
    (end >= 0).then(|| end.saturating_sub(position.offset).try_into().unwrap_or(0))
}

fn of_state(state: &mut SubscriptionState, read_committed: bool, now: Instant) -> ConsumerMetrics {
    let counts = &state.counts;
    let called_at = counts.called_at.filter(|_| !state.is_waiting);
    let mut metrics = ConsumerMetrics {
        records: counts.records,
        fetches: counts.fetches,
        bytes: counts.bytes,
        fetch_latency: counts.fetch_latency.latency(),
        since_last_call: if state.is_waiting {
            Some(Duration::ZERO)
        } else {
            called_at.map(|at| now.duration_since(at))
        },
        ..ConsumerMetrics::default()
    };
    let mut lags = BTreeMap::new();
    for (_, partition) in state.all() {
        metrics.buffered_bytes += partition.buffered();
        lags.insert(partition.name.clone(), lag(partition, read_committed));
    }
    metrics.lag = lags;
    metrics
}

impl ConsumerHandle {
    /// What the consumer has done so far, and how far it is.
    #[must_use]
    pub fn metrics(&self) -> ConsumerMetrics {
        let inner = self.inner();
        let read_committed = inner.filter.read_committed;
        let mut metrics = of_state(&mut inner.lock(), read_committed, Instant::now());
        if let Some(offsets) = &inner.offsets {
            let counts = offsets.counts().lock();
            metrics.rebalances = counts.rebalances;
            metrics.commits = counts.commits;
            metrics.failed_commits = counts.failed_commits;
            metrics.commit_latency = counts.commit_latency.latency();
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Compression;
    use crate::consumer::testing::fetched::{answer_fetch, batch, consumer};
    use crate::consumer::testing::{consumer_settings, partitions};

    #[tokio::test]
    async fn records_are_counted_as_they_are_handed_out_and_lag_shrinks_with_them() {
        let mut consumer = consumer(2, consumer_settings()).await;
        assert_eq!(consumer.metrics().since_last_call, None, "never called");
        answer_fetch(&consumer, 0, &[batch(0, 5, 10, Compression::None)]);
        answer_fetch(&consumer, 1, &[batch(0, 7, 10, Compression::None)]);
        let before = consumer.metrics();
        assert!(before.buffered_bytes > 0 && before.records == 0);
        consumer.recv().await.unwrap().unwrap();
        assert_eq!(consumer.metrics().records, 1);
        let mut seen = 1;
        while seen < 12 {
            seen += consumer.poll().await.unwrap().unwrap().len();
        }
        let metrics = consumer.metrics();
        assert_eq!((seen, metrics.records), (12, 12));
        assert!(metrics.since_last_call.is_some());
        let [first, second] = [0, 1].map(|n| metrics.lag[&partitions([n])[0]]);
        assert_eq!((first, second), (Some(1_000_000 - 5), Some(1_000_000 - 7)));
        assert_eq!(metrics.max_lag(), first);
    }

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
