//! What one producer counts: a few additions for each batch and request, none for each record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::accumulator::BrokerQueue;
use super::batch_result::BatchResult;
use super::buffer_pool::BufferPool;
use super::flushed::Flushed;
use crate::error::Error;
use crate::machine::produce::ProducerBatch;
use crate::metrics::{BrokerMetrics, Histogram, ProducerMetrics};
use crate::types::{BrokerId, after};

/// The producer's counters.
#[derive(Default)]
pub(crate) struct Counters(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    totals: ProducerMetrics,
    delivery: Histogram,
    brokers: BTreeMap<i32, Broker>,
    /// What failed since it was told last.
    untold: Flushed,
}

#[derive(Default)]
struct Broker {
    totals: BrokerMetrics,
    latency: Histogram,
    /// Until when it wants to be left alone, by all that it has said.
    quiet_until: Option<Instant>,
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acked(&self, batch: &ProducerBatch<Arc<BatchResult>>, after: Duration) {
        let mut counted = self.lock();
        counted.totals.records += u64::from(batch.share.count);
        counted.totals.batches += 1;
        counted.totals.plain_bytes += batch.plain_len as u64;
        counted.totals.sent_bytes += batch.body.len() as u64;
        counted.delivery.add(after);
    }

    pub(crate) fn failed(&self, records: u32, error: &Error) {
        let mut counted = self.lock();
        counted.totals.failed_records += u64::from(records);
        counted.untold.add(records, error);
    }

    /// What failed since the last call.
    pub(crate) fn take_untold(&self) -> Flushed {
        std::mem::take(&mut self.lock().untold)
    }

    pub(crate) fn retried(&self) {
        self.lock().totals.retries += 1;
    }

    pub(crate) fn split(&self) {
        self.lock().totals.splits += 1;
    }

    /// A request was written; `answered` tells after what time it was answered, if it was.
    pub(crate) fn request(&self, broker: BrokerId, bytes: usize, answered: Option<Duration>) {
        let mut counted = self.lock();
        let broker = counted.brokers.entry(broker.0).or_default();
        broker.totals.requests += 1;
        broker.totals.bytes += bytes as u64;
        if let Some(after) = answered {
            broker.latency.add(after);
        }
    }

    /// The broker asked at `now` to be left alone for `wait`; what it had asked for already counts once.
    pub(crate) fn throttled(&self, broker: BrokerId, now: Instant, wait: Duration) {
        let mut counted = self.lock();
        let broker = counted.brokers.entry(broker.0).or_default();
        let until = after(now, wait);
        let from = broker.quiet_until.map_or(now, |quiet| quiet.max(now));
        broker.totals.throttled += until.saturating_duration_since(from);
        broker.quiet_until = Some(until.max(from));
    }

    pub(crate) fn snapshot(
        &self,
        pool: &BufferPool,
        batch_size: usize,
        queues: &[Arc<BrokerQueue>],
    ) -> ProducerMetrics {
        let counted = self.lock();
        let mut metrics = counted.totals.clone();
        metrics.delivery_latency = counted.delivery.latency();
        metrics.buffer_used = pool.used();
        metrics.buffer_waits = pool.waits() as u64;
        if metrics.batches > 0 {
            let mean = metrics.plain_bytes as f64 / metrics.batches as f64;
            metrics.batch_fill = mean / batch_size.max(1) as f64;
        }
        metrics.brokers = counted
            .brokers
            .iter()
            .map(|(id, broker)| {
                let queue = queues.iter().find(|queue| queue.id.0 == *id);
                let totals = BrokerMetrics {
                    in_flight: queue.map_or(0, |queue| queue.in_flight()),
                    request_latency: broker.latency.latency(),
                    ..broker.totals.clone()
                };
                (*id, totals)
            })
            .collect();
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_that_overlaps_counts_once() {
        let counters = Counters::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (now, wait) in [(0, 10), (1, 10), (2, 3), (20, 5)] {
            counters.throttled(BrokerId(1), at(now), Duration::from_secs(wait));
        }
        counters.throttled(BrokerId(2), at(0), Duration::from_secs(7));
        let counted = counters.lock();
        let throttled = |id| counted.brokers[&id].totals.throttled.as_secs();
        assert_eq!((throttled(1), throttled(2)), (11 + 5, 7));
    }
}
