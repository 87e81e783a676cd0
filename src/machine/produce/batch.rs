//! A batch on its way from the first record to its result.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::knowledge::Knowledge;
use crate::batch::{BatchWriter, ClosedBatch};
use crate::error::Error;
use crate::types::ProducerId;

/// A part in a result: some of the records that share a result: all of a batch, or what is left of one that was split.
#[derive(Debug)]
pub(crate) struct ResultShare<T> {
    pub(crate) result: T,
    /// The index, in the result, of this batch's first record.
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// How many records share the result.
    pub(crate) total: u32,
}

impl<T: Clone> Clone for ResultShare<T> {
    fn clone(&self) -> Self {
        Self {
            result: self.result.clone(),
            ..*self
        }
    }
}

/// A batch that takes records.
pub(crate) struct OpenBatch<T> {
    pub(crate) writer: BatchWriter,
    pub(crate) result: T,
    pub(crate) opened: Instant,
    /// Memory charged for it, in bytes.
    pub(crate) charged: usize,
    /// How far those may fill it who have not waited: the rest is for those who have.
    pub(crate) fill_to: usize,
}

/// A batch that takes no more records.
pub(crate) struct ProducerBatch<T> {
    pub(crate) body: Body,
    pub(crate) share: ResultShare<T>,
    pub(crate) opened: Instant,
    pub(crate) charged: usize,
    /// Uncompressed size, header included.
    pub(crate) plain_len: usize,
    pub(crate) stamp: Option<Stamp>,
    /// How often it was sent and failed, as `retries` counts.
    pub(crate) failures: u32,
    pub(crate) knowledge: Knowledge,
    pub(crate) last_error: Option<Arc<Error>>,
    /// Which batch of its queue it was that was detached to be compressed; 0 if it did not.
    pub(crate) compressing: u64,
}

impl<T> ProducerBatch<T> {
    /// Its place among the batches that have a sequence: the parts of one that was split share its serial.
    pub(crate) fn place(&self) -> Option<Place> {
        self.stamp.map(|stamp| (stamp.serial, self.share.first))
    }
}

/// A batch that has ended, and why.
#[derive(Debug)]
pub(crate) struct Ended<T> {
    pub(crate) share: ResultShare<T>,
    pub(crate) error: Arc<Error>,
    pub(crate) possibly_written: bool,
    pub(crate) attempts: u32,
    /// Memory to give back; 0 when the batch's bytes are still in flight.
    pub(crate) charged: usize,
    /// Whether it waits for a broker's answer.
    pub(crate) flying: bool,
}

/// A place in a partition's order of sequences: a batch's serial, and how many of its records stand before.
pub(crate) type Place = (u64, u32);

/// Where a batch stands in its partition's order of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer: ProducerId,
    pub(crate) base_sequence: i32,
    /// Order of first sending: unlike sequences it neither wraps nor restarts.
    pub(crate) serial: u64,
}

/// A batch's bytes, at the stages of their way.
pub(crate) enum Body {
    /// Closed, not yet compressed though it should be.
    Raw(ClosedBatch),
    /// As it will be sent, but for identity, sequence and CRC.
    Unsealed(ClosedBatch),
    /// Ready for the wire, as its stamp says unless that has changed since.
    Sealed(Bytes, ProducerId, i32),
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Raw(batch) | Self::Unsealed(batch) => batch.len(),
            Self::Sealed(bytes, ..) => bytes.len(),
        }
    }
}
