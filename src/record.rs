//! What an application sends: a record, its headers, and the bytes of each.

use std::fmt;
use std::time::SystemTime;

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

/// The header in which Spring's `JsonSerializer` names the value's Java class.
pub(crate) const TYPE_ID: &str = "__TypeId__";

/// A topic's name in a record, borrowed or owned.
type Name<'a> = std::borrow::Cow<'a, str>;

/// One header: a name, and a value that may be null. Names may repeat; order is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    name: Name<'a>,
    value: Option<Data<'a>>,
}

impl<'a> Header<'a> {
    /// A header with a value.
    pub fn new(name: impl Into<Name<'a>>, value: impl Into<Data<'a>>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
        }
    }

    /// A header whose value is null.
    pub fn null(name: impl Into<Name<'a>>) -> Self {
        Self {
            name: name.into(),
            value: None,
        }
    }

    /// The name, which may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, `None` when it is null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Data::as_slice)
    }

    /// The same header, owning its bytes.
    #[must_use]
    pub fn into_owned(self) -> Header<'static> {
        Header {
            name: Name::Owned(self.name.into_owned()),
            value: self.value.map(Data::into_owned),
        }
    }
}

/// A record to send.
///
/// ```
/// use ottla::Record;
///
/// let record = Record::to("payment-topic").key("42").value(r#"{"amount":100}"#).header("trace", "a1");
/// let tombstone = Record::to("users").key("7"); // no value: null, which deletes the key on compaction
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub(crate) topic: Name<'a>,
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Data<'a>>,
    pub(crate) value: Option<Data<'a>>,
    pub(crate) headers: Vec<Header<'a>>,
    pub(crate) timestamp: Option<i64>,
}

impl<'a> Record<'a> {
    /// A record for `topic`, with neither key nor value yet.
    #[inline]
    pub fn to(topic: impl Into<Name<'a>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// The key. Records with the same key go to the same partition. Default: null.
    #[must_use]
    #[inline]
    pub fn key(self, key: impl Into<Data<'a>>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    /// The key, or null for `None`.
    #[must_use]
    #[inline]
    pub fn key_or_null(self, key: Option<impl Into<Data<'a>>>) -> Self {
        Self {
            key: key.map(Into::into),
            ..self
        }
    }

    /// The value. Default: null, a tombstone on a compacted topic.
    #[must_use]
    #[inline]
    pub fn value(self, value: impl Into<Data<'a>>) -> Self {
        Self {
            value: Some(value.into()),
            ..self
        }
    }

    /// The value, or null for `None`: a tombstone on a compacted topic.
    #[must_use]
    #[inline]
    pub fn value_or_null(self, value: Option<impl Into<Data<'a>>>) -> Self {
        Self {
            value: value.map(Into::into),
            ..self
        }
    }

    /// Sends to this partition, whatever the partitioner would choose.
    #[must_use]
    #[inline]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Adds a header; one of the same name is kept beside it.
    #[must_use]
    pub fn header(mut self, name: impl Into<Name<'a>>, value: impl Into<Data<'a>>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Names the value's Java class to Spring's `JsonDeserializer`, in the header `__TypeId__`.
    ///
    /// Without it Spring needs a default type (`spring.json.value.default.type`).
    #[must_use]
    pub fn type_id(self, class: impl Into<Data<'a>>) -> Self {
        self.header(TYPE_ID, class)
    }

    /// Adds headers, in order.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = Header<'a>>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The record's time in milliseconds since 1970. Default: when it is handed to the producer.
    ///
    /// A topic with `message.timestamp.type=LogAppendTime` replaces it with the broker's time.
    #[must_use]
    pub fn timestamp_millis(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// The record's time; before 1970 it is a negative number of milliseconds.
    #[must_use]
    pub fn timestamp(self, time: SystemTime) -> Self {
        self.timestamp_millis(millis(time))
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The same record, owning its bytes.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record {
            topic: Name::Owned(self.topic.into_owned()),
            partition: self.partition,
            key: self.key.map(Data::into_owned),
            value: self.value.map(Data::into_owned),
            headers: self.headers.into_iter().map(Header::into_owned).collect(),
            timestamp: self.timestamp,
        }
    }
}

/// Milliseconds since 1970, as Kafka counts time.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let whole = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => -whole(before.duration()),
    }
}
