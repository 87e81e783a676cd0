//! One broker, which takes, refuses or ignores batches as a test tells it to, on streams in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::error::ErrorCode;
use crate::net::server::{Memory, Peer, Request, address, api_versions, settings};
use crate::wire::ALL;

/// Where a batch tells its first record's sequence.
const SEQUENCE_AT: usize = 53;
/// Where a batch says how many records it has.
const COUNT_AT: usize = 57;

/// The answer for a batch.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) code: ErrorCode,
    /// Indices of records that are refused.
    pub(super) rejected: Vec<i32>,
}

impl Told {
    pub(super) fn code(code: ErrorCode) -> Self {
        let rejected = Vec::new();
        Self { code, rejected }
    }
}

/// A batch as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) sequence: i32,
    pub(super) records: i32,
}

/// The broker; topic `t` has two partitions.
pub(super) struct Broker {
    state: Mutex<State>,
    pub(super) memory: Arc<Memory>,
}

#[derive(Default)]
struct State {
    /// For the next batches; afterwards each is taken.
    told: VecDeque<Told>,
    /// Whether Produce requests are read and not answered.
    silent: bool,
    ends: HashMap<i32, i64>,
    seen: Vec<Seen>,
    requests: Vec<usize>,
}

impl Broker {
    pub(super) fn start() -> Arc<Self> {
        let broker = Arc::new(Self {
            state: Mutex::default(),
            memory: Memory::new(),
        });
        let mut listener = broker.memory.listen(&address("a"));
        let own = Arc::clone(&broker);
        tokio::spawn(async move {
            let mut peers = JoinSet::new();
            loop {
                let peer = listener.accept_raw().await;
                peers.spawn(Arc::clone(&own).talk(peer));
            }
        });
        broker
    }

    pub(super) async fn cluster(&self) -> Cluster {
        let settings = settings(&[&address("a")]);
        Cluster::connect(Arc::new(settings), self.memory.clone())
            .await
            .unwrap()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn tell(&self, told: Told) {
        self.lock().told.push_back(told);
    }

    pub(super) fn silence(&self) {
        self.lock().silent = true;
    }

    /// Every batch that came.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The bytes of every Produce request that came.
    pub(super) fn requests(&self) -> Vec<usize> {
        self.lock().requests.clone()
    }

    async fn talk(self: Arc<Self>, mut peer: Peer) {
        while let Ok(request) = peer.request().await {
            let Some(body) = self.answer(&request) else {
                continue;
            };
            peer.answer(&request, &body).await;
        }
    }

    fn answer(&self, request: &Request) -> Option<Bytes> {
        let version = request.version;
        Some(match request.key {
            0 => return self.produce(request),
            3 => metadata(request),
            18 => {
                let ranges = ALL.map(|key| (key.code(), key.supported().0, key.supported().1));
                api_versions(version, 0, &ranges)
            }
            22 => {
                let answer = InitProducerIdResponse::default().with_producer_id(7.into());
                encoded(&answer, version)
            }
            key => panic!("request {key}"),
        })
    }

    fn produce(&self, request: &Request) -> Option<Bytes> {
        let asked: ProduceRequest = read(request);
        let mut state = self.lock();
        state.requests.push(request.body.len());
        let topics: Vec<_> = asked
            .topic_data
            .into_iter()
            .map(|topic| {
                let all = topic.partition_data.into_iter();
                let told = all.map(|data| state.take(data.index, &data.records.unwrap()));
                TopicProduceResponse::default()
                    .with_partition_responses(told.collect())
                    .with_name(topic.name)
            })
            .collect();
        let answer = ProduceResponse::default().with_responses(topics);
        (!state.silent).then(|| encoded(&answer, request.version))
    }
}

impl State {
    fn take(&mut self, partition: i32, records: &Bytes) -> PartitionProduceResponse {
        let number = |at: usize| records.slice(at..).get_i32();
        let (sequence, count) = (number(SEQUENCE_AT), number(COUNT_AT));
        self.seen.push(Seen {
            partition,
            sequence,
            records: count,
        });
        let answer = PartitionProduceResponse::default().with_index(partition);
        if let Some(told) = self.told.pop_front() {
            let rejected = told.rejected.into_iter().map(|index| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(Some(StrBytes::from_static_str("no")))
            });
            return answer
                .with_error_code(told.code.code())
                .with_base_offset(-1)
                .with_record_errors(rejected.collect());
        }
        let end = self.ends.entry(partition).or_default();
        let base = std::mem::replace(end, *end + i64::from(count));
        answer.with_base_offset(base)
    }
}

fn metadata(request: &Request) -> Bytes {
    let asked: MetadataRequest = read(request);
    let broker = MetadataResponseBroker::default()
        .with_node_id(0.into())
        .with_host(StrBytes::from_static_str("a"))
        .with_port(9092);
    let topics = asked.topics.into_iter().flatten().map(|topic| {
        let is_known = topic.name.as_ref().is_some_and(|name| **name == *"t");
        let one = |n| {
            MetadataResponsePartition::default()
                .with_partition_index(n)
                .with_leader_id(0.into())
        };
        MetadataResponseTopic::default()
            .with_error_code(if is_known { 0 } else { 3 })
            .with_partitions((0..2).filter(|_| is_known).map(one).collect())
            .with_name(topic.name)
    });
    let answer = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_topics(topics.collect());
    encoded(&answer, request.version)
}

fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap();
    out.freeze()
}

fn read<T: Decodable>(request: &Request) -> T {
    T::decode(&mut request.body.clone(), request.version).unwrap()
}
