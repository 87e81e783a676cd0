//! Reads requests: no length is believed beyond the bytes that are there.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::{Name, TopicId};

/// Most elements that the arrays of one request may have together.
///
/// An element can be one byte on the wire and a hundred in memory, so bytes alone bound too little.
const MOST_ELEMENTS: usize = 200_000;

/// Why bytes are no request; the connection that sent them is closed, as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is left of a request, in its version's layout.
pub(crate) struct Reader {
    bytes: BytesMut,
    pub(crate) version: i16,
    flexible: bool,
    elements: usize,
}

type Read<T> = Result<T, Malformed>;

impl Reader {
    pub(crate) fn new(bytes: BytesMut) -> Self {
        Self {
            bytes,
            version: 0,
            flexible: false,
            elements: MOST_ELEMENTS,
        }
    }

    /// From here on the fields are those of `version`, in compact forms and with tags if `flexible`.
    pub(crate) fn set_layout(&mut self, version: i16, flexible: bool) {
        self.version = version;
        self.flexible = flexible;
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, len: usize) -> Read<BytesMut> {
        if len > self.bytes.len() {
            return Err(Malformed("a field is longer than the request"));
        }
        Ok(self.bytes.split_to(len))
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self.bytes.first_chunk::<N>().copied();
        let bytes = bytes.ok_or(Malformed("the request ends within a field"))?;
        self.bytes.advance(N);
        Ok(bytes)
    }

    pub(crate) fn i8(&mut self) -> Read<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn bool(&mut self) -> Read<bool> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i16(&mut self) -> Read<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn i32(&mut self) -> Read<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn i64(&mut self) -> Read<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn topic_id(&mut self) -> Read<TopicId> {
        self.fixed()
    }

    fn unsigned_varint(&mut self) -> Read<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a varint has more than five bytes"))
    }

    /// A compact length: one more than it is, 0 for null.
    fn compact(&mut self) -> Read<Option<usize>> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|n| n as usize))
    }

    fn string_len(&mut self) -> Read<Option<usize>> {
        if self.flexible {
            return self.compact();
        }
        match self.i16()? {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Malformed("a string has a negative length")),
        }
    }

    fn long_len(&mut self) -> Read<Option<usize>> {
        if self.flexible {
            return self.compact();
        }
        match self.i32()? {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Malformed("a field has a negative length")),
        }
    }

    pub(crate) fn nullable_string(&mut self) -> Read<Option<Name>> {
        let Some(len) = self.string_len()? else {
            return Ok(None);
        };
        if len > i16::MAX as usize {
            return Err(Malformed("a string is longer than 32767 bytes"));
        }
        let bytes = self.take(len)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(Malformed("a string is not UTF-8")),
        }
    }

    pub(crate) fn string(&mut self) -> Read<Name> {
        self.nullable_string()?
            .ok_or(Malformed("a string is null that must not be"))
    }

    /// Bytes that are kept: a copy, which pins no frame.
    pub(crate) fn bytes(&mut self) -> Read<Bytes> {
        let len = self
            .long_len()?
            .ok_or(Malformed("bytes are null that must not be"))?;
        Ok(Bytes::copy_from_slice(&self.take(len)?))
    }

    /// Record batches as they came: part of the frame itself.
    pub(crate) fn records(&mut self) -> Read<Option<BytesMut>> {
        match self.long_len()? {
            None => Ok(None),
            Some(len) => self.take(len).map(Some),
        }
    }

    pub(crate) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(count) = self.long_len()? else {
            return Ok(None);
        };
        // Every element has at least one byte.
        if count > self.left() {
            return Err(Malformed("an array has more elements than bytes are left"));
        }
        self.elements = self
            .elements
            .checked_sub(count)
            .ok_or(Malformed("the request has more than 200000 elements"))?;
        // Grows with what is really there.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(element(self)?);
        }
        Ok(Some(all))
    }

    pub(crate) fn array<T>(&mut self, element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.nullable_array(element)?
            .ok_or(Malformed("an array is null that must not be"))
    }

    /// Skips the tagged fields at the end of a structure; none of them matters here.
    pub(crate) fn tags(&mut self) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            self.unsigned_varint()?;
            let len = self.unsigned_varint()?;
            self.take(len as usize)?;
        }
        Ok(())
    }

    /// A structure that is over when its tags are: reads those, too.
    pub(crate) fn tagged<T>(&mut self, value: T) -> Read<T> {
        self.tags()?;
        Ok(value)
    }
}
