//! Keys, values and headers decoded.

use super::{ConsumerRecord, RecordRef};
use crate::error::{Error, Result};
use crate::serdes::FromData;
#[cfg(feature = "json")]
use crate::serdes::Json;

/// What both kinds of record can be read as; `$owned` is the lifetime that a borrowed one has of its type.
macro_rules! typed {
    ($life:lifetime [$($owned:lifetime)?] $self:ident: $($this:tt)+) => {
        /// The key, decoded: `record.key_as::<i64>()?`. Null needs an `Option`.
        ///
        /// # Errors
        /// [`Error::Decode`], with the key's bytes. The consumer goes on after the record.
        pub fn key_as<$($owned,)? T: FromData<$life>>($($this)+) -> Result<T> {
            let record = $self.borrow();
            record.decode("key", record.key())
        }

        /// The value, decoded: `record.value_as::<Option<&str>>()?`. Null, a tombstone, needs an `Option`.
        ///
        /// # Errors
        /// [`Error::Decode`], with the value's bytes. The consumer goes on after the record.
        pub fn value_as<$($owned,)? T: FromData<$life>>($($this)+) -> Result<T> {
            let record = $self.borrow();
            record.decode("value", record.value())
        }

        /// The last header of this name, decoded: `record.header_as::<Option<i32>>("attempt")?`. For an `Option`, `None`
        /// when there is no such header, or it is null.
        ///
        /// # Errors
        /// [`Error::Decode`], with the header's bytes; an absent header is one of null.
        pub fn header_as<$($owned,)? T: FromData<$life>>($($this)+, name: &str) -> Result<T> {
            let record = $self.borrow();
            let value = record.header_value(name);
            let mut decoded = record.decode("header", value);
            if let Err(Error::Decode { reason, .. }) = &mut decoded {
                *reason = format!("{name}: {reason}").into();
            }
            decoded
        }

        /// The value, decoded from JSON. Needs the feature `json`.
        ///
        /// # Errors
        /// As [`value_as`](Self::value_as): a tombstone needs `value_as::<Option<Json<T>>>()`.
        #[cfg(feature = "json")]
        pub fn json<$($owned,)? T: serde::Deserialize<$life>>($($this)+) -> Result<T> {
            $self.value_as::<Json<T>>().map(|json| json.0)
        }

        /// The Java class of the value, as Spring's `JsonSerializer` names it in the header `__TypeId__`; `None`
        /// without one that is text.
        #[must_use]
        pub fn type_id<$($owned)?>($($this)+) -> Option<&$life str> {
            let name = $self.borrow().header_value(crate::record::TYPE_ID)?;
            std::str::from_utf8(name).ok()
        }
    };
}

/// ```no_run
/// # #[derive(serde::Deserialize)]
/// # struct PaymentMessage {}
/// # async fn example(mut consumer: ottla::Consumer) -> ottla::Result<()> {
/// use ottla::Error;
///
/// while let Some(record) = consumer.recv().await? {
///     match record.json::<PaymentMessage>() {
///         Ok(payment) => println!("{:?}: a payment", record.key_as::<Option<i64>>()?),
///         // The next call hands out the next record all the same.
///         Err(Error::Decode { raw, reason, .. }) => println!("{raw:?} left aside: {reason}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
impl ConsumerRecord {
    fn borrow(&self) -> RecordRef<'_> {
        self.as_ref()
    }

    typed!('a ['a] self: &'a self);
}

impl<'a> RecordRef<'a> {
    fn borrow(self) -> Self {
        self
    }

    /// The last header of this name; `None` where it is null, too.
    fn header_value(self, name: &str) -> Option<&'a [u8]> {
        let headers = self.slot.headers(&self.block.bytes);
        let named = headers.filter(|(found, _)| *found == name.as_bytes());
        named.last()?.1
    }

    fn decode<T: FromData<'a>>(self, part: &'static str, data: Option<&'a [u8]>) -> Result<T> {
        let decoded = match data {
            Some(data) => T::from_shared(data, &self.block.bytes),
            None => T::from_null(),
        };
        decoded.map_err(|cause| Error::Decode {
            partition: self.topic_partition().clone(),
            offset: self.offset(),
            part,
            raw: data.map(Into::into),
            reason: cause.to_string().into(),
        })
    }

    typed!('a [] self: self);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::batch::{BatchWriter, Batches, RecordParts};
    use crate::machine::fetch::Block;
    use crate::record::{Data, Header, Record};
    use crate::types::{ProducerId, TopicPartition};

    /// The record as it is read back, at offset 0 of partition 3.
    fn read_back(record: &Record<'_>) -> ConsumerRecord {
        let mut writer = BatchWriter::new(Vec::new());
        writer.append(&RecordParts {
            timestamp: record.timestamp.unwrap_or(1000),
            key: record.key.as_ref().map(Data::as_slice),
            value: record.value.as_ref().map(Data::as_slice),
            headers: &record.headers,
        });
        let bytes = writer.close().seal(ProducerId::NONE, -1);
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        let mut records = batch.records(1 << 20).unwrap();
        let slot = records.next_slot().unwrap().unwrap();
        let block = Block {
            partition: TopicPartition::new(record.topic(), 3),
            topic_id: crate::types::TopicId::ZERO,
            bytes: records.bytes().clone(),
            leader_epoch: 0,
            timestamp_type: batch.header().timestamp_type(),
        };
        ConsumerRecord::new(Arc::new(block), slot)
    }

    #[test]
    fn what_was_sent_by_type_is_read_by_type() {
        let sent = Record::to("t").key(42_i64).value("text").header("n", 7);
        let record = read_back(&sent);
        assert_eq!(record.key(), Some(&[0, 0, 0, 0, 0, 0, 0, 42][..]));
        assert_eq!(record.key_as::<i64>().unwrap(), 42);
        assert_eq!(record.value_as::<&str>().unwrap(), "text");
        assert_eq!(record.value_as::<String>().unwrap(), "text");
        assert_eq!(record.value_as::<Vec<u8>>().unwrap(), b"text");
        assert_eq!(record.header_as::<i32>("n").unwrap(), 7);
        let text: &str = {
            // Borrowed of the batch, not of this copy of the reference.
            let borrowed = record.as_ref();
            borrowed.value_as().unwrap()
        };
        assert_eq!(text, "text");
    }

    #[test]
    fn bytes_and_text_are_those_of_the_batch() {
        let record = read_back(&Record::to("t").value("text"));
        let place = record.value().unwrap().as_ptr();
        assert_eq!(record.value_as::<Bytes>().unwrap().as_ptr(), place);
        assert_eq!(record.value_as::<&[u8]>().unwrap().as_ptr(), place);
        assert_eq!(record.value_as::<&str>().unwrap().as_ptr(), place);
    }

    #[test]
    fn what_cannot_be_decoded_tells_where_it_is_and_its_bytes() {
        let record = read_back(&Record::to("t").key("k").value(b"\xff\xfe").header("h", 1));
        let Err(Error::Decode {
            partition,
            offset,
            part,
            raw,
            reason,
        }) = record.value_as::<i64>()
        else {
            panic!("two bytes are a long");
        };
        assert_eq!(partition, TopicPartition::new("t", 3));
        assert_eq!((offset, part), (0, "value"));
        assert_eq!(raw.as_deref(), Some(&b"\xff\xfe"[..]));
        assert_eq!(&*reason, "it has 2 bytes, not 8");
        assert_eq!(format!("{raw:?}"), "Some(2 bytes)");

        for (error, text) in [
            (
                record.key_as::<i32>().unwrap_err(),
                "key of t-3 at offset 0 cannot be decoded: it has 1 bytes, not 4",
            ),
            (
                record.header_as::<i64>("h").unwrap_err(),
                "header of t-3 at offset 0 cannot be decoded: h: it has 4 bytes, not 8",
            ),
            (
                record.header_as::<&str>("none").unwrap_err(),
                "header of t-3 at offset 0 cannot be decoded: none: it is null",
            ),
        ] {
            assert_eq!(error.to_string(), text);
            assert!(!error.is_retriable() && !error.is_fatal());
        }
    }

    #[test]
    fn null_is_none_or_an_error_and_never_a_default() {
        let none: Option<i64> = None;
        let record = read_back(&Record::to("t").key_or_null(none).value_or_null(Some(1_i64)));
        assert_eq!(record.key_as::<Option<i64>>().unwrap(), None);
        assert_eq!(record.value_as::<Option<i64>>().unwrap(), Some(1));
        let Err(Error::Decode { raw: None, .. }) = record.key_as::<String>() else {
            panic!("null is text");
        };
        let tombstone = read_back(&Record::to("t").key(1).value_or_null(none));
        assert_eq!(tombstone.value(), None);
    }

    #[test]
    fn a_record_that_is_sent_on_is_the_same_and_may_be_changed() {
        let sent = Record::to("t").key("k").value("v").timestamp_millis(-5000);
        let sent = sent.header("attempt", 1).header("trace", "a1");
        let record = read_back(&sent);
        assert_eq!(record.timestamp(), sent.get_timestamp());
        assert_eq!(record.to_record("t"), sent);
        let expected = Record::to("retry")
            .key("k")
            .value("v")
            .timestamp_millis(-5000);
        let expected = expected.header("trace", "a1").header("attempt", 2);
        assert_eq!(record.to_record("retry").set_header("attempt", 2), expected);
    }

    #[test]
    fn a_record_without_a_time_has_none_and_is_sent_on_at_its_senders() {
        let record = read_back(&Record::to("t").timestamp_millis(-1));
        assert_eq!((record.timestamp(), record.timestamp_millis()), (None, -1));
        assert_eq!(record.to_record("t").get_timestamp_millis(), None);
        let oldest = read_back(&Record::to("t").timestamp_millis(-2));
        assert_eq!(oldest.to_record("t").get_timestamp_millis(), Some(-2));
    }

    #[test]
    fn the_last_header_of_a_name_counts_and_may_be_null() {
        let sent = Record::to("t").header("h", 1).header("h", 2);
        assert_eq!(read_back(&sent).header_as::<i32>("h").unwrap(), 2);
        let sent = sent.headers([Header::null("h")]);
        assert_eq!(
            read_back(&sent).header_as::<Option<i32>>("h").unwrap(),
            None
        );
    }

    #[test]
    fn springs_type_is_named_and_read() {
        let sent = Record::to("t").type_id("com.example.Payment");
        let record = read_back(&sent);
        let header = record.headers().next().unwrap();
        assert_eq!(header.name(), "__TypeId__");
        assert_eq!(header.value(), Some(&b"com.example.Payment"[..]));
        assert_eq!(record.type_id(), Some("com.example.Payment"));
        assert_eq!(read_back(&Record::to("t")).type_id(), None);
        let odd = Record::to("t").header("__TypeId__", b"\xff");
        assert_eq!(read_back(&odd).type_id(), None);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_goes_through_and_what_is_none_is_told() {
        let sent = Record::to("t").json(&[1, 2, 3]).unwrap();
        let record = read_back(&sent);
        assert_eq!(record.json::<Vec<i32>>().unwrap(), [1, 2, 3]);
        let error = record.as_ref().json::<String>().unwrap_err();
        let Error::Decode { raw, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(raw.as_deref(), Some(&b"[1,2,3]"[..]));
        let tombstone = read_back(&Record::to("t"));
        assert!(tombstone.json::<Option<i32>>().is_err());
        let read = tombstone.value_as::<Option<Json<i32>>>().unwrap();
        assert_eq!(read, None);
    }
}
