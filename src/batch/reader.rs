//! Takes a fetched record set apart into its batches.

use bytes::Bytes;

use super::compress;
use super::header::{BatchHeader, Codec, HEADER_LEN, LENGTH_END, MAGIC_AT, crc};
use super::records::Records;
use super::spare::{Output, Spares};
use super::unpack::Unpacking;
use crate::wire::Malformed;

/// Reads batches one after another from a fetched record set; a partial last batch ends iteration quietly.
///
/// A broker cuts its answer at a byte count, so the last batch may be there in part. An error ends
/// iteration: where the next batch starts is unknown.
#[derive(Clone, Debug)]
pub(crate) struct Batches {
    rest: Bytes,
}

impl Batches {
    pub(crate) fn new(record_set: Bytes) -> Self {
        Self { rest: record_set }
    }

    /// Bytes of the set that were not looked at yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    fn batch(&mut self) -> Result<Option<Batch>, Malformed> {
        // Older formats are shorter than a header, so the magic byte is looked at first.
        let Some(&magic) = self.rest.get(MAGIC_AT) else {
            return Ok(None);
        };
        if magic != 2 {
            return Err(wrong_magic(magic));
        }
        let Some(length) = self
            .rest
            .get(LENGTH_END - 4..)
            .and_then(<[u8]>::first_chunk)
        else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*length);
        let size = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LENGTH_END))
            .filter(|&size| size >= HEADER_LEN)
            .ok_or_else(|| Malformed::new(format!("batch of length {length}")))?;
        if size > self.rest.len() {
            return Ok(None);
        }
        let bytes = self.rest.split_to(size);
        let Some(header) = bytes.first_chunk().map(BatchHeader::read) else {
            return Ok(None);
        };
        header.check()?;
        Ok(Some(Batch { header, bytes }))
    }
}

/// The header of the batch at the front of records of which only the first bytes are there.
pub(crate) fn first_header(records: &[u8]) -> Option<BatchHeader> {
    if records.get(MAGIC_AT) != Some(&2) {
        return None;
    }
    let header = records.first_chunk().map(BatchHeader::read)?;
    header.check().ok().map(|()| header)
}

/// What of a fetched record set can be handed on, by its batches' headers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Bytes of whole batches.
    pub(crate) len: usize,
    /// The last offset they cover and its leader epoch; `None` without a whole batch.
    pub(crate) last: Option<(i64, i32)>,
    /// Something that is no batch follows, not just the beginning of one.
    pub(crate) is_damaged: bool,
}

/// Finds where a fetched record set's last whole batch ends.
pub(crate) fn span(record_set: &Bytes) -> Span {
    let mut batches = Batches::new(record_set.clone());
    let mut span = Span {
        len: 0,
        last: None,
        is_damaged: false,
    };
    loop {
        match batches.next() {
            Some(Ok(batch)) => {
                span.len += batch.size();
                span.last = Some((batch.header.last_offset(), batch.header.leader_epoch));
            }
            Some(Err(_)) => {
                span.is_damaged = true;
                return span;
            }
            None => return span,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if !matches!(batch, Ok(Some(_))) {
            self.rest = Bytes::new();
        }
        batch.transpose()
    }
}

#[cold]
fn wrong_magic(magic: u8) -> Malformed {
    Malformed::new(match magic {
        0 | 1 => format!(
            "record format v{magic}, from before Kafka 0.11, is not supported: \
             let the broker (3.x or older) rewrite the topic, or skip these offsets"
        ),
        _ => format!("unknown record format v{magic}"),
    })
}

/// One batch, its records still compressed.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes on the wire, the header's included.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Checks that the batch is what its producer (or broker) wrote.
    pub(crate) fn verify_crc(&self) -> Result<(), Malformed> {
        let found = crc(&self.bytes);
        if found == self.header.crc {
            return Ok(());
        }
        Err(Malformed::new(format!(
            "batch at offset {}: CRC is {found:#010x}, its header says {:#010x}",
            self.header.base_offset, self.header.crc
        )))
    }

    /// The records, decompressed to at most `limit` bytes.
    ///
    /// Uncompressed ones are slices of the fetched frame, whatever their size, and keep all of it
    /// in memory for as long as one of them is held.
    pub(crate) fn records(&self, limit: usize) -> Result<Records, Malformed> {
        let plain = match self.packed()? {
            Packed::Not(bytes) => bytes,
            Packed::By(codec, bytes) => {
                let mut output = Output::default();
                self.unpack(codec, &bytes, limit, &mut output)?;
                output.into_vec().into()
            }
        };
        Records::new(&self.header, plain)
    }

    /// The same in a spare buffer, if they are compressed.
    pub(crate) fn records_in(&self, limit: usize, spares: &Spares) -> Result<Records, Malformed> {
        let plain = match self.packed()? {
            Packed::Not(bytes) => bytes,
            Packed::By(codec, bytes) => {
                let mut output = spares.take();
                self.unpack(codec, &bytes, limit, &mut output)?;
                spares.lend(output)
            }
        };
        Records::new(&self.header, plain)
    }

    /// The records, decompressed in steps where they are too many to be decompressed at once, or where that fails: what
    /// is in front of the failure can be read.
    pub(crate) fn open(&self, limit: usize, spares: &Spares) -> Result<Opened, Malformed> {
        let Packed::By(codec, bytes) = self.packed()? else {
            return self.records_in(limit, spares).map(Opened::Whole);
        };
        let at_once = limit.min(AT_ONCE);
        if bytes.len() < at_once
            && let Ok(records) = self.records_in(at_once, spares)
        {
            return Ok(Opened::Whole(records));
        }
        match Unpacking::new(&self.header, codec, bytes, limit, spares) {
            Some(unpacking) => Ok(Opened::InSteps(Box::new(unpacking))),
            None => self.records_in(limit, spares).map(Opened::Whole),
        }
    }

    /// The records in steps, if they are compressed, however few they are.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn in_steps(
        &self,
        limit: usize,
        spares: &Spares,
    ) -> Result<Option<Unpacking>, Malformed> {
        Ok(match self.packed()? {
            Packed::Not(_) => None,
            Packed::By(codec, bytes) => Unpacking::new(&self.header, codec, bytes, limit, spares),
        })
    }

    fn packed(&self) -> Result<Packed, Malformed> {
        let bytes = self.bytes.slice(HEADER_LEN.min(self.bytes.len())..);
        Ok(match self.header.compression()? {
            Codec::None => Packed::Not(bytes),
            // No records need no bytes; compaction leaves such batches, with a codec and without content.
            _ if self.header.count == 0 && bytes.is_empty() => Packed::Not(bytes),
            codec => Packed::By(codec, bytes),
        })
    }

    fn unpack(
        &self,
        codec: Codec,
        packed: &[u8],
        limit: usize,
        output: &mut Output,
    ) -> Result<(), Malformed> {
        compress::decompress(codec, packed, limit, output).map_err(|e| {
            Malformed::new(format!(
                "batch at offset {}: {codec:?}: {e}",
                self.header.base_offset
            ))
        })
    }
}

/// The most that is decompressed at once.
const AT_ONCE: usize = 8 << 20;

/// A batch's records, as they can be read.
pub(crate) enum Opened {
    Whole(Records),
    InSteps(Box<Unpacking>),
}

/// A batch's records as they are on the wire.
enum Packed {
    Not(Bytes),
    By(Codec, Bytes),
}
