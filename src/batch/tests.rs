//! Promises about whole batches: what is written reads back, and hostile bytes end in an error.

use bytes::Bytes;
use proptest::prelude::*;

use super::header::{crc, stamp};
use super::*;
use crate::config::Compression;
use crate::record::Header;
use crate::types::ProducerId;
use crate::wire::Malformed;

mod hostile;
mod round_trip;
mod steps;

const PRODUCER: ProducerId = ProducerId { id: 4711, epoch: 3 };
const LIMIT: usize = 1 << 20;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip(None),
    Compression::Snappy,
    Compression::Lz4(None),
    Compression::Zstd(None),
];

/// A record as plain as it can be held, for comparing.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Plain {
    fn value(value: impl Into<Vec<u8>>) -> Self {
        Self {
            timestamp: 1_000,
            key: None,
            value: Some(value.into()),
            headers: Vec::new(),
        }
    }

    fn headers(&self) -> Vec<Header<'_>> {
        let header = |(name, value): &(String, Option<Vec<u8>>)| match value {
            Some(value) => Header::new(name.clone(), value.clone()),
            None => Header::null(name.clone()),
        };
        self.headers.iter().map(header).collect()
    }

    fn with_parts<T>(&self, work: impl FnOnce(&RecordParts<'_>) -> T) -> T {
        work(&RecordParts {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers(),
        })
    }
}

fn write(records: &[Plain]) -> ClosedBatch {
    let mut writer = BatchWriter::new(Vec::new());
    for (index, record) in records.iter().enumerate() {
        let offset = record.with_parts(|parts| writer.append(parts));
        assert_eq!(offset as usize, index);
    }
    writer.close()
}

fn sealed(records: &[Plain]) -> Bytes {
    write(records).seal(PRODUCER, 7)
}

fn one_batch(bytes: Bytes) -> Result<Batch, Malformed> {
    let mut batches = Batches::new(bytes);
    let batch = batches.next().expect("a whole batch")?;
    assert!(batches.next().is_none());
    Ok(batch)
}

/// Everything in a record set, or its first error; the borrowed and the shared way must agree.
fn read(bytes: Bytes) -> Result<Vec<(i64, Plain)>, Malformed> {
    let mut all = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch?;
        batch.verify_crc()?;
        let mut borrowed = batch.records(LIMIT)?;
        for record in batch.records(LIMIT)? {
            let again = borrowed.next_ref();
            let record = record?;
            let again = again.expect("as many records")?;
            assert_eq!(
                (again.offset, again.timestamp, again.key, again.value),
                (
                    record.offset,
                    record.timestamp,
                    record.key.as_deref(),
                    record.value.as_deref()
                )
            );
            let headers: Vec<_> = record
                .headers
                .iter()
                .map(|(name, value)| {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    (name, value.map(|value| value.to_vec()))
                })
                .collect();
            assert_eq!(headers.len(), record.headers.len());
            assert_eq!(again.headers().count(), headers.len());
            all.push((
                record.offset,
                Plain {
                    timestamp: record.timestamp,
                    key: record.key.map(|key| key.to_vec()),
                    value: record.value.map(|value| value.to_vec()),
                    headers,
                },
            ));
        }
    }
    Ok(all)
}

/// Makes the CRC right again, so that what lies behind it is reached.
fn repaired(mut batch: Vec<u8>) -> Bytes {
    if batch.len() >= HEADER_LEN {
        let crc = crc(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    Bytes::from(batch)
}

fn plain() -> impl Strategy<Value = Plain> {
    let data = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let header = ("[a-zé]{0,8}", data());
    let timestamp = prop_oneof![
        8 => 1_700_000_000_000i64..1_700_000_100_000,
        1 => any::<i64>(),
    ];
    (
        timestamp,
        data(),
        data(),
        proptest::collection::vec(header, 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Plain {
            timestamp,
            key,
            value,
            headers,
        })
}
