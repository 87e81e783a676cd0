//! Fetch: records of many partitions at once, within a session that only names what changes (KIP-227).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::produce::TopicRef;
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, TopicId, TopicName};

/// From here on topics go by id instead of name (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;

/// From here on only a replica says who it is, in a tagged field (KIP-903).
const NO_REPLICA_ID_FROM: i16 = 15;

/// From here on an answer may say where a partition's new leader is (KIP-951).
const NODES_FROM: i16 = 16;

/// What a client gives where a replica would give an id, an epoch or an offset.
const NO_REPLICA: i32 = -1;

#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// How long the broker may wait for `min_bytes`.
    pub(crate) max_wait: Duration,
    pub(crate) min_bytes: i32,
    /// The whole answer's; the first batch comes even when it is larger.
    pub(crate) max_bytes: i32,
    pub(crate) read_committed: bool,
    /// 0 for none, or for one to be made.
    pub(crate) session_id: i32,
    /// 0 makes a session, -1 ends one; else the number of this request in it.
    pub(crate) session_epoch: i32,
    /// Topics go by name, even where all that are named have an id: others of the session have none.
    pub(crate) by_name: bool,
    /// In a session those that are new or changed, else all.
    pub(crate) topics: Vec<FetchTopic>,
    /// What leaves the session.
    pub(crate) forgotten: Vec<ForgottenTopic>,
    /// Where this client is, empty when it is not told (KIP-392).
    pub(crate) rack: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct FetchTopic {
    pub(crate) name: TopicName,
    /// Zero when the cluster gave none.
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<FetchPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchPartition {
    pub(crate) partition: i32,
    /// The leader's epoch as this client knows it, -1 for unknown (KIP-320).
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    /// The first batch comes even when it is larger.
    pub(crate) max_bytes: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct ForgottenTopic {
    pub(crate) name: TopicName,
    /// Zero when the cluster gave none.
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct FetchAnswer {
    pub(crate) throttle: Duration,
    /// The whole answer's: about the session mostly.
    pub(crate) code: ErrorCode,
    /// 0 when there is no session.
    pub(crate) session_id: i32,
    /// In a session those with news, else all.
    pub(crate) topics: Vec<FetchedTopic>,
    /// Where the new leaders are that the partitions name (KIP-951).
    pub(crate) nodes: Vec<(BrokerId, Address)>,
    /// Of an answer that is larger than is taken, the partition whose records make it so, and nothing else.
    pub(crate) too_large: Option<TooLarge>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    /// Bytes of its records.
    pub(crate) size: usize,
    /// The first of them.
    pub(crate) beginning: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) struct FetchedTopic {
    pub(crate) topic: TopicRef,
    pub(crate) partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug)]
pub(crate) struct FetchedPartition {
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    /// The end of what is replicated, -1 with an error.
    pub(crate) high_watermark: i64,
    /// The first offset of the first open transaction, or the high watermark.
    pub(crate) last_stable_offset: i64,
    /// The log's first offset, -1 when the broker does not tell.
    pub(crate) log_start_offset: i64,
    /// Told to a client that reads committed records only.
    pub(crate) aborted: Vec<AbortedTransaction>,
    /// The replica to fetch from instead, which then is all there is (KIP-392).
    pub(crate) preferred_replica: Option<BrokerId>,
    /// The partition's new leader and its epoch (KIP-951).
    pub(crate) leader_hint: Option<(BrokerId, i32)>,
    /// Batches, the last of which may be cut; a slice of the frame.
    pub(crate) records: Bytes,
}

/// One that began at `first_offset` and ends at its producer's next abort marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedTransaction {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
}

impl Fetch {
    /// The bytes of the body, nearly, so that writing it allocates once.
    fn size(&self) -> usize {
        let asked = self.topics.iter();
        let asked = asked.map(|t| t.name.len() + 24 + t.partitions.len() * 33);
        let forgotten = self.forgotten.iter();
        let forgotten = forgotten.map(|t| t.name.len() + 24 + t.partitions.len() * 4);
        48 + self.rack.len() + asked.chain(forgotten).sum::<usize>()
    }
}

impl Call for Fetch {
    type Response = FetchAnswer;
    const KEY: ApiKey = ApiKey::Fetch;

    fn max_version(&self) -> i16 {
        let asked = self.topics.iter().map(|topic| topic.id);
        let mut ids = asked.chain(self.forgotten.iter().map(|topic| topic.id));
        if self.by_name || ids.any(TopicId::is_zero) {
            TOPIC_IDS_FROM - 1
        } else {
            Self::KEY.supported().1
        }
    }

    fn held(&self) -> Option<Duration> {
        Some(self.max_wait)
    }

    fn throttle(response: &FetchAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        out.reserve(self.size());
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        if version < NO_REPLICA_ID_FROM {
            body.i32(NO_REPLICA);
        }
        body.millis(self.max_wait);
        body.i32(self.min_bytes);
        body.i32(self.max_bytes);
        body.i8(self.read_committed.into());
        body.i32(self.session_id);
        body.i32(self.session_epoch);
        body.array(&self.topics, |body, topic| {
            write_topic(version, body, &topic.name, topic.id);
            body.array(&topic.partitions, |body, partition| {
                write_partition(version, body, partition);
            });
            body.no_tags();
        });
        body.array(&self.forgotten, |body, topic| {
            write_topic(version, body, &topic.name, topic.id);
            body.array(&topic.partitions, |body, partition| body.i32(*partition));
            body.no_tags();
        });
        body.string(&self.rack);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let code = d.code()?;
        let session_id = d.i32()?;
        let topics = d.array(3, |d| read_topic(version, d))?;
        let mut nodes = Vec::new();
        d.tags(|tag, field| {
            if tag == 0 && version >= NODES_FROM {
                nodes = field.hinted_nodes()?;
            }
            Ok(())
        })?;
        d.finish()?;
        Ok(FetchAnswer {
            throttle,
            code,
            session_id,
            topics,
            nodes,
            too_large: None,
        })
    }

    fn decode_beginning(version: i16, beginning: Bytes) -> Option<Self::Response> {
        let mut d = Decoder::new(beginning, version >= Self::KEY.flexible_from());
        let throttle = d.millis().ok()?;
        let code = d.code().ok()?;
        let session_id = d.i32().ok()?;
        let mut too_large = None;
        // Reading ends where the bytes do: within the records in question.
        let _ = d.array(3, |d| {
            let topic = read_topic_ref(version, d)?;
            d.array(37, |d| {
                let (partition, size) = read_before_records(d)?;
                if let Some(size) = size.filter(|size| *size > d.remaining()) {
                    let beginning = d.take(d.remaining())?;
                    too_large = Some(TooLarge {
                        topic: topic.clone(),
                        partition: partition.partition,
                        size,
                        beginning,
                    });
                    return Err(Malformed::new("cut"));
                }
                d.take(size.unwrap_or(0))?;
                d.skip_tags()
            })?;
            d.skip_tags()
        });
        Some(FetchAnswer {
            throttle,
            code,
            session_id,
            topics: Vec::new(),
            nodes: Vec::new(),
            too_large: Some(too_large?),
        })
    }
}

fn write_topic(version: i16, body: &mut Encoder<'_>, name: &str, id: TopicId) {
    if version >= TOPIC_IDS_FROM {
        body.uuid(id.0);
    } else {
        body.string(name);
    }
}

fn write_partition(version: i16, body: &mut Encoder<'_>, asked: &FetchPartition) {
    body.i32(asked.partition);
    body.i32(asked.leader_epoch);
    body.i64(asked.offset);
    if version >= 12 {
        body.i32(NO_REPLICA); // the epoch of the last record fetched
    }
    body.i64(NO_REPLICA.into()); // the replica's log start
    body.i32(asked.max_bytes);
    body.no_tags();
}

fn read_topic_ref(version: i16, d: &mut Decoder) -> Result<TopicRef, Malformed> {
    Ok(if version >= TOPIC_IDS_FROM {
        TopicRef::Id(d.topic_id()?)
    } else {
        TopicRef::Name(d.string()?)
    })
}

fn read_topic(version: i16, d: &mut Decoder) -> Result<FetchedTopic, Malformed> {
    let topic = read_topic_ref(version, d)?;
    let partitions = d.array(37, read_partition)?;
    d.skip_tags()?;
    Ok(FetchedTopic { topic, partitions })
}

/// All that stands in front of a partition's records, and how many bytes these have.
fn read_before_records(d: &mut Decoder) -> Result<(FetchedPartition, Option<usize>), Malformed> {
    let fetched = FetchedPartition {
        partition: d.i32()?,
        code: d.code()?,
        high_watermark: d.i64()?,
        last_stable_offset: d.i64()?,
        log_start_offset: d.i64()?,
        aborted: d.array(16, |d| {
            let producer_id = d.i64()?;
            let first_offset = d.i64()?;
            d.skip_tags()?;
            Ok(AbortedTransaction {
                producer_id,
                first_offset,
            })
        })?,
        preferred_replica: d.broker()?,
        leader_hint: None,
        records: Bytes::new(),
    };
    Ok((fetched, d.bytes_len()?))
}

fn read_partition(d: &mut Decoder) -> Result<FetchedPartition, Malformed> {
    let (mut fetched, size) = read_before_records(d)?;
    fetched.records = d.take(size.unwrap_or(0))?;
    // The others are for replicas: where logs part (0), and a snapshot of the metadata log (2).
    d.tags(|tag, field| {
        if tag == 1 {
            fetched.leader_hint = field.leader_hint()?;
        }
        Ok(())
    })?;
    Ok(fetched)
}

#[cfg(test)]
mod tests;
