//! Zigzag varints, as records use them for every number and length.

use crate::wire::Malformed;

/// Maps small numbers of either sign to small unsigned ones: 0, -1, 1, -2 become 0, 1, 2, 3.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The zigzag form of a field's length, where null is -1.
#[inline]
pub(super) fn length(field: Option<&[u8]>) -> u64 {
    // A slice is never longer than i64::MAX bytes, so twice its length fits.
    field.map_or(1, |bytes| (bytes.len() as u64) << 1)
}

/// How many bytes `put` writes.
#[inline]
pub(super) const fn encoded_len(value: u64) -> usize {
    (63 - (value | 1).leading_zeros() as usize) / 7 + 1
}

#[inline]
pub(crate) fn put(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// Takes off the front what `put` has written; `None` where there is no such thing.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(bytes);
    let value = cursor.unsigned(10).ok()?;
    *bytes = cursor.rest();
    Some(value)
}

/// Up to five varints of up to three bytes each, gathered in a register and stored at once.
///
/// A record's prefix is a handful of one- and two-byte fields; a store for each byte, with its
/// capacity check, would cost more than copying the value.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    bytes: u128,
    bits: u32,
}

impl Packed {
    /// Values from here on do not fit.
    pub(super) const LIMIT: u64 = 1 << 21;

    /// `value` is below [`Packed::LIMIT`], and at most 16 bytes are pushed in all.
    #[inline]
    pub(super) fn push(&mut self, value: u64) {
        debug_assert!(value < Self::LIMIT && self.bits <= 104);
        let (encoded, bits) = if value < 1 << 7 {
            (value, 8)
        } else if value < 1 << 14 {
            (value & 0x7f | 0x80 | (value >> 7) << 8, 16)
        } else {
            let (low, middle) = (value & 0x7f, value >> 7 & 0x7f);
            (low | middle << 8 | (value >> 14) << 16 | 0x8080, 24)
        };
        self.bytes |= u128::from(encoded) << self.bits;
        self.bits += bits;
    }

    /// Appends what was pushed; `buf` needs room for 16 bytes so as not to reallocate.
    #[inline]
    pub(super) fn store(self, buf: &mut Vec<u8>) {
        let end = buf.len() + (self.bits / 8) as usize;
        // A copy of fixed length is one instruction, one of exact length a call.
        buf.extend_from_slice(&self.bytes.to_le_bytes());
        buf.truncate(end);
    }
}

/// Reads record fields one after another; no read goes past the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.rest.split_first().ok_or_else(short)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A zigzag number of 32 bits.
    #[inline]
    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        // At most 35 bits come back, so the cast to i64 and the check below see every one of them.
        let value = unzigzag(self.unsigned(5)?);
        i32::try_from(value).map_err(|_| too_long())
    }

    /// A zigzag number of 64 bits.
    #[inline]
    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(unzigzag(self.unsigned(10)?))
    }

    /// A length, `None` for null.
    #[inline]
    pub(super) fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            len => Ok(Some(usize::try_from(len).map_err(|_| negative(len))?)),
        }
    }

    /// A count of things of which each takes at least `least` bytes.
    #[inline]
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let count = self.i32()?;
        let count = usize::try_from(count).map_err(|_| negative(count))?;
        if count > self.rest.len() / least.max(1) {
            return Err(Malformed::new(format!(
                "{count} headers in {} bytes",
                self.rest.len()
            )));
        }
        Ok(count)
    }

    /// A field with its length in front, `None` for null.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        self.length()?.map(|len| self.take(len)).transpose()
    }

    #[inline]
    fn unsigned(&mut self, most: u32) -> Result<u64, Malformed> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.unsigned_rest(first, most)
    }

    fn unsigned_rest(&mut self, first: u8, most: u32) -> Result<u64, Malformed> {
        let mut value = u64::from(first & 0x7f);
        for index in 1..most {
            let byte = self.u8()?;
            if index == 9 && byte > 1 {
                return Err(too_long());
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(too_long())
    }
}

#[cold]
fn short() -> Malformed {
    Malformed::new("a record ends in the middle of a field")
}

#[cold]
fn too_long() -> Malformed {
    Malformed::new("varint longer than its type")
}

#[cold]
fn negative(len: i32) -> Malformed {
    Malformed::new(format!("length {len}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn i32_of(bytes: &[u8]) -> Option<i32> {
        let mut cursor = Cursor::new(bytes);
        cursor.i32().ok().filter(|_| cursor.rest().is_empty())
    }

    fn i64_of(bytes: &[u8]) -> Option<i64> {
        let mut cursor = Cursor::new(bytes);
        cursor.i64().ok().filter(|_| cursor.rest().is_empty())
    }

    #[test]
    fn known_varints_have_known_values() {
        assert_eq!(i32_of(&[0x00]), Some(0));
        assert_eq!(i32_of(&[0x01]), Some(-1));
        assert_eq!(i32_of(&[0x02]), Some(1));
        assert_eq!(i32_of(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(i32::MIN));
        assert_eq!(i32_of(&[0xfe, 0xff, 0xff, 0xff, 0x0f]), Some(i32::MAX));
        // Longer than needed, but not longer than allowed.
        assert_eq!(i32_of(&[0x80, 0x80, 0x80, 0x80, 0x00]), Some(0));
        let widest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(i64_of(&widest), Some(i64::MIN));
    }

    #[test]
    fn varints_that_overflow_or_never_end_are_errors() {
        assert_eq!(i32_of(&[]), None);
        assert_eq!(i32_of(&[0x80]), None);
        assert_eq!(i32_of(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(i32_of(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), None);
        assert_eq!(i32_of(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
        let too_wide = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(i64_of(&too_wide), None);
        assert_eq!(i64_of(&[0x80; 11]), None);
    }

    #[test]
    fn lengths_below_minus_one_are_errors() {
        assert!(Cursor::new(&[0x03]).length().is_err());
        assert!(
            Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f])
                .length()
                .is_err()
        );
        assert_eq!(Cursor::new(&[0x01]).length(), Ok(None));
    }

    proptest! {
        #[test]
        fn every_number_reads_back_as_written(value: i64, small: i32, shift in 0u32..64) {
            for value in [value, value >> shift, i64::from(small)] {
                let mut buf = Vec::new();
                put(&mut buf, zigzag(value));
                prop_assert_eq!(buf.len(), encoded_len(zigzag(value)));
                prop_assert_eq!(i64_of(&buf), Some(value));
                if let Ok(value) = i32::try_from(value) {
                    prop_assert_eq!(i32_of(&buf), Some(value));
                } else {
                    prop_assert_eq!(i32_of(&buf), None);
                }
            }
        }

        #[test]
        fn packed_numbers_are_the_same_bytes(values in proptest::collection::vec(0..Packed::LIMIT, 0..6)) {
            let (mut plain, mut packed, mut stored) = (vec![7], Packed::default(), vec![7]);
            for &value in &values {
                put(&mut plain, value);
                packed.push(value);
            }
            packed.store(&mut stored);
            prop_assert_eq!(plain, stored);
        }
    }
}
