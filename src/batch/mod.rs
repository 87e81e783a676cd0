//! Record batches (format v2) as bytes: writing, reading, compressing.

mod compress;
mod header;
mod reader;
mod records;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use header::{BatchHeader, Codec, HEADER_LEN, TimestampType};
pub(crate) use reader::{Batch, Batches};
pub(crate) use records::{ControlType, Headers, RawRecord, RecordRef, Records, control_type};
pub(crate) use writer::{BatchWriter, ClosedBatch, RecordParts, reclaim, restamp, size_bound};
