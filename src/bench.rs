//! What this repository's benchmarks call; no stable API. Only there with the feature `internals`.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot go on has nothing better to do than to panic"
)]

use bytes::Bytes;

use crate::batch::{BatchWriter, Batches, ClosedBatch, RecordParts, reclaim};
use crate::config::Compression;
use crate::types::ProducerId;

pub use crate::producer::{Delivery, bench::Batching};

const IDENTITY: ProducerId = ProducerId { id: 1, epoch: 0 };

/// Encodes values without keys into `buffer` and seals the batch.
pub fn encode<'a>(
    buffer: Vec<u8>,
    timestamp: i64,
    values: impl Iterator<Item = &'a [u8]>,
) -> Bytes {
    close(buffer, timestamp, values).seal(IDENTITY, 0)
}

/// Gives a sealed batch's buffer back.
#[must_use]
pub fn reuse(batch: Bytes) -> Vec<u8> {
    reclaim(batch).unwrap_or_default()
}

fn close<'a>(
    buffer: Vec<u8>,
    timestamp: i64,
    values: impl Iterator<Item = &'a [u8]>,
) -> ClosedBatch {
    let mut writer = BatchWriter::new(buffer);
    for value in values {
        writer.append(&RecordParts {
            timestamp,
            key: None,
            value: Some(value),
            headers: &[],
        });
    }
    writer.close()
}

/// A closed batch that is not compressed yet.
#[derive(Debug)]
pub struct Plain(ClosedBatch);

impl Plain {
    /// A batch of values without keys.
    pub fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(close(Vec::new(), 0, values))
    }

    /// Compresses the records as the sender does.
    #[must_use]
    pub fn compress(self, compression: Compression) -> Packed {
        let (packed, _) = self.0.compress(compression).expect("valid level");
        Packed(packed)
    }
}

/// A compressed batch.
#[derive(Debug)]
pub struct Packed(ClosedBatch);

impl Packed {
    /// The batch as a consumer gets it.
    #[must_use]
    pub fn seal(self) -> Bytes {
        self.0.seal(IDENTITY, 0)
    }
}

/// Decompresses a batch's records, and returns the first one's value.
#[must_use]
pub fn decompress(batch: Bytes) -> Option<Bytes> {
    let batch = Batches::new(batch).next()?.expect("a whole batch");
    let records = batch.records(1 << 24).expect("records");
    let first = records.into_iter().next()?;
    first.expect("a record").value
}
