//! Requests and answers as the proxy sees them, read and written by `kafka-protocol`.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiKey, MetadataResponse, ProduceRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use ottla::ErrorCode;

/// A request on its way.
pub(crate) struct Request {
    /// The broker that it is for.
    pub(crate) node: i32,
    /// Which of the proxy's connections it is on, from 0.
    pub(crate) connection: u64,
    pub(crate) key: i16,
    pub(crate) version: i16,
    correlation: i32,
    /// Without its length.
    pub(crate) frame: Bytes,
}

/// A Produce request's batches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Produced {
    pub(crate) version: i16,
    pub(crate) acks: i16,
    pub(crate) batches: Vec<Batch>,
}

/// One batch of a Produce request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) count: i32,
}

/// One partition's part of a Produce answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) code: i16,
    pub(crate) offset: i64,
}

fn bad(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl Request {
    pub(crate) fn parse(node: i32, connection: u64, frame: Bytes) -> io::Result<Self> {
        let mut head = frame.clone();
        if head.len() < 8 {
            return Err(bad("a request of less than eight bytes"));
        }
        let (key, version, correlation) = (head.get_i16(), head.get_i16(), head.get_i32());
        Ok(Self {
            node,
            connection,
            key,
            version,
            correlation,
            frame,
        })
    }

    /// How many bytes it has, with its length.
    pub(crate) fn len(&self) -> usize {
        4 + self.frame.len()
    }

    pub(crate) fn is_produce(&self) -> bool {
        self.key == ApiKey::Produce as i16
    }

    pub(crate) fn is_metadata(&self) -> bool {
        self.key == ApiKey::Metadata as i16
    }

    fn body(&self) -> io::Result<ProduceRequest> {
        let mut frame = self.frame.clone();
        RequestHeader::decode(&mut frame, ProduceRequest::header_version(self.version))
            .and_then(|_| ProduceRequest::decode(&mut frame, self.version))
            .map_err(bad)
    }

    /// Its batches, when it is a Produce request.
    pub(crate) fn produced(&self) -> io::Result<Option<Produced>> {
        if !self.is_produce() {
            return Ok(None);
        }
        let body = self.body()?;
        let mut batches = Vec::new();
        for topic in &body.topic_data {
            let name = topic_label(&topic.name, topic.topic_id);
            for partition in &topic.partition_data {
                let mut header = partition.records.clone().unwrap_or_default();
                if header.len() < 61 {
                    return Err(bad("a batch without a header"));
                }
                header.advance(43);
                batches.push(Batch {
                    topic: name.clone(),
                    partition: partition.index,
                    producer: header.get_i64(),
                    epoch: header.get_i16(),
                    sequence: header.get_i32(),
                    count: header.get_i32(),
                });
            }
        }
        Ok(Some(Produced {
            version: self.version,
            acks: body.acks,
            batches,
        }))
    }

    /// Whether it has a batch for that partition.
    pub(crate) fn has_partition(&self, partition: i32) -> bool {
        let produced = self.produced().ok().flatten().unwrap_or_default();
        produced
            .batches
            .iter()
            .any(|batch| batch.partition == partition)
    }

    /// An answer of the broker's form that `fill` completes for each partition; the request is not forwarded.
    pub(crate) fn answered(&self, fill: impl Fn(&mut PartitionProduceResponse)) -> Bytes {
        let body = self
            .body()
            .expect("only a Produce request is answered here");
        let topics = body.topic_data.into_iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                let mut told = PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_base_offset(-1)
                    .with_log_append_time_ms(-1)
                    .with_log_start_offset(-1);
                fill(&mut told);
                told
            });
            TopicProduceResponse::default()
                .with_partition_responses(partitions.collect())
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
        });
        let answer = ProduceResponse::default().with_responses(topics.collect());
        self.encode(&answer)
    }

    /// An answer that refuses every batch with `code`; the request is not forwarded.
    pub(crate) fn refused(&self, code: ErrorCode) -> Bytes {
        self.answered(|told| told.error_code = code.code())
    }

    fn encode<T: Encodable + HeaderVersion>(&self, answer: &T) -> Bytes {
        let mut out = BytesMut::new();
        ResponseHeader::default()
            .with_correlation_id(self.correlation)
            .encode(&mut out, T::header_version(self.version))
            .and_then(|()| answer.encode(&mut out, self.version))
            .expect("an answer that was decoded can be encoded");
        out.freeze()
    }

    fn rewriter<T: Encodable + Decodable + HeaderVersion>(
        &self,
        change: impl FnOnce(&mut T) + Send + 'static,
    ) -> Box<dyn FnOnce(Bytes) -> Bytes + Send> {
        let request = Self {
            frame: Bytes::new(),
            ..*self
        };
        Box::new(move |mut frame| {
            let mut answer = ResponseHeader::decode(&mut frame, T::header_version(request.version))
                .and_then(|_| T::decode(&mut frame, request.version))
                .expect("the broker's answer is well-formed");
            change(&mut answer);
            request.encode(&answer)
        })
    }

    /// Whether it is a request of this kind.
    pub(crate) fn is(&self, key: ApiKey) -> bool {
        self.key == key as i16
    }

    /// Changes the broker's answer, which is of this kind.
    pub(crate) fn rewrite_as<T>(
        &self,
        change: impl FnOnce(&mut T) + Send + 'static,
    ) -> super::proxy::Fate
    where
        T: Encodable + Decodable + HeaderVersion + 'static,
    {
        super::proxy::Fate::Rewrite(self.rewriter(change))
    }

    /// Changes the broker's answer to this Produce request.
    pub(crate) fn rewrite(
        &self,
        change: impl FnOnce(&mut ProduceResponse) + Send + 'static,
    ) -> super::proxy::Fate {
        super::proxy::Fate::Rewrite(self.rewriter(change))
    }

    /// Changes the broker's answer for each partition of this Produce request.
    pub(crate) fn rewrite_each(
        &self,
        change: impl Fn(&mut PartitionProduceResponse) + Send + 'static,
    ) -> super::proxy::Fate {
        self.rewrite(move |answer| {
            let topics = answer.responses.iter_mut();
            topics
                .flat_map(|topic| &mut topic.partition_responses)
                .for_each(change);
        })
    }

    /// Changes the broker's answer to this Metadata request.
    pub(crate) fn rewrite_metadata(
        &self,
        change: impl FnOnce(&mut MetadataResponse) + Send + 'static,
    ) -> super::proxy::Fate {
        super::proxy::Fate::Rewrite(self.rewriter(change))
    }
}

/// The name, or from version 13 on the id.
fn topic_label(name: &StrBytes, id: impl std::fmt::Display) -> String {
    if name.is_empty() {
        id.to_string()
    } else {
        name.to_string()
    }
}

/// What a Produce answer says of each partition.
pub(crate) fn read_answer(version: i16, frame: &Bytes) -> io::Result<Vec<Told>> {
    let mut frame = frame.clone();
    let answer = ResponseHeader::decode(&mut frame, ProduceResponse::header_version(version))
        .and_then(|_| ProduceResponse::decode(&mut frame, version))
        .map_err(bad)?;
    let mut all = Vec::new();
    for topic in &answer.responses {
        let name = topic_label(&topic.name, topic.topic_id);
        all.extend(topic.partition_responses.iter().map(|told| Told {
            topic: name.clone(),
            partition: told.index,
            code: told.error_code,
            offset: told.base_offset,
        }));
    }
    Ok(all)
}
