//! What a test sends, and the check that Java reads just that.

use std::collections::HashMap;

use kafka_cluster::{Cluster, Header as JavaHeader, ProducedRecord};
use ottla::{Header, Producer, Record, RecordMetadata};

use super::Outcome;

/// A record that can be sent more than once and compared with what Java read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<JavaHeader>,
    pub(crate) timestamp: Option<i64>,
}

impl Message {
    /// A value alone.
    pub(crate) fn of(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// `count` short values, each another.
    pub(crate) fn numbered(count: usize) -> Vec<Self> {
        (0..count)
            .map(|number| Self::of(format!("value {number}")))
            .collect()
    }

    pub(crate) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    pub(crate) fn headers(mut self, headers: impl Into<Vec<JavaHeader>>) -> Self {
        self.headers = headers.into();
        self
    }

    pub(crate) fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// The record as Java's producer is told to send it.
    pub(crate) fn for_java(&self) -> ProducedRecord {
        ProducedRecord {
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.clone(),
        }
    }

    /// The record to send.
    pub(crate) fn record<'a>(&'a self, topic: &'a str) -> Record<'a> {
        let headers = self.headers.iter().map(|(name, value)| match value {
            Some(value) => Header::new(name, value),
            None => Header::null(name),
        });
        let mut record = Record::to(topic)
            .key_or_null(self.key.as_ref())
            .value_or_null(self.value.as_ref())
            .headers(headers);
        if let Some(partition) = self.partition {
            record = record.partition(partition);
        }
        if let Some(timestamp) = self.timestamp {
            record = record.timestamp_millis(timestamp);
        }
        record
    }
}

/// A header as Java names it.
pub(crate) fn header(name: &str, value: Option<&str>) -> JavaHeader {
    (
        name.to_owned(),
        value.map(|value| value.as_bytes().to_vec()),
    )
}

/// Bytes that no codec makes smaller.
pub(crate) fn random_bytes(len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..))
        .take(len)
        .collect()
}

/// Enqueues all, flushes, and gives each record's place.
pub(crate) async fn deliver(
    producer: &Producer,
    topic: &str,
    messages: &[Message],
) -> Result<Vec<RecordMetadata>, ottla::Error> {
    let mut deliveries = Vec::with_capacity(messages.len());
    for message in messages {
        deliveries.push(producer.enqueue(message.record(topic)).await?);
    }
    producer.flush().await?;
    let mut places = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        assert!(delivery.is_done(), "flush returned before {delivery:?} was");
        places.push(delivery.await?);
    }
    Ok(places)
}

/// Java's consumer finds these messages in the topic and no others, each where and when we were told, and those of
/// one partition in the order in which they were sent.
pub(crate) fn assert_java_reads(
    cluster: &Cluster,
    topic: &str,
    messages: &[Message],
    places: &[RecordMetadata],
) -> Outcome {
    let read = cluster.consume_all(topic)?;
    assert_eq!(read.len(), messages.len(), "records in {topic}");
    assert_eq!(places.len(), messages.len());
    let by_place: HashMap<_, _> = read
        .iter()
        .map(|record| ((record.partition, record.offset), record))
        .collect();
    let mut last = HashMap::new();
    for (number, (message, place)) in messages.iter().zip(places).enumerate() {
        let offset = place.offset().ok_or("no offset")?;
        let partition = place.partition();
        assert_eq!(place.topic(), topic);
        if let Some(asked) = message.partition {
            assert_eq!(partition, asked, "partition of {message:?}");
        }
        let before = last.insert(partition, offset);
        assert!(
            before.is_none_or(|before| before < offset),
            "message {number} is out of order"
        );
        let Some(found) = by_place.get(&(partition, offset)) else {
            return Err(
                format!("Java finds nothing at {topic}-{partition} offset {offset}").into(),
            );
        };
        let (key, value, headers) = (&message.key, &message.value, &message.headers);
        assert_eq!(&found.key, key, "key of message {number}");
        assert_eq!(&found.value, value, "value of message {number}");
        assert_eq!(&found.headers, headers, "headers of message {number}");
        assert_eq!(
            found.timestamp,
            place.timestamp_millis(),
            "timestamp of message {number}"
        );
    }
    Ok(())
}
