//! What an application sends: a record, its headers, and the bytes of each.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

/// Bytes of a key, a value or a header, borrowed or owned; built from what the caller has.
///
/// The producer copies them once, into the batch, so borrowed data costs no allocation.
#[derive(Clone)]
pub enum Data<'a> {
    /// Bytes that the caller keeps.
    Borrowed(&'a [u8]),
    /// Bytes that the record owns.
    Owned(Vec<u8>),
}

impl Data<'_> {
    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    /// The same bytes, owned.
    #[must_use]
    pub fn into_owned(self) -> Data<'static> {
        match self {
            Self::Borrowed(bytes) => Data::Owned(bytes.to_vec()),
            Self::Owned(bytes) => Data::Owned(bytes),
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

    /// The value. Default: null, a tombstone on a compacted topic.
    #[must_use]
    #[inline]
    pub fn value(self, value: impl Into<Data<'a>>) -> Self {
        Self {
            value: Some(value.into()),
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
