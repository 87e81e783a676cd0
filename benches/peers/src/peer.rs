//! What each client implements, and the payloads and the timing that it is given.

use bytes::Bytes;
use hdrhistogram::Histogram;
use peers::figures::Outcome;
use peers::work::{PAYLOADS, Work, payload};
use std::time::{Duration, Instant};

/// One client. Making it, connecting and closing it belong to the time measured.
pub(crate) trait Peer {
    /// Enqueues `work.records` records as fast as they are taken and observes every
    /// acknowledgement; an error if one fails.
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome>;

    /// Sends record after record to partition 0 at linger 0, each acknowledged before the next.
    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome>;

    /// Reads `work.records` records from the beginning, from all partitions, named by hand.
    async fn fetch(work: &Work) -> anyhow::Result<Outcome>;

    /// Sends record after record to partition 0 at linger 0 with a producer, and times each until a consumer in
    /// another task has it; see [`Arrivals`](crate::arrivals::Arrivals).
    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome>;

    /// Makes `work.records` consumers, one after another, each in a new group of which it is the only member, and
    /// times each from before it connects until it hands out its first record.
    async fn group_start(work: &Work) -> anyhow::Result<Outcome>;
}

/// Payloads made ahead, so that making them is not measured.
pub(crate) struct Pool(Vec<Bytes>);

impl Pool {
    pub(crate) fn new(work: &Work) -> Self {
        Pool(
            (0..PAYLOADS)
                .map(|n| payload(n, work.size).into())
                .collect(),
        )
    }

    /// The payload of record `i`.
    pub(crate) fn get(&self, i: u64) -> &Bytes {
        &self.0[(i % PAYLOADS) as usize]
    }
}

/// A group's name that no other process and no other `number` has.
pub(crate) fn group(number: u64) -> String {
    format!("peers-{}-{number}", std::process::id())
}

/// Times single records; the first tenth warms up and is not counted.
pub(crate) struct Stopwatch {
    latencies: Histogram<u64>,
    warm_up: u64,
    records: u64,
}

impl Stopwatch {
    pub(crate) fn new(work: &Work) -> anyhow::Result<Self> {
        Ok(Stopwatch {
            latencies: Histogram::new(3)?,
            warm_up: work.records / 10,
            records: 0,
        })
    }

    pub(crate) fn record(&mut self, start: Instant) -> anyhow::Result<()> {
        self.took(start.elapsed())
    }

    pub(crate) fn took(&mut self, time: Duration) -> anyhow::Result<()> {
        self.records += 1;
        if self.records > self.warm_up {
            self.latencies.record(time.as_micros() as u64)?;
        }
        Ok(())
    }

    pub(crate) fn outcome(self) -> Outcome {
        Outcome::timed(self.records, self.latencies)
    }
}
