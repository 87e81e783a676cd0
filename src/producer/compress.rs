//! Compression: small batches at once, as many as a sender's turn may take; the others elsewhere, a few at a time.

use std::sync::Arc;

use tracing::warn;

use super::accumulator::PartitionQueue;
use super::batch_result::BatchResult;
use super::end::give_back;
use super::inner::ProducerInner;
use crate::config::Compression;
use crate::machine::produce::waiters::BATCH_COST;
use crate::machine::produce::{Body, ProducerBatch};

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// How many bytes a sender compresses for one request itself; what is more would hold up its runtime's worker.
pub(crate) fn at_once(compression: Compression) -> usize {
    match compression {
        Compression::None | Compression::Lz4(_) | Compression::Snappy => 48 << 10,
        Compression::Gzip(_) | Compression::Zstd(_) => 8 << 10,
    }
}

/// Compresses a batch, and gives back the memory that this saves.
pub(crate) fn compress(inner: &ProducerInner, mut batch: OurBatch) -> OurBatch {
    let Body::Raw(closed) = batch.body else {
        return batch;
    };
    match closed.compress(inner.settings.compression) {
        Ok((compressed, plain)) => {
            if let Some(plain) = plain {
                let needed = compressed.capacity() + BATCH_COST;
                let saved = batch.charged.saturating_sub(needed);
                inner.accumulator.pool.recycle(plain);
                inner.accumulator.pool.release(saved);
                batch.charged -= saved;
            }
            batch.body = Body::Unsealed(compressed);
        }
        Err((plain, error)) => {
            warn!(%error, "batch is sent uncompressed");
            batch.body = Body::Unsealed(plain);
        }
    }
    batch
}

/// Compresses a batch on the runtime's blocking pool, then lists its queue again.
pub(crate) fn compress_elsewhere(
    inner: &Arc<ProducerInner>,
    queue: Arc<PartitionQueue>,
    batch: OurBatch,
) {
    if inner.compressor.add(queue, batch) {
        let inner = Arc::clone(inner);
        tokio::task::spawn_blocking(move || {
            while let Some((queue, batch)) = inner.compressor.next() {
                // Its time may be up, or the producer closed: then there is only its memory to give back.
                let batch = if queue.look(|queue| queue.is_compressing(&batch)) {
                    compress(&inner, batch)
                } else {
                    batch
                };
                let changed = queue.change(|locked, _| locked.queue.compressed(batch));
                if let Some(ended) = inner.carry_out(&queue, changed) {
                    give_back(&inner, ended);
                }
            }
        });
    }
}
