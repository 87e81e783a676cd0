//! What an application sends: a record, and its headers.

mod data;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

pub use data::Data;

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
///
/// What is in it is read by the same names with `get_` before them, as with `std::process::Command`; a
/// [`Partitioner`](crate::Partitioner) does, and whoever changes a record on its way:
///
/// ```
/// # use ottla::Record;
/// # let record = Record::to("payment-topic").key("42").header("attempt", 1);
/// assert_eq!(record.get_key(), Some(&b"42"[..]));
/// let again = record.set_header("attempt", 2).remove_header("error");
/// assert_eq!(again.get_headers().len(), 1);
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

    /// Adds a header; one of the same name is kept beside it, see [`set_header`](Self::set_header).
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

    /// Adds a header in place of all that have its name: how an `attempt` is counted up.
    #[must_use]
    pub fn set_header(self, name: impl Into<Name<'a>>, value: impl Into<Data<'a>>) -> Self {
        let header = Header::new(name, value);
        let mut record = self.remove_header(header.name());
        record.headers.push(header);
        record
    }

    /// Takes out all headers of this name; the order of the others stays.
    #[must_use]
    pub fn remove_header(mut self, name: &str) -> Self {
        self.headers.retain(|header| header.name() != name);
        self
    }

    /// The record's time in milliseconds since 1970. Default: when it is handed to the producer.
    ///
    /// Before 1970 it is negative; -1 is how Kafka says that a record has no time.
    /// A topic with `message.timestamp.type=LogAppendTime` replaces it with the broker's time.
    #[must_use]
    pub fn timestamp_millis(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// The record's time, in whole milliseconds as [`timestamp_millis`](Self::timestamp_millis) takes it.
    #[must_use]
    pub fn timestamp(self, time: SystemTime) -> Self {
        self.timestamp_millis(millis(time))
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key; `None` when it is null.
    #[must_use]
    #[inline]
    pub fn get_key(&self) -> Option<&[u8]> {
        self.key.as_ref().map(Data::as_slice)
    }

    /// The value; `None` when it is null, a tombstone.
    #[must_use]
    #[inline]
    pub fn get_value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Data::as_slice)
    }

    /// The headers, in order; names may repeat.
    #[must_use]
    pub fn get_headers(&self) -> &[Header<'a>] {
        &self.headers
    }

    /// The last header of this name, which is the one that counts; its value may be null.
    #[must_use]
    pub fn get_header(&self, name: &str) -> Option<&Header<'a>> {
        let mut named = self.headers.iter().rev();
        named.find(|header| header.name() == name)
    }

    /// The partition that was asked for; `None` when the partitioner is to choose.
    #[must_use]
    pub fn get_partition(&self) -> Option<i32> {
        self.partition
    }

    /// The time that was given, in milliseconds since 1970; `None` when the producer is to give its own.
    #[must_use]
    pub fn get_timestamp_millis(&self) -> Option<i64> {
        self.timestamp
    }

    /// The time that was given; `None` when the producer is to give its own, or a record has no time.
    #[must_use]
    pub fn get_timestamp(&self) -> Option<SystemTime> {
        self.timestamp.and_then(system_time)
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

/// What Kafka writes where a record has no time.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// Milliseconds since 1970, as Kafka counts time; a part of one counts as the whole one that it is in.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let whole = |millis: u128| i64::try_from(millis).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => whole(after.as_millis()),
        Err(before) => -whole(before.duration().as_nanos().div_ceil(1_000_000)),
    }
}

/// The time of so many milliseconds since 1970; `None` for [`NO_TIMESTAMP`], and for what the system cannot tell.
pub(crate) fn system_time(millis: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(millis.unsigned_abs());
    match millis {
        NO_TIMESTAMP => None,
        0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
        _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
    }
}
