//! Decodes a batch's records, one at a time and only when asked to.

use bytes::Bytes;

use super::header::{BatchHeader, Codec, TimestampType};
use super::varint::Cursor;
use crate::wire::Malformed;

/// The shortest record: seven numbers of one byte.
const LEAST_RECORD: usize = 7;
/// The shortest header of a record: two lengths.
const LEAST_HEADER: usize = 2;

/// Lazily decoded records; each borrowed or as slices of `Bytes`. An error ends them.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    bytes: Bytes,
    progress: Progress,
}

/// Apart from the bytes, so that a record can borrow these while this moves on.
#[derive(Clone, Debug)]
struct Progress {
    /// How many of the bytes are decoded.
    at: usize,
    /// How many records are to come.
    left: usize,
    base_offset: i64,
    last_offset_delta: i32,
    base_timestamp: i64,
    /// The broker's time, which stands for each record's own.
    append_time: Option<i64>,
    /// Bytes behind the last record are of no importance.
    ends_early: bool,
}

/// The beginning of a record, of which more may be missing.
pub(super) struct Start {
    pub(super) offset_delta: i64,
}

impl Start {
    /// The longest length.
    const LENGTH: usize = 5;
    /// The longest of all that is in front of a record's key: length, attributes, timestamp, offset.
    const MOST: usize = Self::LENGTH + 1 + 10 + 5;

    /// The size of the record at the front, its length's own included; `None` while too little is there to tell.
    pub(super) fn size(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut cursor = Cursor::new(bytes);
        match cursor.length() {
            Ok(Some(len)) => Ok(Some(bytes.len() - cursor.rest().len() + len)),
            Err(_) if bytes.len() < Self::LENGTH => Ok(None),
            Err(error) => Err(error),
            Ok(None) => Err(Malformed::new("a record without a length")),
        }
    }

    /// The beginning of the record at the front; `None` while too little is there to tell.
    pub(super) fn of(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut read = || {
            cursor.length()?;
            cursor.u8()?;
            cursor.i64()?;
            cursor.i32()
        };
        match read() {
            Ok(offset_delta) => Ok(Some(Self {
                offset_delta: i64::from(offset_delta),
            })),
            Err(_) if bytes.len() < Self::MOST => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A record that borrows its batch's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRef<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Read through once already: doing so again cannot fail.
    headers: &'a [u8],
    header_count: usize,
}

/// A record that shares its batch's memory.
#[derive(Clone, Debug)]
pub(crate) struct RawRecord {
    #[cfg(any(test, fuzzing))]
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
}

/// A record as places in its batch's bytes: forty bytes, without a reference count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    key: Place,
    value: Place,
    headers_at: u32,
    header_count: u32,
}

/// Where a field is; a negative length is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: u32,
    len: i32,
}

impl Place {
    fn of(field: Option<&[u8]>, base: usize) -> Self {
        match field {
            // A batch's bytes are fewer than 2^31: `Records::new` has seen to that.
            Some(bytes) => Self {
                at: (bytes.as_ptr().addr() - base) as u32,
                len: bytes.len() as i32,
            },
            None => Self { at: 0, len: -1 },
        }
    }

    #[inline]
    fn bytes(self, batch: &[u8]) -> Option<&[u8]> {
        let len = usize::try_from(self.len).ok()?;
        let at = self.at as usize;
        batch.get(at..at + len)
    }
}

impl Slot {
    /// The key in the bytes of its batch.
    #[inline]
    pub(crate) fn key<'a>(&self, batch: &'a [u8]) -> Option<&'a [u8]> {
        self.key.bytes(batch)
    }

    /// The value in the bytes of its batch.
    #[inline]
    pub(crate) fn value<'a>(&self, batch: &'a [u8]) -> Option<&'a [u8]> {
        self.value.bytes(batch)
    }

    /// Names and values, in order; names may repeat, and are text only by custom.
    pub(crate) fn headers<'a>(
        &self,
        batch: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(batch.get(self.headers_at as usize..).unwrap_or_default());
        (0..self.header_count).map_while(move |_| header(&mut cursor).ok())
    }

    pub(crate) fn header_count(&self) -> usize {
        self.header_count as usize
    }
}

impl Records {
    /// The bytes in which each [`Slot`] is a place.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The next record, as a place.
    #[inline]
    pub(crate) fn next_slot(&mut self) -> Option<Result<Slot, Malformed>> {
        let base = self.bytes.as_ptr().addr();
        let record = match self.progress.next(&self.bytes)? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Slot {
            offset: record.offset,
            timestamp: record.timestamp,
            key: Place::of(record.key, base),
            value: Place::of(record.value, base),
            headers_at: (record.headers.as_ptr().addr() - base) as u32,
            // As many as there are bytes at most.
            header_count: record.header_count as u32,
        }))
    }

    pub(super) fn new(header: &BatchHeader, bytes: Bytes) -> Result<Self, Malformed> {
        if i32::try_from(bytes.len()).is_err() {
            return Err(Malformed::new(format!(
                "batch at offset {}: {} bytes of records",
                header.base_offset,
                bytes.len()
            )));
        }
        let count = usize::try_from(header.count).unwrap_or_default();
        Self::part(header, bytes, count)
    }

    /// So many records of the batch, which are all that is in these bytes.
    pub(super) fn part(header: &BatchHeader, bytes: Bytes, left: usize) -> Result<Self, Malformed> {
        if left > bytes.len() / LEAST_RECORD {
            return Err(Malformed::new(format!(
                "batch at offset {}: {left} records in {} bytes",
                header.base_offset,
                bytes.len()
            )));
        }
        let progress = Progress {
            at: 0,
            left,
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta,
            base_timestamp: header.base_timestamp,
            append_time: match header.timestamp_type() {
                TimestampType::Create => None,
                TimestampType::LogAppend => Some(header.max_timestamp),
            },
            // Of LZ4, Java reads one frame and does not look behind it.
            ends_early: matches!(header.compression(), Ok(Codec::Lz4)),
        };
        Ok(Self { bytes, progress })
    }

    /// The next record, borrowed: no reference count is touched.
    #[inline]
    pub(crate) fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, Malformed>> {
        self.progress.next(&self.bytes)
    }
}

impl Iterator for Records {
    type Item = Result<RawRecord, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.progress.next(&self.bytes)? {
            Ok(record) => Some(Ok(record.share(&self.bytes))),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Progress {
    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<Result<RecordRef<'a>, Malformed>> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        if self.left == 0 {
            self.at = bytes.len();
            let is_over = rest.is_empty() || self.ends_early;
            return (!is_over).then(|| Err(self.trailing(rest.len())));
        }
        let mut cursor = Cursor::new(rest);
        match self.decode(&mut cursor) {
            Ok(record) => {
                self.at = bytes.len() - cursor.rest().len();
                self.left -= 1;
                Some(Ok(record))
            }
            Err(error) => {
                let error = self.located(&error);
                self.left = 0;
                self.at = bytes.len();
                Some(Err(error))
            }
        }
    }

    #[inline]
    fn decode<'a>(&self, cursor: &mut Cursor<'a>) -> Result<RecordRef<'a>, Malformed> {
        let len = cursor
            .length()?
            .ok_or_else(|| Malformed::new("a record without a length"))?;
        let mut body = Cursor::new(cursor.take(len)?);
        body.u8()?; // attributes, of which none is in use
        let timestamp_delta = body.i64()?;
        let offset_delta = body.i32()?;
        if offset_delta < 0 || offset_delta > self.last_offset_delta {
            return Err(self.outside(offset_delta));
        }
        let key = body.field()?;
        let value = body.field()?;
        let header_count = body.count(LEAST_HEADER)?;
        let headers = body.rest();
        for _ in 0..header_count {
            header(&mut body)?;
        }
        if !body.rest().is_empty() {
            return Err(Malformed::new("a record longer than its fields"));
        }
        Ok(RecordRef {
            // At most the batch's last offset, of which the header's check has seen that it fits.
            offset: self.base_offset.saturating_add(i64::from(offset_delta)),
            // Wraps as the writer does.
            timestamp: self
                .append_time
                .unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta)),
            key,
            value,
            headers,
            header_count,
        })
    }

    #[cold]
    fn outside(&self, offset_delta: i32) -> Malformed {
        let last = self.last_offset_delta;
        Malformed::new(format!("offset delta {offset_delta}, the last is {last}"))
    }

    #[cold]
    fn trailing(&self, len: usize) -> Malformed {
        Malformed::new(format!(
            "batch at offset {}: {len} bytes behind its last record",
            self.base_offset
        ))
    }

    #[cold]
    fn located(&self, error: &Malformed) -> Malformed {
        Malformed::new(format!(
            "batch at offset {}, {} records before its end: {error}",
            self.base_offset, self.left
        ))
    }
}

impl<'a> RecordRef<'a> {
    /// The headers, in order.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.headers);
        (0..self.header_count).map_while(move |_| header(&mut cursor).ok())
    }

    #[inline]
    fn share(&self, batch: &Bytes) -> RawRecord {
        RawRecord {
            #[cfg(any(test, fuzzing))]
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(|key| batch.slice_ref(key)),
            value: self.value.map(|value| batch.slice_ref(value)),
            headers: Headers {
                bytes: batch.slice_ref(self.headers),
                count: self.header_count,
            },
        }
    }
}

/// A record's headers, decoded when they are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    /// Read through once already: doing so again cannot fail.
    bytes: Bytes,
    count: usize,
}

impl Headers {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Names and values, in order; names may repeat, and are text only by custom.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + '_ {
        let mut cursor = Cursor::new(&self.bytes);
        (0..self.count).map_while(move |_| {
            let (name, value) = header(&mut cursor).ok()?;
            let value = value.map(|value| self.bytes.slice_ref(value));
            Some((self.bytes.slice_ref(name), value))
        })
    }
}

#[inline]
fn header<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
    let name = cursor
        .field()?
        .ok_or_else(|| Malformed::new("a header without a name"))?;
    Ok((name, cursor.field()?))
}

/// What a control batch's record says about its producer's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlType {
    Abort,
    Commit,
    /// A kind from the future, or of the cluster's own metadata: skipped.
    Other(i16),
}

/// Reads a control record's key: a version, which may grow, and the type.
pub(crate) fn control_type(key: Option<&[u8]>) -> Result<ControlType, Malformed> {
    match key {
        Some([0..=0x7f, _, high, low, ..]) => Ok(match i16::from_be_bytes([*high, *low]) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        }),
        _ => Err(Malformed::new("a control record's key is not one")),
    }
}
