//! Record batches (format v2) as bytes: writing, reading, compressing.

mod compress;
mod header;
mod reader;
mod records;
mod spare;
mod unpack;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use header::{BatchHeader, HEADER_LEN, TimestampType};
pub(crate) use reader::{Batch, Batches, Opened, Span, first_header, span};
#[cfg(fuzzing)]
pub(crate) use records::Headers;
pub(crate) use records::{ControlType, RawRecord, Records, Slot, control_type};
pub(crate) use spare::Spares;
pub(crate) use unpack::{Unpacking, Unreadable};
pub(crate) use varint::{put as put_varint, take as take_varint};
pub(crate) use writer::{BatchWriter, ClosedBatch, RecordParts, reclaim, restamp, size_bound};
