//! Figures about what a role has done so far.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::TopicPartition;

/// A producer's figures since it was built; an owned copy, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProducerMetrics {
    /// Records acknowledged. Kafka: `record-send-total`, which counts those on the way too.
    pub records: u64,
    /// Records that failed after they had been accepted. Kafka: `record-error-total`.
    pub failed_records: u64,
    /// Bytes of acknowledged batches, uncompressed, headers included.
    pub plain_bytes: u64,
    /// Bytes of acknowledged batches as they were sent.
    pub sent_bytes: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Batches that were put back to be sent again. Kafka: `record-retry-total`, in records.
    pub retries: u64,
    /// Batches that were split because the broker found them too large; those that lost records to a refusal are not
    /// among them.
    pub splits: u64,
    /// Mean size of an acknowledged batch, uncompressed, as a share of `batch.size`.
    pub batch_fill: f64,
    /// Bytes of `buffer.memory` in use now. Kafka: `buffer-total-bytes` less `buffer-available-bytes`.
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
    /// From a request's writing to its answer; what was not answered is not in it. Kafka: `request-latency-avg`,
    /// `request-latency-max`.
    pub request_latency: Latency,
    /// Time for which the broker asked to be left alone; where what it asked for overlaps, each moment counts once.
    pub throttled: Duration,
}

/// A consumer's figures since it was built; an owned copy, taken at one moment. Kafka's names are those of the groups
/// `consumer-fetch-manager-metrics` and `consumer-coordinator-metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConsumerMetrics {
    /// Records handed out. Kafka: `records-consumed-total`.
    pub records: u64,
    /// Bytes of records that brokers have answered with, compressed as they are. Kafka: `bytes-consumed-total`.
    pub bytes: u64,
    /// Fetches that were answered. Kafka: `fetch-total`.
    pub fetches: u64,
    /// From a fetch to its answer, for which a broker without new records waits up to `fetch.max.wait.ms`. Kafka:
    /// `fetch-latency-avg`, `fetch-latency-max`.
    pub fetch_latency: Latency,
    /// Bytes that are fetched and not yet handed out.
    pub buffered_bytes: usize,
    /// How many offsets each partition of the assignment is behind, as of its last fetch; `None` before the first.
    /// Kafka: `records-lag`.
    pub lag: BTreeMap<TopicPartition, Option<u64>>,
    /// Generations of its group that the member was part of. Kafka: `rebalance-total`.
    pub rebalances: u64,
    /// Commits that were made, whoever asked for them. Kafka: `commit-total`.
    pub commits: u64,
    /// Commits that were not made, or in part.
    pub failed_commits: u64,
    /// From a commit's turn to its end, of those that were made. Kafka: `commit-latency-avg`, `commit-latency-max`.
    pub commit_latency: Latency,
    /// Since the application came for more, to within what `recv` hands out of one fetched batch; zero while a call
    /// waits, `None` before the first. Kafka: `last-poll-seconds-ago`.
    pub since_last_call: Option<Duration>,
}

impl ConsumerMetrics {
    /// The largest lag of all partitions. Kafka: `records-lag-max`.
    #[must_use]
    pub fn max_lag(&self) -> Option<u64> {
        self.lag.values().copied().flatten().max()
    }
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
    /// All of them together.
    pub sum: Duration,
    /// How many there are in each bucket.
    buckets: Vec<u64>,
}

impl Latency {
    /// The distribution, for a system that keeps histograms: the longest time that a bucket takes, and how many times
    /// are in it. Buckets without a time are left out; bounds are the same in each process, sixteen for each power of
    /// two of microseconds, so that distributions can be added up.
    ///
    /// Counts are each bucket's own. Prometheus wants those of all smaller ones in them: add them up on the way.
    ///
    /// ```no_run
    /// # fn example(producer: ottla::Producer) {
    /// let latency = producer.metrics().delivery_latency;
    /// let mut up_to = 0;
    /// for (bound, count) in latency.buckets() {
    ///     up_to += count;
    ///     println!("delivery_seconds_bucket{{le=\"{}\"}} {up_to}", bound.as_secs_f64());
    /// }
    /// println!("delivery_seconds_sum {}", latency.sum.as_secs_f64());
    /// println!("delivery_seconds_count {}", latency.count);
    /// # }
    /// ```
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let buckets = (0..).zip(&self.buckets);
        let filled = buckets.filter(|(_, count)| **count > 0);
        filled.map(|(at, count)| (Duration::from_micros(upper_bound(at)), *count))
    }

    /// The mean; `None` where no time was taken.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum.as_secs_f64() / self.count as f64;
        (self.count > 0).then(|| Duration::from_secs_f64(mean))
    }
}

/// Counts times in buckets: sixteen for each power of two of microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
    sum: Duration,
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
        self.sum = self.sum.saturating_add(time);
    }

    pub(crate) fn latency(&self) -> Latency {
        Latency {
            count: self.count,
            p50: self.percentile(50),
            p99: self.percentile(99),
            max: self.max,
            sum: self.sum,
            buckets: self.buckets.clone(),
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
        assert_eq!(latency.sum, Duration::from_millis(500_500));
        assert_eq!(latency.mean(), Some(Duration::from_micros(500_500)));
    }

    #[test]
    fn every_time_is_exported_in_the_bucket_of_its_bound() {
        let mut histogram = Histogram::default();
        for micros in [3, 3, 17, 1000, 70_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let exported = histogram.latency();
        let told: Vec<_> = exported
            .buckets()
            .map(|(b, n)| (b.as_micros(), n))
            .collect();
        assert_eq!(told, [(3, 2), (17, 1), (1023, 1), (73_727, 1)]);
        assert_eq!(told.iter().map(|(_, n)| n).sum::<u64>(), exported.count);
    }

    #[test]
    fn no_times_give_zero() {
        assert_eq!(Histogram::default().latency(), Latency::default());
        assert_eq!(Latency::default().mean(), None);
    }
}
