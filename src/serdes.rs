//! What keys and values are read as: numbers and text by the bytes of Java's own serializers, JSON, and types of your own.

#[cfg(feature = "json")]
mod json;

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "json")]
pub use json::Json;

/// Why bytes are not what they were to be decoded as.
type Cause = Box<dyn StdError + Send + Sync>;

/// What a key, a value or a header can be decoded as: Kafka's `Deserializer`, chosen by type.
///
/// | type | Java's deserializer |
/// |---|---|
/// | `&[u8]`, `Vec<u8>`, [`Bytes`] | `ByteArrayDeserializer`, `BytesDeserializer` |
/// | `&str`, `String` | `StringDeserializer`; bytes that are not UTF-8 are an error here, not replaced |
/// | `i64` | `LongDeserializer` |
/// | `i32` | `IntegerDeserializer` |
/// | `Json<T>` (feature `json`) | Spring's `JsonDeserializer` |
/// | `Option` of these | the same, `None` for null |
///
/// Null is an error for every type but an `Option`. `&[u8]`, `&str` and `Bytes` stay in the memory that the record was
/// fetched into: nothing is copied.
///
/// A type of your own:
///
/// ```
/// use std::error::Error;
///
/// use ottla::FromData;
///
/// struct Celsius(f64);
///
/// impl FromData<'_> for Celsius {
///     fn from_data(data: &[u8]) -> Result<Self, Box<dyn Error + Send + Sync>> {
///         Ok(Self(<&str>::from_data(data)?.parse()?))
///     }
/// }
/// ```
pub trait FromData<'a>: Sized {
    /// Decodes bytes. The error's text becomes the reason of [`Error::Decode`](crate::Error::Decode).
    ///
    /// # Errors
    /// When the bytes are something else.
    fn from_data(data: &'a [u8]) -> Result<Self, Cause>;

    /// Decodes null. By default, and for every type of this library but an `Option`, an error.
    ///
    /// # Errors
    /// When null is no value of the type.
    fn from_null() -> Result<Self, Cause> {
        Err("it is null".into())
    }

    /// As [`from_data`](Self::from_data), which it calls by default, for a type that keeps a part of `all` instead of a
    /// copy: `data` lies within `all`, the memory of the record's batch.
    ///
    /// # Errors
    /// As `from_data`.
    fn from_shared(data: &'a [u8], all: &'a Bytes) -> Result<Self, Cause> {
        let _ = all;
        Self::from_data(data)
    }
}

impl<'a> FromData<'a> for &'a [u8] {
    fn from_data(data: &'a [u8]) -> Result<Self, Cause> {
        Ok(data)
    }
}

impl FromData<'_> for Vec<u8> {
    fn from_data(data: &[u8]) -> Result<Self, Cause> {
        Ok(data.to_vec())
    }
}

impl FromData<'_> for Bytes {
    fn from_data(data: &[u8]) -> Result<Self, Cause> {
        Ok(Self::copy_from_slice(data))
    }

    fn from_shared(data: &[u8], all: &Bytes) -> Result<Self, Cause> {
        Ok(all.slice_ref(data))
    }
}

impl<'a> FromData<'a> for &'a str {
    fn from_data(data: &'a [u8]) -> Result<Self, Cause> {
        std::str::from_utf8(data).map_err(|error| format!("not UTF-8: {error}").into())
    }
}

impl FromData<'_> for String {
    fn from_data(data: &[u8]) -> Result<Self, Cause> {
        <&str>::from_data(data).map(Self::from)
    }
}

impl FromData<'_> for i64 {
    fn from_data(data: &[u8]) -> Result<Self, Cause> {
        exactly(data).map(Self::from_be_bytes)
    }
}

impl FromData<'_> for i32 {
    fn from_data(data: &[u8]) -> Result<Self, Cause> {
        exactly(data).map(Self::from_be_bytes)
    }
}

impl<'a, T: FromData<'a>> FromData<'a> for Option<T> {
    fn from_data(data: &'a [u8]) -> Result<Self, Cause> {
        T::from_data(data).map(Some)
    }

    fn from_null() -> Result<Self, Cause> {
        Ok(None)
    }

    fn from_shared(data: &'a [u8], all: &'a Bytes) -> Result<Self, Cause> {
        T::from_shared(data, all).map(Some)
    }
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], Cause> {
    <[u8; N]>::try_from(data).map_err(|_| format!("it has {} bytes, not {N}", data.len()).into())
}

/// The bytes that could not be decoded, kept by [`Error::Decode`](crate::Error::Decode); cheap to clone.
///
/// `Debug` shows their number alone: they may be many, or secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RawData(Arc<[u8]>);

impl From<&[u8]> for RawData {
    fn from(data: &[u8]) -> Self {
        Self(data.into())
    }
}

impl Deref for RawData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RawData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Data;

    #[test]
    fn numbers_have_the_bytes_of_javas_serializers() {
        // As LongSerializer and IntegerSerializer write them.
        for (number, bytes) in [
            (0, [0; 8]),
            (42, [0, 0, 0, 0, 0, 0, 0, 42]),
            (-1, [0xff; 8]),
            (i64::MIN, [0x80, 0, 0, 0, 0, 0, 0, 0]),
            (
                0x0102_0304_0506_0708,
                [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08],
            ),
        ] {
            assert_eq!(Data::from(number).as_slice(), bytes);
            assert_eq!(i64::from_data(&bytes).unwrap(), number);
        }
        for (number, bytes) in [
            (0, [0; 4]),
            (42, [0, 0, 0, 42]),
            (-2, [0xff, 0xff, 0xff, 0xfe]),
            (i32::MAX, [0x7f, 0xff, 0xff, 0xff]),
        ] {
            assert_eq!(Data::from(number).as_slice(), bytes);
            assert_eq!(i32::from_data(&bytes).unwrap(), number);
        }
    }

    #[test]
    fn a_number_of_another_width_is_no_number() {
        for len in (0..20).filter(|len| *len != 8) {
            let error = i64::from_data(&vec![0; len]).unwrap_err();
            assert_eq!(error.to_string(), format!("it has {len} bytes, not 8"));
        }
        assert!(i32::from_data(&42_i64.to_be_bytes()).is_err());
    }

    #[test]
    fn text_is_utf_8_and_is_not_mended() {
        let text = "Gr\u{fc}\u{df}e \u{1f600}";
        let bytes = text.as_bytes();
        assert_eq!(Data::from(text).as_slice(), bytes);
        assert_eq!(<&str>::from_data(bytes).unwrap(), text);
        assert_eq!(String::from_data(bytes).unwrap(), text);
        assert_eq!(String::from_data(b"").unwrap(), "");
        let error = String::from_data(b"ab\xff").unwrap_err().to_string();
        assert!(error.starts_with("not UTF-8"), "{error}");
    }

    #[test]
    fn null_is_none_and_nothing_else() {
        assert_eq!(Option::<i64>::from_null().unwrap(), None);
        assert!(i64::from_null().is_err());
        assert!(String::from_null().is_err());
        assert!(<&[u8]>::from_null().is_err());
        assert_eq!(
            Option::<String>::from_data(b"").unwrap(),
            Some(String::new())
        );
        assert!(Option::<i64>::from_data(b"").is_err());
    }

    #[test]
    fn shared_bytes_are_not_copied() {
        let all = Bytes::from_static(b"key and value");
        let part = &all[8..];
        for found in [
            Bytes::from_shared(part, &all).unwrap(),
            Option::<Bytes>::from_shared(part, &all).unwrap().unwrap(),
        ] {
            assert_eq!(found, "value");
            assert_eq!(found.as_ptr(), part.as_ptr());
        }
    }

    #[test]
    fn numbers_make_a_record_no_larger() {
        assert_eq!(size_of::<Data<'_>>(), size_of::<Vec<u8>>());
    }
}
