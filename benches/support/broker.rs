//! A broker on a loopback socket that takes every batch and keeps none; enough for a producer.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, ProducerId, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes, decode_request_header_from_buffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const NODE: BrokerId = BrokerId(1);
/// Where a batch tells its first record's sequence.
const SEQUENCE_AT: usize = 53;
/// Where a batch says how many records it has.
const COUNT_AT: usize = 57;

/// What is answered, with the versions that are spoken.
const SPOKEN: [(ApiKey, i16, i16); 4] = [
    (ApiKey::Produce, 8, 12),
    (ApiKey::Metadata, 9, 12),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::InitProducerId, 2, 5),
];

/// What a broker has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) batches: AtomicUsize,
    /// Batches whose sequence was not the next one of their partition.
    pub(crate) disorder: AtomicUsize,
}

/// Starts a broker on a thread of its own, where every topic has `partitions` partitions.
pub(crate) fn start(partitions: i32) -> io::Result<SocketAddr> {
    start_seen(partitions, Arc::default())
}

/// The same, noting in `seen` what comes.
pub(crate) fn start_seen(partitions: i32, seen: Arc<Seen>) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || runtime.block_on(accept(listener, partitions, seen)));
    Ok(address)
}

async fn accept(
    listener: std::net::TcpListener,
    partitions: i32,
    seen: Arc<Seen>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let port = listener.local_addr()?.port();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let broker = Broker {
            port,
            partitions,
            ends: HashMap::new(),
            seen: Arc::clone(&seen),
        };
        tokio::spawn(broker.serve(stream));
    }
}

struct Broker {
    port: u16,
    partitions: i32,
    /// The next offset of each partition. Each connection has its own: there is one producer.
    ends: HashMap<i32, i64>,
    seen: Arc<Seen>,
}

impl Broker {
    async fn serve(mut self, stream: TcpStream) -> Result<(), Failure> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let mut frames = BytesMut::new();
        loop {
            let length = reader.read_u32().await? as usize;
            // The same memory again and again: nothing of a request is kept.
            frames.resize(length, 0);
            reader.read_exact(&mut frames).await?;
            let answer = self.answer(&mut frames.split().freeze())?;
            writer.write_all(&answer).await?;
        }
    }

    /// The whole frame that answers a request.
    fn answer(&mut self, request: &mut Bytes) -> Result<BytesMut, Failure> {
        let header = decode_request_header_from_buffer(request)?;
        let version = header.request_api_version;
        let key = ApiKey::try_from(header.request_api_key)
            .map_err(|()| format!("unknown request {}", header.request_api_key))?;
        match key {
            ApiKey::ApiVersions => frame(&header, key, &versions()),
            ApiKey::Metadata => {
                let asked = MetadataRequest::decode(request, version)?;
                frame(&header, key, &self.metadata(asked))
            }
            ApiKey::InitProducerId => {
                let answer = InitProducerIdResponse::default().with_producer_id(ProducerId(1));
                frame(&header, key, &answer)
            }
            ApiKey::Produce => {
                let asked = ProduceRequest::decode(request, version)?;
                frame(&header, key, &self.produce(asked))
            }
            other => Err(format!("unexpected {other:?}").into()),
        }
    }

    fn metadata(&self, request: MetadataRequest) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port.into());
        let partition = |number| {
            MetadataResponsePartition::default()
                .with_partition_index(number)
                .with_leader_id(NODE)
                .with_leader_epoch(1)
                .with_replica_nodes(vec![NODE])
                .with_isr_nodes(vec![NODE])
        };
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            MetadataResponseTopic::default()
                .with_name(topic.name)
                .with_partitions((0..self.partitions).map(partition).collect())
        });
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_controller_id(NODE)
            .with_topics(topics.collect())
    }

    fn produce(&mut self, request: ProduceRequest) -> ProduceResponse {
        let topics = request.topic_data.into_iter().map(|topic| {
            let partitions = topic.partition_data.into_iter().map(|data| {
                let records = data.records.unwrap_or_default();
                let number = |at| {
                    records
                        .get(at..)
                        .map_or(0, |mut rest: &[u8]| rest.get_i32())
                };
                let count = number(COUNT_AT);
                let end = self.ends.entry(data.index).or_default();
                self.seen.batches.fetch_add(1, Ordering::Relaxed);
                if i64::from(number(SEQUENCE_AT)) != *end {
                    self.seen.disorder.fetch_add(1, Ordering::Relaxed);
                }
                let base = *end;
                *end += i64::from(count);
                PartitionProduceResponse::default()
                    .with_index(data.index)
                    .with_base_offset(base)
            });
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_partition_responses(partitions.collect())
        });
        ProduceResponse::default().with_responses(topics.collect())
    }
}

fn versions() -> ApiVersionsResponse {
    let keys = SPOKEN.map(|(key, least, most)| {
        ApiVersion::default()
            .with_api_key(key as i16)
            .with_min_version(least)
            .with_max_version(most)
    });
    ApiVersionsResponse::default().with_api_keys(keys.to_vec())
}

fn frame(header: &RequestHeader, key: ApiKey, body: &impl Encodable) -> Result<BytesMut, Failure> {
    let version = header.request_api_version;
    let mut out = BytesMut::new();
    out.put_u32(0);
    ResponseHeader::default()
        .with_correlation_id(header.correlation_id)
        .encode(&mut out, key.response_header_version(version))?;
    body.encode(&mut out, version)?;
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out)
}
