//! Encodes records straight into the buffer that goes onto the socket.

use bytes::Bytes;

use super::compress::{self, Scratch};
use super::header::{BatchHeader, Codec, HEADER_LEN, LENGTH_END, stamp};
use super::varint::{self, Packed, zigzag};
use crate::config::Compression;
use crate::error::Error;
use crate::record::Header;
use crate::types::ProducerId;

/// What a batch keeps of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordParts<'a> {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header<'a>],
}

/// Length, attributes, timestamp delta, offset delta, key length, value length, header count: each at its longest.
const RECORD_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
/// Lengths of a header's name and value.
const HEADER_OVERHEAD: usize = 5 + 5;

/// An upper bound that is cheap to compute (no varint lengths): used for limits and first memory charge.
///
/// A writer with that much room left does not reallocate. Records must stay below 2 GiB by this
/// measure: the format has no longer ones.
#[inline]
pub(crate) fn size_bound(parts: &RecordParts<'_>) -> usize {
    let mut size = RECORD_OVERHEAD + data_len(parts.key) + data_len(parts.value);
    for header in parts.headers {
        size += HEADER_OVERHEAD + header.name().len() + data_len(header.value());
    }
    size
}

#[inline]
fn data_len(data: Option<&[u8]>) -> usize {
    data.map_or(0, <[u8]>::len)
}

/// A record's numbers as they will be written.
struct Fields {
    timestamp_delta: u64,
    offset_delta: u64,
    key_len: u64,
    value_len: u64,
    /// All that follows the length itself.
    body_len: u64,
}

/// An open batch, to which records are appended.
#[derive(Debug)]
pub(crate) struct BatchWriter {
    /// The header's place, filled in when the batch is closed, and the records.
    buf: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchWriter {
    /// Starts a batch in `buf`, whose content is thrown away and whose capacity is kept.
    pub(crate) fn new(mut buf: Vec<u8>) -> Self {
        buf.clear();
        buf.extend_from_slice(&[0; HEADER_LEN]);
        Self {
            buf,
            count: 0,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// The first record's time; -1 while there is none.
    #[inline]
    pub(crate) fn base_timestamp(&self) -> i64 {
        self.base_timestamp
    }

    /// Encodes a record and returns its offset relative to the batch's first.
    ///
    /// Does not reallocate while there is room for [`size_bound`], or for `encoded_len`.
    #[inline]
    pub(crate) fn append(&mut self, parts: &RecordParts<'_>) -> u32 {
        let offset = self.count;
        if offset == 0 {
            self.base_timestamp = parts.timestamp;
            self.max_timestamp = parts.timestamp;
        } else {
            self.max_timestamp = self.max_timestamp.max(parts.timestamp);
        }
        let fields = self.fields(parts);
        self.count += 1;

        let room = self.buf.capacity() - self.buf.len();
        let data = RECORD_OVERHEAD + data_len(parts.key) + data_len(parts.value);
        // One comparison for all of them.
        let widest = fields.timestamp_delta
            | fields.offset_delta
            | fields.key_len
            | fields.value_len
            | fields.body_len;
        if widest < Packed::LIMIT && data <= room {
            put_packed(&mut self.buf, &fields, parts);
        } else {
            put_wide(&mut self.buf, &fields, parts);
        }
        if parts.headers.is_empty() {
            self.buf.push(0);
        } else {
            put_headers(&mut self.buf, parts.headers);
        }
        offset
    }

    #[inline]
    fn fields(&self, parts: &RecordParts<'_>) -> Fields {
        // An empty batch takes the record's own timestamp for its base.
        let base = if self.count == 0 {
            parts.timestamp
        } else {
            self.base_timestamp
        };
        // Wraps for times 2^63 ms apart, and wraps back when read, as in Java.
        let timestamp_delta = zigzag(parts.timestamp.wrapping_sub(base));
        let offset_delta = zigzag(i64::from(self.count));
        let (key_len, value_len) = (varint::length(parts.key), varint::length(parts.value));
        let body_len = 1
            + varint::encoded_len(timestamp_delta)
            + varint::encoded_len(offset_delta)
            + varint::encoded_len(key_len)
            + data_len(parts.key)
            + varint::encoded_len(value_len)
            + data_len(parts.value)
            + headers_len(parts.headers);
        Fields {
            timestamp_delta,
            offset_delta,
            key_len,
            value_len,
            body_len: (body_len as u64) << 1,
        }
    }

    /// The exact number of bytes by which `append` would make the batch longer now.
    pub(crate) fn encoded_len(&self, parts: &RecordParts<'_>) -> usize {
        let body_len = self.fields(parts).body_len;
        varint::encoded_len(body_len) + (body_len >> 1) as usize
    }

    /// Bytes so far, the header's included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Makes the buffer hold `capacity` bytes in all, no more.
    pub(crate) fn grow(&mut self, capacity: usize) {
        self.buf
            .reserve_exact(capacity.saturating_sub(self.buf.len()));
    }

    /// Ends the batch: no record can be added.
    pub(crate) fn close(self) -> ClosedBatch {
        debug_assert!(self.count > 0, "brokers refuse a batch without records");
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        let mut closed = ClosedBatch {
            buf: self.buf,
            header: BatchHeader {
                base_offset: 0,
                length: 0,
                leader_epoch: -1,
                crc: 0,
                attributes: 0,
                last_offset_delta: count - 1,
                base_timestamp: self.base_timestamp,
                max_timestamp: self.max_timestamp,
                producer_id: ProducerId::NONE.id,
                producer_epoch: ProducerId::NONE.epoch,
                base_sequence: -1,
                count,
            },
        };
        closed.write_header();
        closed
    }
}

/// The prefix in one store or two; every field is below [`Packed::LIMIT`] and there is room.
#[inline]
fn put_packed(buf: &mut Vec<u8>, fields: &Fields, parts: &RecordParts<'_>) {
    let mut prefix = Packed::default();
    prefix.push(fields.body_len);
    prefix.push(0); // attributes
    prefix.push(fields.timestamp_delta);
    prefix.push(fields.offset_delta);
    prefix.push(fields.key_len);
    if let Some(key) = parts.key {
        prefix.store(buf);
        buf.extend_from_slice(key);
        prefix = Packed::default();
    }
    prefix.push(fields.value_len);
    prefix.store(buf);
    if let Some(value) = parts.value {
        buf.extend_from_slice(value);
    }
}

/// The same byte by byte: for long fields, and in a buffer that is full to the last byte.
#[cold]
fn put_wide(buf: &mut Vec<u8>, fields: &Fields, parts: &RecordParts<'_>) {
    varint::put(buf, fields.body_len);
    buf.push(0); // attributes
    varint::put(buf, fields.timestamp_delta);
    varint::put(buf, fields.offset_delta);
    varint::put(buf, fields.key_len);
    buf.extend_from_slice(parts.key.unwrap_or_default());
    varint::put(buf, fields.value_len);
    buf.extend_from_slice(parts.value.unwrap_or_default());
}

fn put_headers(buf: &mut Vec<u8>, headers: &[Header<'_>]) {
    varint::put(buf, (headers.len() as u64) << 1);
    for header in headers {
        let (name, value) = (header.name().as_bytes(), header.value());
        varint::put(buf, varint::length(Some(name)));
        buf.extend_from_slice(name);
        varint::put(buf, varint::length(value));
        buf.extend_from_slice(value.unwrap_or_default());
    }
}

#[inline]
fn headers_len(headers: &[Header<'_>]) -> usize {
    if headers.is_empty() {
        return 1;
    }
    let mut len = varint::encoded_len((headers.len() as u64) << 1);
    for header in headers {
        let (name, value) = (header.name().as_bytes(), header.value());
        len += varint::encoded_len(varint::length(Some(name))) + name.len();
        len += varint::encoded_len(varint::length(value)) + data_len(value);
    }
    len
}

/// A batch with all fields but identity and CRC filled in.
#[derive(Debug)]
pub(crate) struct ClosedBatch {
    buf: Vec<u8>,
    header: BatchHeader,
}

impl ClosedBatch {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn count(&self) -> u32 {
        self.header.count.unsigned_abs()
    }

    /// Bytes, the header's included.
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.header.compression() != Ok(Codec::None)
    }

    /// Compresses the records; keeps them plain when that is not smaller. Gives back the plain buffer for reuse.
    ///
    /// The work of a large batch takes a millisecond or more: not for a runtime's worker. What a
    /// codec needs (tables, output) stays with the thread; the new batch is one exact allocation.
    ///
    /// # Errors
    /// The codec's, with the batch as it was.
    // Once a batch, and the batch must not get lost: no box, and no name for a type used once.
    #[allow(clippy::result_large_err, clippy::type_complexity)]
    pub(crate) fn compress(
        self,
        compression: Compression,
    ) -> Result<(Self, Option<Vec<u8>>), (Self, Error)> {
        let codec = compress::codec(compression);
        let Some(plain) = self.buf.get(HEADER_LEN..) else {
            return Ok((self, None));
        };
        if codec == Codec::None || self.is_compressed() {
            return Ok((self, None));
        }
        let packed = Scratch::with(|scratch, out| -> Result<_, Error> {
            compress::compress(scratch, compression, plain, out)?;
            if out.len() >= plain.len() {
                return Ok(None);
            }
            let mut buf = Vec::with_capacity(HEADER_LEN + out.len());
            buf.extend_from_slice(&[0; HEADER_LEN]);
            buf.extend_from_slice(out);
            Ok(Some(buf))
        });
        let buf = match packed {
            Ok(Some(buf)) => buf,
            Ok(None) => return Ok((self, None)),
            Err(error) => return Err((self, error)),
        };
        let mut header = self.header;
        header.set_compression(codec);
        let mut closed = Self { buf, header };
        closed.write_header();
        Ok((closed, Some(self.buf)))
    }

    /// The same batch with another base offset than 0.
    #[cfg(feature = "spill")]
    pub(crate) fn at(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self.write_header();
        self
    }

    /// Makes it a batch of a transaction.
    pub(crate) fn in_transaction(mut self) -> Self {
        self.header.set_transactional();
        self.write_header();
        self
    }

    /// Stamps identity + base sequence, computes the CRC32C, freezes (zero copy).
    pub(crate) fn seal(mut self, producer: ProducerId, base_sequence: i32) -> Bytes {
        stamp(&mut self.buf, producer, base_sequence);
        Bytes::from(self.buf)
    }

    fn write_header(&mut self) {
        let length = self.buf.len().saturating_sub(LENGTH_END);
        self.header.length = i32::try_from(length).unwrap_or(i32::MAX);
        if let Some(place) = self.buf.first_chunk_mut() {
            self.header.write(place);
        }
    }
}

/// Changes identity and sequence of a sealed batch: in place when nobody else holds the bytes, else in a copy.
pub(crate) fn restamp(batch: Bytes, producer: ProducerId, base_sequence: i32) -> Bytes {
    match batch.try_into_mut() {
        Ok(mut batch) => {
            stamp(&mut batch, producer, base_sequence);
            batch.freeze()
        }
        // A write that was given up may still be reading the old bytes: they must not change under it.
        Err(shared) => {
            let mut copy = shared.to_vec();
            stamp(&mut copy, producer, base_sequence);
            Bytes::from(copy)
        }
    }
}

/// Gets a sealed batch's allocation back for reuse, `None` while someone else holds it.
pub(crate) fn reclaim(batch: Bytes) -> Option<Vec<u8>> {
    let mut batch = batch.try_into_mut().ok()?;
    // Cleared first: the conversion would otherwise move the content to the front.
    batch.clear();
    Some(batch.into())
}
