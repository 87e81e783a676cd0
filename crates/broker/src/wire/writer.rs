//! Writes answers; record batches go out as the slices they are stored in.

use bytes::{BufMut, Bytes, BytesMut};

use super::TopicId;

/// The most that an answer has beside its records: a small question can ask for the same thing many times.
const MOST: usize = 32 * 1024 * 1024;

/// An answer, ready to go out: its pieces in their order, the frame's length in front.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) parts: Vec<Bytes>,
}

/// What is written of an answer so far, in its version's layout.
pub(crate) struct Writer {
    parts: Vec<Bytes>,
    out: BytesMut,
    pub(crate) version: i16,
    /// How long the client is asked to wait before it sends more, in milliseconds (KIP-219).
    throttle: i32,
    flexible: bool,
}

impl Writer {
    /// Begins with the answer's header.
    pub(crate) fn new(
        correlation_id: i32,
        version: i16,
        flexible: bool,
        header_tags: bool,
    ) -> Self {
        let mut out = BytesMut::with_capacity(128);
        out.put_i32(0); // the frame's length, known at the end
        out.put_i32(correlation_id);
        if header_tags {
            out.put_u8(0);
        }
        Self {
            parts: Vec::new(),
            out,
            version,
            throttle: 0,
            flexible,
        }
    }

    pub(crate) fn set_throttle(&mut self, millis: i32) {
        self.throttle = millis;
    }

    /// The field that nearly every answer has.
    pub(crate) fn throttle(&mut self) {
        self.out.put_i32(self.throttle);
    }

    /// From here on in the layout of `version`.
    pub(crate) fn set_layout(&mut self, version: i16, flexible: bool) {
        self.version = version;
        self.flexible = flexible;
    }

    /// Whether there is more to say than may be said: the rest was left out.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() > MOST
    }

    pub(crate) fn finish(self) -> Frame {
        let mut parts = self.parts;
        let length: usize = parts.iter().map(Bytes::len).sum::<usize>() + self.out.len();
        let length = u32::try_from(length.saturating_sub(4)).unwrap_or(u32::MAX);
        // The first piece has the length; it may be frozen already, and then it is short.
        let mut first = if parts.is_empty() {
            self.out
        } else {
            let first = BytesMut::from(parts.remove(0));
            parts.push(self.out.freeze());
            first
        };
        if let Some(head) = first.first_chunk_mut::<4>() {
            *head = length.to_be_bytes();
        }
        parts.insert(0, first.freeze());
        Frame { parts }
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.put_i8(value.into());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(crate) fn code(&mut self, code: super::ErrorCode) {
        self.out.put_i16(code.code());
    }

    pub(crate) fn topic_id(&mut self, id: TopicId) {
        self.out.put_slice(&id);
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    fn long_len(&mut self, len: Option<usize>) {
        if self.flexible {
            self.unsigned_varint(len.map_or(0, |len| len as u32 + 1));
        } else {
            self.out.put_i32(len.map_or(-1, |len| len as i32));
        }
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        let text = text.map(|text| text.get(..i16::MAX as usize).unwrap_or(text));
        if self.flexible {
            self.unsigned_varint(text.map_or(0, |text| text.len() as u32 + 1));
        } else {
            self.out.put_i16(text.map_or(-1, |text| text.len() as i16));
        }
        self.out.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.long_len(Some(bytes.len()));
        self.out.put_slice(bytes);
    }

    /// Stored batches, uncopied.
    pub(crate) fn records(&mut self, batches: Vec<Bytes>) {
        self.long_len(Some(batches.iter().map(Bytes::len).sum()));
        if batches.is_empty() {
            return;
        }
        let before = self.out.split().freeze();
        self.parts.push(before);
        self.parts.extend(batches);
    }

    pub(crate) fn array_len(&mut self, count: usize) {
        self.long_len(Some(count));
    }

    pub(crate) fn array<T>(
        &mut self,
        elements: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut element: impl FnMut(&mut Self, T),
    ) {
        let elements = elements.into_iter();
        self.long_len(Some(elements.len()));
        for one in elements {
            if self.is_full() {
                return;
            }
            element(self, one);
        }
    }

    /// The end of a structure without tagged fields.
    pub(crate) fn tags(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    /// The end of a structure with one tagged field.
    pub(crate) fn one_tag(&mut self, tag: u32, field: impl FnOnce(&mut Self)) {
        let mut field = Some(field);
        self.some_tags(&[tag], |out, _| {
            if let Some(field) = field.take() {
                field(out);
            }
        });
    }

    /// The end of a structure with these tagged fields, in the order of their numbers.
    pub(crate) fn some_tags(&mut self, tags: &[u32], mut field: impl FnMut(&mut Self, u32)) {
        self.unsigned_varint(tags.len() as u32);
        for tag in tags {
            let mut inner = Self::bare(self.version);
            field(&mut inner, *tag);
            self.unsigned_varint(*tag);
            self.unsigned_varint(inner.out.len() as u32);
            self.out.put_slice(&inner.out);
        }
    }

    fn bare(version: i16) -> Self {
        Self {
            parts: Vec::new(),
            out: BytesMut::new(),
            version,
            throttle: 0,
            flexible: true,
        }
    }
}
