//! Produce, both ways: a request around batches that are not copied, and the answer with KIP-951's hints.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::ApiKey;
use super::decode::{Decoder, Malformed, Text};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, TopicId, TopicName};

/// From here on topics go by id instead of name (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;

/// From here on an answer may name a partition's new leader (KIP-951).
const LEADER_HINTS_FROM: i16 = 10;

/// The last version in which a transaction's batches do not make their partition part of it (KIP-890).
const LAST_OF_FIRST_PROTOCOL: i16 = 11;

/// The transaction that a request's batches are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTransaction<'a> {
    pub(crate) transactional_id: &'a str,
    /// Whether by the second protocol: the batches make their partitions part of it.
    pub(crate) joins: bool,
}

/// The highest version for batches of these topics, of a transaction or of none.
pub(crate) fn highest_produce(
    parts: &[ProducePart],
    transaction: Option<InTransaction<'_>>,
) -> i16 {
    if transaction.is_some_and(|transaction| !transaction.joins) {
        LAST_OF_FIRST_PROTOCOL
    } else if parts.iter().any(|part| part.topic_id.is_zero()) {
        TOPIC_IDS_FROM - 1
    } else {
        ApiKey::Produce.supported().1
    }
}

/// One sealed batch on its way to one partition.
#[derive(Clone, Debug)]
pub(crate) struct ProducePart {
    pub(crate) topic: TopicName,
    pub(crate) topic_id: TopicId,
    pub(crate) partition: i32,
    pub(crate) batch: Bytes,
}

/// The request's body in pieces: small encoded ones around the batches' own bytes, which are not copied.
///
/// Parts of one topic must stand together, since a broker takes a topic once in a request.
pub(crate) fn encode_produce(
    version: i16,
    acks: i16,
    timeout: Duration,
    transaction: Option<InTransaction<'_>>,
    parts: &[ProducePart],
) -> Vec<Bytes> {
    let flexible = version >= ApiKey::Produce.flexible_from();
    let topics = || parts.chunk_by(|a, b| same_topic(version, a, b));

    // Room for every small piece, so that they are all slices of one allocation.
    let names: usize = topics().flatten().map(|part| part.topic.len()).sum();
    let id = transaction.map(|transaction| transaction.transactional_id);
    let mut out = BytesMut::with_capacity(32 + id.map_or(0, str::len) + parts.len() * 40 + names);
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);

    let mut body = Encoder::new(&mut out, flexible);
    body.nullable_string(id);
    body.i16(acks);
    body.millis(timeout);
    body.long_length(topics().count());
    for topic in topics() {
        let Some(first) = topic.first() else { continue };
        let mut body = Encoder::new(&mut out, flexible);
        if version >= TOPIC_IDS_FROM {
            body.uuid(first.topic_id.0);
        } else {
            body.string(&first.topic);
        }
        body.long_length(topic.len());
        for part in topic {
            let mut body = Encoder::new(&mut out, flexible);
            body.i32(part.partition);
            body.long_length(part.batch.len());
            pieces.push(out.split().freeze());
            pieces.push(part.batch.clone());
            Encoder::new(&mut out, flexible).no_tags();
        }
        Encoder::new(&mut out, flexible).no_tags();
    }
    Encoder::new(&mut out, flexible).no_tags();
    if !out.is_empty() {
        pieces.push(out.freeze());
    }
    pieces
}

fn same_topic(version: i16, a: &ProducePart, b: &ProducePart) -> bool {
    if version >= TOPIC_IDS_FROM {
        a.topic_id == b.topic_id
    } else {
        a.topic == b.topic
    }
}

/// What became of each batch of a request.
#[derive(Clone, Debug)]
pub(crate) struct ProduceAnswer {
    pub(crate) throttle: Duration,
    pub(crate) partitions: Vec<ProducePartitionAnswer>,
    /// Where the new leaders are that `partitions` name (KIP-951).
    pub(crate) nodes: Vec<(BrokerId, Address)>,
}

#[derive(Clone, Debug)]
pub(crate) struct ProducePartitionAnswer {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    /// The first record's offset, -1 when the broker does not tell.
    pub(crate) base_offset: i64,
    /// The broker's time when the topic uses LogAppendTime, else -1.
    pub(crate) log_append_time: i64,
    /// The log's first offset, -1 when the broker does not tell.
    pub(crate) log_start_offset: i64,
    /// The records that the broker objects to (KIP-467).
    pub(crate) record_errors: Vec<RecordError>,
    pub(crate) message: Option<Arc<str>>,
    /// The partition's new leader and its epoch (KIP-951).
    pub(crate) leader: Option<(BrokerId, i32)>,
}

/// How an answer names a topic: by name below version 13, by id from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicRef {
    Name(Text),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordError {
    /// Which record of the batch, from 0.
    pub(crate) index: i32,
    pub(crate) message: Option<Arc<str>>,
}

/// Reads the answer to a request of `version`.
pub(crate) fn decode_produce(version: i16, body: Bytes) -> Result<ProduceAnswer, Malformed> {
    let mut d = Decoder::new(body, version >= ApiKey::Produce.flexible_from());
    let mut partitions = Vec::new();
    for _ in 0..d.array_len(2)? {
        read_topic(version, &mut d, &mut partitions)?;
    }
    let throttle = d.millis()?;
    let mut nodes = Vec::new();
    d.tags(|tag, field| {
        if tag == 0 && version >= LEADER_HINTS_FROM {
            nodes = field.hinted_nodes()?;
        }
        Ok(())
    })?;
    d.finish()?;
    Ok(ProduceAnswer {
        throttle,
        partitions,
        nodes,
    })
}

fn read_topic(
    version: i16,
    d: &mut Decoder,
    partitions: &mut Vec<ProducePartitionAnswer>,
) -> Result<(), Malformed> {
    let topic = if version >= TOPIC_IDS_FROM {
        TopicRef::Id(d.topic_id()?)
    } else {
        TopicRef::Name(d.string()?)
    };
    for _ in 0..d.array_len(30)? {
        partitions.push(read_partition(version, topic.clone(), d)?);
    }
    d.skip_tags()
}

fn read_partition(
    version: i16,
    topic: TopicRef,
    d: &mut Decoder,
) -> Result<ProducePartitionAnswer, Malformed> {
    let mut answer = ProducePartitionAnswer {
        topic,
        partition: d.i32()?,
        code: d.code()?,
        base_offset: d.i64()?,
        log_append_time: d.i64()?,
        log_start_offset: d.i64()?,
        record_errors: d.array(5, |d| {
            let index = d.i32()?;
            let message = d.nullable_owned()?;
            d.skip_tags()?;
            Ok(RecordError { index, message })
        })?,
        message: d.nullable_owned()?,
        leader: None,
    };
    d.tags(|tag, field| {
        if tag == 0 && version >= LEADER_HINTS_FROM {
            answer.leader = field.leader_hint()?;
        }
        Ok(())
    })?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
