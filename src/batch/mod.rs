//! Record batches (format v2) as bytes: writing, reading, compressing.

mod compress;
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(
        dead_code,
        reason = "splitting reads little of a batch; tests and fuzzing check that what is written reads back"
    )
)]
mod header;
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(
        dead_code,
        reason = "splitting reads little of a batch; tests and fuzzing check that what is written reads back"
    )
)]
mod reader;
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(
        dead_code,
        reason = "splitting reads little of a batch; tests and fuzzing check that what is written reads back"
    )
)]
mod records;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use header::HEADER_LEN;
#[cfg(test)]
pub(crate) use header::TimestampType;
#[cfg(any(test, fuzzing))]
pub(crate) use reader::Batch;
pub(crate) use reader::Batches;
pub(crate) use records::RawRecord;
#[cfg(test)]
pub(crate) use records::{ControlType, control_type};
#[cfg(fuzzing)]
pub(crate) use records::{Headers, control_type};
pub(crate) use writer::{BatchWriter, ClosedBatch, RecordParts, reclaim, restamp, size_bound};
