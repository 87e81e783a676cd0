//! Checked reading of untrusted bytes: every length is bounded by the bytes that are left.

use std::borrow::Cow;

use bytes::{Buf, Bytes};

/// Bytes that are not what the protocol says they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) Cow<'static, str>);

impl Malformed {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// A cursor over a frame; strings and byte fields are slices of it, not copies.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    rest: Bytes,
    flexible: bool,
}

impl Decoder {
    /// `flexible` chooses compact lengths and tagged fields (KIP-482).
    pub(crate) fn new(bytes: Bytes, flexible: bool) -> Self {
        Self {
            rest: bytes,
            flexible,
        }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        if len > self.rest.len() {
            return Err(Malformed::new(format!(
                "{len} bytes wanted, {} left",
                self.rest.len()
            )));
        }
        Ok(self.rest.split_to(len))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Malformed> {
        self.rest.try_get_i8().map_err(short)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        self.rest.try_get_i16().map_err(short)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.rest.try_get_i32().map_err(short)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.rest.try_get_i64().map_err(short)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Malformed> {
        self.rest.try_get_f64().map_err(short)
    }

    pub(crate) fn uuid(&mut self) -> Result<[u8; 16], Malformed> {
        let mut id = [0; 16];
        self.rest.try_copy_to_slice(&mut id).map_err(short)?;
        Ok(id)
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(short)?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::new("varint longer than 32 bits"))
    }

    /// The length of a string or byte field, `None` for null; `short_form` where the rigid form is 16 bits.
    fn length(&mut self, short_form: bool) -> Result<Option<usize>, Malformed> {
        let len = if self.flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else if short_form {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match len {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Malformed::new(format!("length {n}"))),
        }
    }

    /// A string that may be null, checked to be UTF-8, still a slice of the frame.
    pub(crate) fn nullable_string(&mut self) -> Result<Option<Text>, Malformed> {
        let Some(len) = self.length(true)? else {
            return Ok(None);
        };
        let bytes = self.take(len)?;
        if std::str::from_utf8(&bytes).is_err() {
            return Err(Malformed::new("string is not UTF-8"));
        }
        Ok(Some(Text(bytes)))
    }

    pub(crate) fn string(&mut self) -> Result<Text, Malformed> {
        self.nullable_string()?
            .ok_or_else(|| Malformed::new("null where a string must be"))
    }

    /// A byte field, still a slice of the frame; null is empty.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let len = self.bytes_len()?.unwrap_or(0);
        self.take(len)
    }

    /// How many bytes follow, for who takes them by himself; `None` for null.
    pub(crate) fn bytes_len(&mut self) -> Result<Option<usize>, Malformed> {
        self.length(false)
    }

    /// An array's element count, at most the bytes left divided by the least an element takes; null is 0.
    pub(crate) fn array_len(&mut self, least_element: usize) -> Result<usize, Malformed> {
        let count = self.length(false)?.unwrap_or(0);
        if count > self.rest.len() / least_element.max(1) {
            return Err(Malformed::new(format!(
                "array of {count} elements in {} bytes",
                self.rest.len()
            )));
        }
        Ok(count)
    }

    /// Reads an array, element by element.
    pub(crate) fn array<T>(
        &mut self,
        least_element: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.array_len(least_element)?;
        // Elements in memory may be larger than on the wire: the capacity grows as they are really there.
        let mut all = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            all.push(element(self)?);
        }
        Ok(all)
    }

    /// Tagged fields: `known` is offered each tag with its own decoder; others are skipped.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let len = self.unsigned_varint()? as usize;
            let mut field = Self::new(self.take(len)?, true);
            known(tag, &mut field)?;
        }
        Ok(())
    }

    pub(crate) fn skip_tags(&mut self) -> Result<(), Malformed> {
        self.tags(|_, _| Ok(()))
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::new(format!(
                "{} trailing bytes",
                self.rest.len()
            )))
        }
    }
}

fn short(_: bytes::TryGetError) -> Malformed {
    Malformed::new("frame ends in the middle of a field")
}

/// UTF-8 that is still a slice of its frame: copy it out before keeping it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text(Bytes);

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        // Checked when it was read; a failure here cannot happen and reads as empty.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(bytes: &'static [u8], flexible: bool) -> Decoder {
        Decoder::new(Bytes::from_static(bytes), flexible)
    }

    #[test]
    fn a_varint_is_read_up_to_32_bits_and_refused_beyond() {
        for (bytes, expected) in [
            (&[0x00][..], Some(0)),
            (&[0x01], Some(1)),
            (&[0x80, 0x01], Some(128)),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(u32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], None),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
            (&[0x80, 0x80], None),
            (&[], None),
        ] {
            let read = decoder(bytes, true).unsigned_varint().ok();
            assert_eq!(read, expected, "{bytes:x?}");
        }
    }

    #[test]
    fn an_array_is_refused_before_its_first_element_when_its_elements_cannot_be_there() {
        for (bytes, flexible, least, expected) in [
            (&[0, 0, 0, 2, 1, 2, 3, 4][..], false, 2, Some(2)),
            (&[0, 0, 0, 2, 1, 2, 3], false, 2, None),
            (&[0xff, 0xff, 0xff, 0xff], false, 2, Some(0)),
            (&[0xff, 0xff, 0xff, 0xfe], false, 2, None),
            (&[0x80, 0, 0, 0], false, 1, None),
            (&[0x7f, 0xff, 0xff, 0xff, 0], false, 1, None),
            (&[3, 1, 2, 3, 4], true, 2, Some(2)),
            (&[3, 1, 2, 3], true, 2, None),
            (&[0, 1, 2, 3], true, 2, Some(0)),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], true, 1, None),
        ] {
            let read = decoder(bytes, flexible).array_len(least).ok();
            assert_eq!(read, expected, "{bytes:x?}");
        }
    }

    #[test]
    fn strings_and_bytes_are_bounded_by_what_is_left_and_tell_null_from_empty() {
        for (bytes, flexible, expected) in [
            (&[0, 1, b'a'][..], false, Some(Some("a"))),
            (&[0, 0], false, Some(Some(""))),
            (&[0xff, 0xff], false, Some(None)),
            (&[0xff, 0xfe], false, None),
            (&[0x80, 0], false, None),
            (&[0x7f, 0xff, b'a'], false, None),
            (&[0, 2, b'a'], false, None),
            (&[2, b'a'], true, Some(Some("a"))),
            (&[1], true, Some(Some(""))),
            (&[0], true, Some(None)),
            (&[3, b'a'], true, None),
            (&[2, 0xff], true, None),
        ] {
            let read = decoder(bytes, flexible).nullable_string().ok();
            let read = read.as_ref().map(|t| t.as_ref().map(Text::as_str));
            assert_eq!(read, expected, "{bytes:x?}");
        }
        assert!(decoder(&[0], true).string().is_err(), "null");
    }

    #[test]
    fn byte_fields_are_slices_of_the_frame_bounded_by_what_is_left_and_null_is_empty() {
        for (bytes, flexible, expected) in [
            (&[0, 0, 0, 2, 1, 2][..], false, Some(&[1, 2][..])),
            (&[0, 0, 0, 0], false, Some(&[])),
            (&[0xff, 0xff, 0xff, 0xff], false, Some(&[])),
            (&[0xff, 0xff, 0xff, 0xfe], false, None),
            (&[0x7f, 0xff, 0xff, 0xff, 1], false, None),
            (&[0, 0, 0, 2, 1], false, None),
            (&[3, 1, 2], true, Some(&[1, 2])),
            (&[1], true, Some(&[])),
            (&[0], true, Some(&[])),
            (&[3, 1], true, None),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], true, None),
        ] {
            let read = decoder(bytes, flexible).bytes().ok();
            assert_eq!(read.as_deref(), expected, "{bytes:x?}");
            let inside = |b: &Bytes| bytes.as_ptr_range().contains(&b.as_ptr());
            assert!(read.iter().all(|b| b.is_empty() || inside(b)), "a copy");
        }
    }

    #[test]
    fn a_billion_tagged_fields_end_with_the_bytes() {
        let claimed = &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 2, 0];
        decoder(claimed, true).skip_tags().unwrap_err();
        decoder(&[1, 5, 200, 0], true).skip_tags().unwrap_err();
        decoder(&[], false).skip_tags().unwrap();
    }
}
