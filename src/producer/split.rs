//! Batches in parts: without the records that a broker refused, or because the whole is too large for it.

use std::sync::Arc;

use tracing::{debug, warn};

use super::accumulator::PartitionQueue;
use super::batch_result::BatchResult;
use super::end::{Sent, fail, give_back, refusal};
use super::inner::ProducerInner;
use crate::error::{Error, ErrorCode};
use crate::machine::produce::{self, ProducerBatch};

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// The broker found a batch too large. What it would take is asked for first, where that is not known.
pub(crate) fn too_large(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    flight: u64,
    batch: OurBatch,
) {
    if !inner.is_limit_unasked(queue.target.topic()) {
        smaller(inner, queue, flight, batch);
        return;
    }
    let (inner, queue) = (Arc::clone(inner), Arc::clone(queue));
    inner.clone().spawn(async move {
        inner.ask_limits(queue.target.name()).await;
        smaller(&inner, &queue, flight, batch);
    });
}

/// Splits a batch that is too large into parts that may fit; a single record fails.
fn smaller(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    flight: u64,
    mut batch: OurBatch,
) {
    let error = batch.last_error.as_ref();
    let code = error.and_then(|error| error.broker_code());
    let code = code.unwrap_or(ErrorCode::MESSAGE_TOO_LARGE);
    if batch.share.count > 1 {
        let (plain, wire) = (batch.plain_len, batch.body.len());
        let size = inner.too_large(queue.target.name(), code, plain, wire);
        into_parts(inner, queue, flight, batch, &[], size);
        return;
    }
    batch.failures += 1;
    // Once more, with the limit that is known by now.
    let message = match error.map(|error| &**error) {
        Some(Error::Broker { message, .. }) => message.clone(),
        _ => None,
    };
    let sent = Sent::of(&batch);
    let error = refusal(inner, &queue.target, sent, code, message);
    batch.last_error = Some(Arc::new(error));
    not_split(inner, queue, flight, batch);
}

/// Splits a batch that was not sent as it is: the topic takes smaller ones only, as has become known since.
pub(crate) fn ahead(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    number: u64,
    batch: OurBatch,
) {
    let size = inner
        .accumulator
        .sizes
        .fit(queue.target.topic(), inner.accumulator.limits.batch_size);
    into_parts(inner, queue, number, batch, &[], size);
}

/// Leaves out the records that the broker refuses, which fail; the others are sent again.
pub(crate) fn without_refused(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    flight: u64,
    batch: OurBatch,
    mut without: Vec<(u32, Option<Arc<str>>)>,
) {
    without.sort_by_key(|(index, _)| *index);
    without.dedup_by_key(|(index, _)| *index);
    let indices: Vec<u32> = without.iter().map(|(index, _)| *index).collect();
    let error = batch.last_error.as_ref();
    let code = error.and_then(|error| error.broker_code());
    let code = code.unwrap_or(ErrorCode::INVALID_RECORD);
    let sent = Sent::of(&batch);
    let cause = |message| Arc::new(refusal(inner, &queue.target, sent, code, message));
    let refused: Vec<_> = without
        .into_iter()
        .map(|(index, message)| (index, cause(message)))
        .collect();
    let share = batch.share.clone();
    let (possibly_written, attempts) = (batch.knowledge.may_be_written(), batch.failures + 1);
    let size = batch.plain_len;
    if !into_parts(inner, queue, flight, batch, &indices, size) {
        return;
    }
    for (index, cause) in refused {
        let error = Error::Delivery {
            target: queue.target.clone(),
            possibly_written,
            attempts,
            cause,
        };
        inner.failed(1, &error);
        share
            .result
            .fail(share.first + index, 1, share.total, error);
    }
}

/// Splits a batch in its queue's place; false when all its records have failed instead.
fn into_parts(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    number: u64,
    batch: OurBatch,
    without: &[u32],
    size: usize,
) -> bool {
    let charged = batch.charged;
    let parts = match produce::split(batch, without, size) {
        Ok(parts) => parts,
        Err((mut batch, malformed)) => {
            warn!(partition = %queue.target, %malformed, "cannot split a batch of our own");
            batch.failures += 1;
            not_split(inner, queue, number, batch);
            return false;
        }
    };
    debug!(partition = %queue.target, parts = parts.len(), refused = without.len(), size, "splitting a batch");
    if without.is_empty() {
        inner.counters.split();
    }
    if parts.is_empty() {
        inner.accumulator.pool.release(charged);
    }
    let changed = queue.change(|locked, _| locked.queue.parts(number, parts));
    match inner.carry_out(queue, changed) {
        Ok(()) => true,
        Err(parts) => {
            // Its time was up or the producer was closed meanwhile, which has failed every record of the batch.
            parts.into_iter().for_each(|part| give_back(inner, part));
            false
        }
    }
}

/// Fails a batch that is not to be split, unless that was done meanwhile.
fn not_split(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    number: u64,
    batch: OurBatch,
) {
    let possibly_written = batch.knowledge.may_be_written();
    let changed = queue.change(|locked, _| locked.queue.not_split(number));
    if inner.carry_out(queue, changed) {
        fail(inner, queue, batch, possibly_written, false);
    } else {
        give_back(inner, batch);
    }
}
