//! A batch's end: its records' handles are told what became of them, and its memory is given back.

use std::sync::Arc;

use tracing::warn;

use super::accumulator::PartitionQueue;
use super::batch_result::BatchResult;
use super::inner::ProducerInner;
use crate::error::{Error, ErrorCode};
use crate::machine::produce::{self, Body, ProducerBatch, Refused, ResultShare};
use crate::types::TopicPartition;

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// What a broker's refusal of a batch, or of one of its records, is told as: with what to change, where that is known.
pub(crate) fn refusal(
    inner: &ProducerInner,
    target: &TopicPartition,
    size: Sent,
    code: ErrorCode,
    message: Option<Arc<str>>,
) -> Error {
    let told = produce::advice(
        code,
        &Refused {
            topic: target.topic(),
            records: size.records,
            plain: size.plain,
            wire: size.wire,
            limits: inner.accumulator.sizes.limits(target.topic()),
        },
    );
    let error = Error::broker(code, message, format!("writing to {target}"));
    match told {
        Some(told) => error.with_advice(told),
        None => error,
    }
}

/// How much a batch held, and took on its way.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    records: u32,
    plain: usize,
    wire: usize,
}

impl Sent {
    pub(crate) fn of(batch: &OurBatch) -> Self {
        Self {
            records: batch.share.count,
            plain: batch.plain_len,
            wire: batch.body.len(),
        }
    }
}

/// Tells those who wait for a batch that it is in the log.
pub(crate) fn acknowledge(
    inner: &ProducerInner,
    batch: OurBatch,
    base_offset: i64,
    log_append_time: i64,
) {
    inner.counters.acked(&batch, batch.opened.elapsed());
    let ResultShare {
        result,
        first,
        count,
        total,
    } = free(inner, batch);
    result.ack(first, count, total, base_offset, log_append_time);
}

/// Gives a batch's memory back; what is left is who is to be told.
fn free(inner: &ProducerInner, batch: OurBatch) -> ResultShare<Arc<BatchResult>> {
    let share = batch.share.clone();
    give_back(inner, batch);
    share
}

/// Gives a batch's memory back.
pub(crate) fn give_back(inner: &ProducerInner, batch: OurBatch) {
    let ProducerBatch { body, charged, .. } = batch;
    inner.accumulator.pool.release(charged);
    if let Body::Sealed(bytes, ..) = body
        && let Some(buffer) = crate::batch::reclaim(bytes)
    {
        inner.accumulator.pool.recycle(buffer);
    }
}

/// Tells those who wait for a batch that it failed; what is `fatal` ends the producer.
pub(crate) fn fail(
    inner: &Arc<ProducerInner>,
    queue: &PartitionQueue,
    batch: OurBatch,
    possibly_written: bool,
    fatal: bool,
) {
    let cause = batch.last_error.clone();
    let cause = cause.unwrap_or_else(|| Arc::new(Error::Closed { what: "producer" }));
    let error = Error::Delivery {
        target: queue.target.clone(),
        possibly_written,
        attempts: batch.failures,
        cause: Arc::clone(&cause),
    };
    warn!(partition = %queue.target, %error, records = batch.share.count, "batch failed");
    inner.failed(batch.share.count, &error);
    inner.retry_log.failed(&queue.target);
    let ResultShare {
        result,
        first,
        count,
        total,
    } = free(inner, batch);
    result.fail(first, count, total, error);
    if fatal {
        let transactions = inner.transactions.as_ref();
        let fenced = transactions.and_then(|transactions| transactions.fenced(&cause));
        inner.abort(fenced.as_ref().unwrap_or(&cause));
    }
}
