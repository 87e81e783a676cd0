//! What a consumer tells of itself: what it has counted, and how far it is.

use std::time::{Duration, Instant};

use super::ConsumerHandle;
use super::subscription_state::SubscriptionState;
use crate::metrics::ConsumerMetrics;

fn of_state(state: &mut SubscriptionState, read_committed: bool, now: Instant) -> ConsumerMetrics {
    let counts = &state.counts;
    let called_at = counts.called_at.filter(|_| !state.is_waiting);
    let mut metrics = counts.metrics();
    metrics.since_last_call = if state.is_waiting {
        Some(Duration::ZERO)
    } else {
        called_at.map(|at| now.duration_since(at))
    };
    for (_, partition) in state.all() {
        metrics.buffered_bytes += partition.buffered();
        let lag = partition.lag(read_committed);
        metrics.lag.insert(partition.name.clone(), lag);
    }
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
            offsets.counts().add_to(&mut metrics);
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
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
}
