//! Checks that every record came, once and in order.

use anyhow::ensure;
use peers::figures::Outcome;
use peers::work::Work;
use std::time::Duration;

/// Counts what a client hands out.
pub(crate) struct Tally {
    expected: u64,
    size: usize,
    hold: Duration,
    records: u64,
    bytes: usize,
    /// Of each partition, the offset that comes next.
    next: Vec<i64>,
    /// The first record that was not the one to come: partition, offset, and what was to come.
    gap: Option<(i32, i64, i64)>,
}

impl Tally {
    pub(crate) fn new(work: &Work) -> Self {
        Tally {
            expected: work.records,
            size: work.size,
            hold: Duration::from_millis(work.hold_ms),
            records: 0,
            bytes: 0,
            next: vec![0; work.partitions as usize],
            gap: None,
        }
    }

    /// A record with a value of this many bytes.
    #[inline]
    pub(crate) fn add(&mut self, partition: i32, offset: i64, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
        let next = &mut self.next[partition as usize];
        if *next != offset && self.gap.is_none() {
            self.gap = Some((partition, offset, *next));
        }
        *next = offset + 1;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.records >= self.expected
    }

    /// Waits, the first time, as `--hold-ms` says.
    pub(crate) async fn hold(&mut self) {
        let hold = std::mem::take(&mut self.hold);
        if !hold.is_zero() {
            tokio::time::sleep(hold).await;
        }
    }

    /// What another one counted, of other partitions.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.gap = self.gap.or(other.gap);
    }

    pub(crate) fn outcome(self) -> anyhow::Result<Outcome> {
        if let Some((partition, offset, next)) = self.gap {
            anyhow::bail!("partition {partition}: offset {offset} came instead of {next}");
        }
        ensure!(
            self.records == self.expected && self.bytes as u64 == self.expected * self.size as u64,
            "{} records with {} bytes came instead of {} of {} bytes each",
            self.records,
            self.bytes,
            self.expected,
            self.size
        );
        Ok(Outcome::records(self.records))
    }
}
