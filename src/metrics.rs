//! Figures about what a role has done so far.

use std::collections::BTreeMap;
use std::time::Duration;

/// A producer's figures since it was built; an owned copy, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProducerMetrics {
    /// Records acknowledged.
    pub records: u64,
    /// Records that failed after they had been accepted.
    pub failed_records: u64,
    /// Bytes of acknowledged batches, uncompressed, headers included.
    pub plain_bytes: u64,
    /// Bytes of acknowledged batches as they were sent.
    pub sent_bytes: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Batches that were put back to be sent again.
    pub retries: u64,
    /// Batches that were split because the broker found them too large; those that lost records to a refusal are not
    /// among them.
    pub splits: u64,
    /// Mean size of an acknowledged batch, uncompressed, as a share of `batch.size`.
    pub batch_fill: f64,
    /// Bytes of `buffer.memory` in use now.
    pub buffer_used: usize,
    /// How often a record had to wait for `buffer.memory`.
    pub buffer_waits: u64,
    /// From a batch's first record to its acknowledgement.
    pub delivery_latency: Latency,
    /// Figures of each broker, by its id.
    pub brokers: BTreeMap<i32, BrokerMetrics>,
}

impl ProducerMetrics {
    /// Sent bytes for each plain byte: 1.0 without compression, less with it; `None` before the first batch.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        (self.plain_bytes > 0).then(|| self.sent_bytes as f64 / self.plain_bytes as f64)
    }

    /// Records in a batch, on average; `None` before the first batch.
    #[must_use]
    pub fn records_per_batch(&self) -> Option<f64> {
        (self.batches > 0).then(|| self.records as f64 / self.batches as f64)
    }
}

/// One broker's part of [`ProducerMetrics`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BrokerMetrics {
    /// Produce requests sent, without those in flight.
    pub requests: u64,
    /// Bytes of the batches in them.
    pub bytes: u64,
    /// Produce requests without an answer yet.
    pub in_flight: usize,
    /// From a request's writing to its answer; what was not answered is not in it.
    pub request_latency: Latency,
    /// Time for which the broker asked to be left alone; where what it asked for overlaps, each moment counts once.
    pub throttled: Duration,
}

/// A distribution of times; each percentile is exact to a sixteenth.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// How many times were taken.
    pub count: u64,
    /// Half of them were no longer.
    pub p50: Duration,
    /// 99 of 100 were no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Counts times in buckets: sixteen for each power of two of microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Buckets for each power of two.
const STEPS: u64 = 16;

impl Histogram {
    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(time);
    }

    pub(crate) fn latency(&self) -> Latency {
        Latency {
            count: self.count,
            p50: self.percentile(50),
            p99: self.percentile(99),
            max: self.max,
        }
    }

    fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return Duration::from_micros(upper_bound(at as u64)).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(micros: u64) -> usize {
    let exponent = u64::from(63 - (micros | STEPS).leading_zeros()) - 4;
    let bucket = exponent * STEPS + (micros >> exponent);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The largest time of a bucket, in microseconds.
fn upper_bound(bucket: u64) -> u64 {
    let exponent = (bucket / STEPS).saturating_sub(1);
    let mantissa = bucket - exponent * STEPS;
    ((mantissa + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bucket_whose_bound_is_at_most_a_sixteenth_above() {
        for micros in (0..5000).chain([1 << 20, (1 << 20) + 12345, 1 << 40]) {
            let bound = upper_bound(bucket(micros) as u64);
            assert!(
                bound >= micros && bound <= micros + micros / 16,
                "{micros} {bound}"
            );
        }
    }

    #[test]
    fn percentiles_are_those_of_the_times_added() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        let latency = histogram.latency();
        assert_eq!(latency.count, 1000);
        assert!(
            (500..=532).contains(&latency.p50.as_millis()),
            "{:?}",
            latency.p50
        );
        assert!(
            (990..=1000).contains(&latency.p99.as_millis()),
            "{:?}",
            latency.p99
        );
        assert_eq!(latency.max, Duration::from_secs(1));
    }

    #[test]
    fn no_times_give_zero() {
        assert_eq!(Histogram::default().latency(), Latency::default());
    }
}
