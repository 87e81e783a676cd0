//! A segment: record batches one after another, each known by its segment's own mark and by the number of its first
//! record, so that what is damaged costs one batch, and nothing else is taken for a batch.

use bytes::Bytes;

use super::entry::{self, Kept};
use crate::batch::{BatchWriter, Batches, HEADER_LEN, Records};
use crate::types::ProducerId;

/// A batch is ended at this size: that much is lost by one flipped bit.
const BATCH_BYTES: usize = 64 << 10;
/// Where a batch's header has its producer's id, which is the segment's mark here.
const MARK_AT: usize = 43;
/// A record's number has so many bits in the place of a batch's sequence, and so many more in that of its epoch, both of
/// which its CRC is of; of the base offset it is not.
const LOW_BITS: u32 = 31;
const HIGH_BITS: u32 = 15;

/// A segment's name: the number of its first record, and a random number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) base: u64,
    pub(super) nonce: u32,
}

impl Segment {
    pub(super) fn file_name(self) -> String {
        format!("{:020}-{:08x}.batches", self.base, self.nonce)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (base, nonce) = name.strip_suffix(".batches")?.split_once('-')?;
        let segment = Self {
            base: base.parse().ok().filter(|base| *base < MOST_NUMBER)?,
            nonce: u32::from_str_radix(nonce, 16).ok()?,
        };
        (segment.file_name() == name).then_some(segment)
    }

    /// What is in each batch of this segment of this topic, and, but by a chance of one in 2^63, in no other bytes.
    pub(super) fn mark(self, topic: &str) -> Mark {
        let topic = i64::from(crc32c::crc32c(topic.as_bytes()) >> 1);
        Mark(topic << 32 | i64::from(self.nonce))
    }
}

/// Numbers of records stay below that.
const MOST_NUMBER: u64 = 1 << (LOW_BITS + HIGH_BITS);

/// See [`Segment::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(i64);

/// Ends a batch whose first record has that number.
fn seal(writer: BatchWriter, mark: Mark, first: u64) -> Bytes {
    let (epoch, sequence) = parts(first);
    let mark = ProducerId { id: mark.0, epoch };
    let closed = writer.close().at(i64::try_from(first).unwrap_or(i64::MAX));
    closed.seal(mark, sequence)
}

/// A number as a batch's epoch and sequence.
fn parts(number: u64) -> (i16, i32) {
    let low = number & ((1 << LOW_BITS) - 1);
    let high = number >> LOW_BITS & ((1 << HIGH_BITS) - 1);
    let epoch = i16::try_from(high).unwrap_or_default();
    (epoch, i32::try_from(low).unwrap_or_default())
}

/// A batch that was read back, as it was written.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// The number of its first record.
    pub(super) first: u64,
    /// The number behind its last record's.
    pub(super) end: u64,
    /// Its bytes.
    pub(super) size: usize,
    pub(super) records: Records,
}

/// The batch at the front of these bytes; `None` where there is none of this segment, or not all of it, or it is damaged.
pub(super) fn first(bytes: &Bytes, mark: Mark) -> Option<Stored> {
    let batch = Batches::new(bytes.clone()).next()?.ok()?;
    let header = batch.header();
    let number = u64::try_from(header.base_offset).ok()?;
    let count = u64::try_from(header.count).ok()?;
    let is_ours = header.producer_id == mark.0
        && header.attributes == 0
        && (header.producer_epoch, header.base_sequence) == parts(number)
        && header.last_offset_delta == header.count - 1
        && number < MOST_NUMBER;
    if !is_ours || batch.verify_crc().is_err() {
        return None;
    }
    Some(Stored {
        first: number,
        end: number + count,
        size: batch.size(),
        records: batch.records(batch.size()).ok()?,
    })
}

/// How many bytes the batch at the front says it has; as many as tell that where they are too few.
pub(super) fn len(bytes: &[u8]) -> usize {
    let Some(length) = bytes.get(8..).and_then(<[u8]>::first_chunk) else {
        return HEADER_LEN;
    };
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
    length.saturating_add(12).max(HEADER_LEN)
}

/// Where the first batch is whose records have at least that number, and the batch.
pub(super) fn find(bytes: &Bytes, mark: Mark, number: u64) -> Option<(usize, Stored)> {
    let wanted = mark.0.to_be_bytes();
    let mut at = 0;
    loop {
        let rest = bytes.get(at + MARK_AT..)?;
        let found = rest
            .windows(wanted.len())
            .position(|bytes| bytes == wanted)?;
        at += found;
        let stored = first(&bytes.slice(at..), mark);
        if let Some(stored) = stored.filter(|stored| stored.first >= number) {
            return Some((at, stored));
        }
        at += 1;
    }
}

/// Records as bytes of a segment, where the first of them has that number.
pub(super) fn encode(topic: &str, segment: Segment, mut first: u64, records: &[Kept]) -> Vec<u8> {
    let mark = segment.mark(topic);
    let (mut bytes, mut key) = (Vec::new(), Vec::new());
    let mut writer = BatchWriter::new(Vec::new());
    for record in records {
        if writer.count() > 0 && writer.len() >= BATCH_BYTES {
            let full = std::mem::replace(&mut writer, BatchWriter::new(Vec::new()));
            let count = u64::from(full.count());
            bytes.extend_from_slice(&seal(full, mark, first));
            first += count;
        }
        entry::append(&mut writer, record, &mut key);
    }
    if writer.count() > 0 {
        bytes.extend_from_slice(&seal(writer, mark, first));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_is_read_as_it_was_written_and_no_other() {
        let segment = Segment {
            base: 42,
            nonce: 0xab,
        };
        let name = segment.file_name();
        assert_eq!(name, "00000000000000000042-000000ab.batches");
        assert_eq!(Segment::parse(&name), Some(segment));
        for other in [
            "",
            "position",
            "42-ab.batches",
            "00000000000000000042-000000AB.batches",
            "00000000000000000042-000000ab",
            "99999999999999999999-000000ab.batches",
            "00000999999999999999-000000ab.batches",
        ] {
            assert_eq!(Segment::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_has_another_mark_for_each_topic_and_each_number() {
        let of = |nonce, topic| Segment { base: 0, nonce }.mark(topic);
        assert_ne!(of(1, "a"), of(1, "A"));
        assert_ne!(of(1, "a"), of(2, "a"));
        assert!(of(u32::MAX, "chat").0 > 0);
    }
}
