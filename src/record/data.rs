//! Bytes of a key, a value or a header.

use std::fmt;

use bytes::Bytes;

/// Bytes of a key, a value or a header, borrowed or owned; built from what the caller has.
///
/// Text is UTF-8, an `i64` or `i32` its bytes from the highest to the lowest: the same bytes as those of Java's
/// `StringSerializer`, `LongSerializer` and `IntegerSerializer`. A plain `42` is an `i32` in Rust; say `42_i64` where the
/// other side reads a `Long`. `Data::json` (feature `json`) makes JSON of any serde type.
///
/// The producer copies the bytes once, into the batch, so borrowed data and numbers cost no allocation.
///
/// ```
/// use ottla::Data;
///
/// assert_eq!(Data::from(42_i64).as_slice(), [0, 0, 0, 0, 0, 0, 0, 42]);
/// assert_eq!(Data::from("42").as_slice(), [b'4', b'2']);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Data<'a> {
    /// Bytes that the caller keeps.
    Borrowed(&'a [u8]),
    /// Bytes that the record owns.
    Owned(Vec<u8>),
    /// An `i64`'s bytes.
    Long([u8; 8]),
    /// An `i32`'s bytes.
    Integer([u8; 4]),
}

impl Data<'_> {
    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Long(bytes) => bytes,
            Self::Integer(bytes) => bytes,
        }
    }

    /// The same bytes, owned.
    #[must_use]
    pub fn into_owned(self) -> Data<'static> {
        match self {
            Self::Borrowed(bytes) => Data::Owned(bytes.to_vec()),
            Self::Owned(bytes) => Data::Owned(bytes),
            Self::Long(bytes) => Data::Long(bytes),
            Self::Integer(bytes) => Data::Integer(bytes),
        }
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Data<'_> {}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_slice().len())
    }
}

impl<'a> From<&'a str> for Data<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Data<'a> {
    fn from(text: &'a String) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Data<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Data<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a Bytes> for Data<'a> {
    #[inline]
    fn from(bytes: &'a Bytes) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<String> for Data<'_> {
    fn from(text: String) -> Self {
        Self::Owned(text.into_bytes())
    }
}

impl From<Vec<u8>> for Data<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Bytes> for Data<'_> {
    /// Copies bytes that are shared with others; to avoid that, hand over a reference.
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes.into())
    }
}

impl From<i64> for Data<'_> {
    /// Eight bytes, the highest first, as Java's `LongSerializer` writes.
    #[inline]
    fn from(number: i64) -> Self {
        Self::Long(number.to_be_bytes())
    }
}

impl From<i32> for Data<'_> {
    /// Four bytes, the highest first, as Java's `IntegerSerializer` writes.
    #[inline]
    fn from(number: i32) -> Self {
        Self::Integer(number.to_be_bytes())
    }
}
