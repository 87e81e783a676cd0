//! Writing request bodies: the counterpart of [`Decoder`](super::Decoder), in both of Kafka's length formats.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

/// Appends fields to a body.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    out: &'a mut BytesMut,
    flexible: bool,
}

impl<'a> Encoder<'a> {
    /// `flexible` chooses compact lengths and tagged fields (KIP-482).
    pub(crate) fn new(out: &'a mut BytesMut, flexible: bool) -> Self {
        Self { out, flexible }
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.put_u8(value.into());
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
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

    pub(crate) fn f64(&mut self, value: f64) {
        self.out.put_f64(value);
    }

    pub(crate) fn uuid(&mut self, id: [u8; 16]) {
        self.out.put_slice(&id);
    }

    /// Whole milliseconds, at most `i32::MAX` of them.
    pub(crate) fn millis(&mut self, time: Duration) {
        self.i32(i32::try_from(time.as_millis()).unwrap_or(i32::MAX));
    }

    pub(crate) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    /// A string; the rigid form holds 32 kB, and a longer one is cut there so that the frame stays well-formed.
    pub(crate) fn string(&mut self, text: &str) {
        if self.flexible {
            self.long_length(text.len());
            self.out.put_slice(text.as_bytes());
            return;
        }
        let mut end = text.len().min(i16::MAX as usize);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        self.i16(text.len() as i16);
        self.out.put_slice(text.as_bytes());
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.unsigned_varint(0),
            None => self.i16(-1),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.long_length(bytes.len());
        self.out.put_slice(bytes);
    }

    /// The length of a byte field whose bytes follow, or the count of an array whose elements follow.
    ///
    /// More than `i32::MAX` is written as that: such a frame is beyond what any broker accepts.
    pub(crate) fn long_length(&mut self, len: usize) {
        let len = i32::try_from(len).unwrap_or(i32::MAX);
        if self.flexible {
            self.unsigned_varint(len.unsigned_abs() + 1);
        } else {
            self.i32(len);
        }
    }

    /// Null where an array could stand.
    pub(crate) fn null_array(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        } else {
            self.i32(-1);
        }
    }

    pub(crate) fn array<T>(&mut self, all: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.long_length(all.len());
        for one in all {
            element(self, one);
        }
    }

    /// Ends a structure: no tagged fields.
    pub(crate) fn no_tags(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Decoder;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            flexible: bool,
            text in proptest::option::of(".{0,200}"),
            number: u32,
            numbers in proptest::collection::vec(any::<i32>(), 0..300),
        ) {
            let mut out = BytesMut::new();
            let mut e = Encoder::new(&mut out, flexible);
            e.nullable_string(text.as_deref());
            e.unsigned_varint(number);
            e.array(&numbers, |e, n| e.i32(*n));
            e.no_tags();
            let mut d = Decoder::new(out.freeze(), flexible);
            let read = d.nullable_string().unwrap();
            prop_assert_eq!(read.as_ref().map(|t| t.as_str()), text.as_deref());
            prop_assert_eq!(d.unsigned_varint().unwrap(), number);
            prop_assert_eq!(d.array(4, Decoder::i32).unwrap(), numbers);
            d.skip_tags().unwrap();
            d.finish().unwrap();
        }
    }

    #[test]
    fn a_rigid_string_too_long_for_its_length_field_is_cut_between_characters() {
        let mut out = BytesMut::new();
        Encoder::new(&mut out, false).string(&"\u{e9}".repeat(20_000));
        let text = Decoder::new(out.freeze(), false).string().unwrap();
        assert_eq!(text.as_str().len(), 32_766);
    }

    #[test]
    fn a_time_beyond_32_bits_of_milliseconds_is_the_longest_there_is() {
        let mut out = BytesMut::new();
        Encoder::new(&mut out, true).millis(Duration::MAX);
        assert_eq!(out.as_ref(), i32::MAX.to_be_bytes());
    }
}
