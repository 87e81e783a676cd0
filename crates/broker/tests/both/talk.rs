//! A conversation with a broker, and what it said.

use std::fmt::Debug;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use ottla_broker::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) fn s(text: &str) -> StrBytes {
    text.to_owned().into()
}

pub(crate) fn code(number: i16) -> ErrorCode {
    ErrorCode::new(number)
}

/// One client and its notes; each name it uses is its own.
pub(crate) struct Talk {
    address: String,
    unique: String,
    pub(crate) line: Line,
    said: Vec<String>,
}

/// A connection, one request at a time.
pub(crate) struct Line(TcpStream);

impl Line {
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(s("talk")));
        header
            .encode(&mut body, R::header_version(version))
            .unwrap();
        request.encode(&mut body, version).unwrap();
        self.0.write_u32(body.len() as u32).await.unwrap();
        self.0.write_all(&body).await.unwrap();
    }

    /// The answer, or `None` when the connection was closed instead.
    pub(crate) async fn try_ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        self.send(version, request).await;
        self.0
            .peek(&mut [0])
            .await
            .ok()
            .filter(|there| *there > 0)?;
        Some(self.receive::<R>(version).await)
    }

    /// Whether it is closed, and not only silent.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0) | Err(_))
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let length = self.0.read_u32().await.unwrap();
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        let mut frame = Bytes::from(frame);
        let header_version = R::Response::header_version(version);
        ResponseHeader::decode(&mut frame, header_version).unwrap();
        R::Response::decode(&mut frame, version).unwrap()
    }

    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.receive::<R>(version).await
    }
}

impl Talk {
    pub(crate) async fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // Of a clock, so that a cluster asked twice is asked about something new.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            address: address.to_owned(),
            unique: format!("{:x}", now.unwrap().as_nanos()),
            line: Line(stream),
            said: Vec::new(),
        }
    }

    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Keeps what was answered.
    pub(crate) fn note(&mut self, what: &str, answer: impl Debug) {
        let answer = format!("{what}: {answer:?}").replace(&self.unique, "~");
        self.said.push(answer);
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.unique)
    }

    pub(crate) fn topic_name(&self, name: &str) -> TopicName {
        TopicName(s(&self.name(name)))
    }

    pub(crate) fn group_id(&self, name: &str) -> GroupId {
        GroupId(s(&self.name(name)))
    }

    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.line.ask(version, request).await
    }

    /// Another connection.
    pub(crate) async fn another(&self) -> Line {
        Line(TcpStream::connect(&self.address).await.unwrap())
    }

    /// Makes a topic, and waits until its leaders answer.
    pub(crate) async fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        use create_topics_request::{CreatableTopic, CreatableTopicConfig};
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(s(name))
                .with_value(Some(s(value)))
        });
        let of = CreatableTopic::default()
            .with_name(self.topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![of]);
        let answer = self.ask(7, &request).await;
        assert_eq!(code(answer.topics[0].error_code), ErrorCode::NONE);
        for partition in 0..partitions {
            while self.end_offset(name, partition).await.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn end_offset(&mut self, name: &str, partition: i32) -> Option<i64> {
        use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let latest = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(-1);
        let of = ListOffsetsTopic::default()
            .with_name(self.topic_name(name))
            .with_partitions(vec![latest]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![of]);
        let answer = self.ask(6, &request).await;
        let one = &answer.topics[0].partitions[0];
        (one.error_code == 0).then_some(one.offset)
    }

    pub(crate) async fn topic_id(&mut self, name: &str) -> uuid::Uuid {
        use metadata_request::MetadataRequestTopic;
        let of = MetadataRequestTopic::default().with_name(Some(self.topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![of]));
        self.ask(12, &request).await.topics[0].topic_id
    }

    /// Waits until the group's coordinator answers: real Kafka's first has a topic to make.
    pub(crate) async fn coordinator(&mut self, group: &str) {
        let request = FindCoordinatorRequest::default().with_key(s(&self.name(group)));
        while self.ask(3, &request).await.error_code != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let fetch = OffsetFetchRequest::default()
            .with_group_id(self.group_id(group))
            .with_topics(None);
        while self.ask(7, &fetch).await.error_code != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Milliseconds since 1970, in whole hours: a batch of now.
pub(crate) fn recently() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as i64 / 3_600_000 * 3_600_000
}

/// What a batch is made of; the defaults make it right.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) attributes: i16,
    pub(crate) magic: u8,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer: (i64, i16, i32),
    pub(crate) count: Option<i32>,
    pub(crate) last_delta: Option<i32>,
    pub(crate) first_delta: i64,
    pub(crate) harm_crc: bool,
    /// Timestamps of records, relative to the base.
    pub(crate) records: Vec<i64>,
    /// Of each record.
    pub(crate) keys: fn(usize) -> Option<&'static str>,
    /// What becomes of the records' bytes.
    pub(crate) pack: fn(&[u8]) -> Vec<u8>,
}

impl Batch {
    pub(crate) fn of(records: usize) -> Self {
        Self {
            attributes: 0,
            magic: 2,
            base_timestamp: recently(),
            max_timestamp: recently(),
            producer: (-1, -1, -1),
            count: None,
            last_delta: None,
            first_delta: 0,
            harm_crc: false,
            records: vec![0; records],
            keys: |_| None,
            pack: <[u8]>::to_vec,
        }
    }

    pub(crate) fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let mut covered = BytesMut::new();
        let count = self.records.len() as i32;
        covered.put_i16(self.attributes);
        covered.put_i32(self.last_delta.unwrap_or(count - 1));
        covered.put_i64(self.base_timestamp);
        covered.put_i64(self.max_timestamp);
        covered.put_i64(self.producer.0);
        covered.put_i16(self.producer.1);
        covered.put_i32(self.producer.2);
        covered.put_i32(self.count.unwrap_or(count));
        let mut section = BytesMut::new();
        for (at, timestamp) in self.records.iter().enumerate() {
            let mut record = BytesMut::new();
            record.put_u8(0);
            varint(&mut record, *timestamp);
            varint(&mut record, at as i64 + self.first_delta);
            let key = (self.keys)(at);
            varint(&mut record, key.map_or(-1, |key| key.len() as i64));
            record.put_slice(key.unwrap_or_default().as_bytes());
            record.put_slice(&[10]); // a value of five bytes
            record.put_slice(b"value");
            record.put_u8(0);
            varint(&mut section, record.len() as i64);
            section.put_slice(&record);
        }
        covered.put_slice(&(self.pack)(&section));
        let mut out = BytesMut::new();
        out.put_i64(0);
        out.put_i32(covered.len() as i32 + 9);
        out.put_i32(-1);
        out.put_u8(self.magic);
        out.put_u32(crc32c::crc32c(&covered) ^ u32::from(self.harm_crc));
        out.put_slice(&covered);
        out.freeze()
    }
}

fn varint(out: &mut BytesMut, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}
