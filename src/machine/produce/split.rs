//! Splitting a batch that the broker finds too large, or in which it refuses some records.

use std::sync::Arc;

use super::batch::{Body, ProducerBatch, ResultShare, Stamp};
use super::sequence::advance;
use crate::batch::{BatchWriter, Batches, RawRecord, RecordParts};
use crate::record::Header;
use crate::types::ProducerId;
use crate::wire::Malformed;

/// The records of `batch` in batches of at most `size` bytes where that can be, without those at the indices `without`
/// (sorted).
///
/// Sequences follow each other from the batch's own on, so that nothing between the parts is missed.
/// The memory charge is shared among the parts by their size: each gives its own back.
#[expect(
    clippy::result_large_err,
    reason = "once in a batch's life, and the batch must not get lost"
)]
pub(crate) fn split<T: Clone>(
    batch: ProducerBatch<T>,
    without: &[u32],
    size: usize,
) -> Result<Vec<ProducerBatch<T>>, (ProducerBatch<T>, Malformed)> {
    let batch = sealed(batch);
    parts_of(&batch, without, size).map_err(|malformed| (batch, malformed))
}

/// A batch that was never sent may be split too.
fn sealed<T>(mut batch: ProducerBatch<T>) -> ProducerBatch<T> {
    batch.body = match batch.body {
        Body::Raw(closed) | Body::Unsealed(closed) => {
            let none = ProducerId::NONE;
            Body::Sealed(closed.seal(none, -1), none, -1)
        }
        sealed @ Body::Sealed(..) => sealed,
    };
    batch
}

fn parts_of<T: Clone>(
    batch: &ProducerBatch<T>,
    without: &[u32],
    size: usize,
) -> Result<Vec<ProducerBatch<T>>, Malformed> {
    let Body::Sealed(bytes, ..) = &batch.body else {
        return Err(Malformed::new("the batch is not sealed"));
    };
    let whole = Batches::new(bytes.clone())
        .next()
        .ok_or_else(|| Malformed::new("no batch to split"))??;
    let records = whole.records(usize::MAX)?;
    let mut parts = Parts {
        target: size,
        batch,
        writer: None,
        first: 0,
        next_sequence: batch.stamp.map_or(-1, |s| s.base_sequence),
        transactional: whole.header().is_transactional(),
        done: Vec::new(),
    };
    for (index, record) in (0u32..).zip(records) {
        if without.binary_search(&index).is_ok() {
            parts.close();
        } else {
            parts.append(index, &record?);
        }
    }
    parts.close();
    Ok(share(parts.done, batch.charged))
}

/// Shares a memory charge among the parts, to the byte.
fn share<T>(mut parts: Vec<ProducerBatch<T>>, mut charge: usize) -> Vec<ProducerBatch<T>> {
    let mut rest: usize = parts.iter().map(|part| part.plain_len).sum();
    for part in &mut parts {
        let exact = charge as u128 * part.plain_len as u128 / rest.max(1) as u128;
        part.charged = usize::try_from(exact).unwrap_or(charge);
        charge -= part.charged;
        rest -= part.plain_len;
    }
    parts
}

/// The parts made so far, and the one that is being written.
struct Parts<'a, T> {
    target: usize,
    batch: &'a ProducerBatch<T>,
    writer: Option<BatchWriter>,
    /// Index of the writer's first record in the batch.
    first: u32,
    next_sequence: i32,
    transactional: bool,
    done: Vec<ProducerBatch<T>>,
}

impl<T: Clone> Parts<'_, T> {
    fn append(&mut self, index: u32, record: &RawRecord) {
        let headers: Vec<Header<'static>> = record
            .headers
            .iter()
            .map(|(name, value)| {
                let name = String::from_utf8_lossy(&name).into_owned();
                match value {
                    Some(value) => Header::new(name, value),
                    None => Header::null(name),
                }
            })
            .collect();
        let parts = RecordParts {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let full = self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.len() + writer.encoded_len(&parts) > self.target);
        if full {
            self.close();
        }
        let writer = self.writer.get_or_insert_with(|| {
            self.first = index;
            BatchWriter::new(Vec::new())
        });
        writer.append(&parts);
    }

    fn close(&mut self) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        let (count, plain_len) = (writer.count(), writer.len());
        let stamp = self.batch.stamp.map(|stamp| Stamp {
            base_sequence: self.next_sequence,
            ..stamp
        });
        if self.next_sequence >= 0 {
            self.next_sequence = advance(self.next_sequence, count);
        }
        self.done.push(ProducerBatch {
            body: Body::Unsealed(if self.transactional {
                writer.close().in_transaction()
            } else {
                writer.close()
            }),
            share: ResultShare {
                result: self.batch.share.result.clone(),
                first: self.batch.share.first + self.first,
                count,
                total: self.batch.share.total,
            },
            opened: self.batch.opened,
            charged: 0,
            plain_len,
            stamp,
            failures: self.batch.failures,
            knowledge: self.batch.knowledge,
            last_error: self.batch.last_error.as_ref().map(Arc::clone),
            compressing: 0,
        });
    }
}
