//! One broker, which takes, refuses or ignores batches as a test tells it to, on streams in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse,
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

/// The broker; topic `t` has two partitions unless told otherwise, and nobody may use topic `denied`.
pub(super) struct Broker {
    state: Mutex<State>,
    pub(super) memory: Arc<Memory>,
}

struct State {
    /// The leader of each partition of `t`.
    leaders: Vec<Option<i32>>,
    topic_id: [u8; 16],
    /// For the next who ask for a producer id; afterwards each gets one.
    identities: VecDeque<ErrorCode>,
    /// Whether nothing is answered any more once a producer id was given.
    freezes: bool,
    frozen: bool,
    /// For the next batches; afterwards each is taken.
    told: VecDeque<Told>,
    /// Whether Produce requests are read and not answered.
    silent: bool,
    ends: HashMap<i32, i64>,
    /// `max.message.bytes`, and whether the client may read it.
    largest: usize,
    tells: bool,
    too_large: usize,
    seen: Vec<Seen>,
    requests: Vec<usize>,
}

impl Broker {
    pub(super) fn start() -> Arc<Self> {
        let broker = Arc::new(Self {
            state: Mutex::new(State::new()),
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

    /// Who leads each partition of `t` from now on.
    pub(super) fn lead(&self, leaders: &[Option<i32>]) {
        self.lock().leaders = leaders.to_vec();
    }

    /// `t` is another topic from now on, with one leader for each partition.
    pub(super) fn make_anew(&self, leaders: &[Option<i32>]) {
        let mut state = self.lock();
        state.leaders = leaders.to_vec();
        state.topic_id[0] += 1;
    }

    /// Topics have no ids, and `t` has so many partitions from now on.
    pub(super) fn make_anew_without_id(&self, leaders: &[Option<i32>]) {
        let mut state = self.lock();
        state.leaders = leaders.to_vec();
        state.topic_id = [0; 16];
    }

    /// Refuses the next who asks for a producer id.
    pub(super) fn refuse_identity(&self, code: ErrorCode) {
        self.lock().identities.push_back(code);
    }

    /// Refuses a producer id once, gives one, and answers nothing afterwards.
    pub(super) fn freeze_after_identity(&self, refusal: ErrorCode) {
        let mut state = self.lock();
        state.identities.push_back(refusal);
        state.freezes = true;
    }

    /// Larger batches are refused; `tells` the limit to who asks.
    pub(super) fn limit(&self, largest: usize, tells: bool) {
        let mut state = self.lock();
        (state.largest, state.tells) = (largest, tells);
    }

    /// How many batches were refused as too large.
    pub(super) fn too_large(&self) -> usize {
        self.lock().too_large
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
        if self.lock().frozen {
            return None;
        }
        Some(match request.key {
            0 => return self.produce(request),
            3 => self.lock().metadata(request),
            18 => {
                let ranges = ALL.map(|key| (key.code(), key.supported().0, key.supported().1));
                api_versions(version, 0, &ranges)
            }
            32 => self.lock().describe(request),
            22 => {
                let mut state = self.lock();
                let code = state.identities.pop_front().unwrap_or(ErrorCode::NONE);
                state.frozen = state.freezes && code.is_none();
                let answer = InitProducerIdResponse::default()
                    .with_error_code(code.code())
                    .with_producer_id(7.into());
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
                let is_known = *topic.topic_id.as_bytes() == state.topic_id;
                let told = all.map(|data| {
                    if is_known {
                        state.take(data.index, &data.records.unwrap())
                    } else {
                        PartitionProduceResponse::default()
                            .with_index(data.index)
                            .with_error_code(ErrorCode::UNKNOWN_TOPIC_ID.code())
                    }
                });
                TopicProduceResponse::default()
                    .with_partition_responses(told.collect())
                    .with_name(topic.name)
                    .with_topic_id(topic.topic_id)
            })
            .collect();
        let answer = ProduceResponse::default().with_responses(topics);
        (!state.silent).then(|| encoded(&answer, request.version))
    }
}

impl State {
    fn new() -> Self {
        Self {
            leaders: vec![Some(0); 2],
            topic_id: [1; 16],
            identities: VecDeque::new(),
            freezes: false,
            frozen: false,
            told: VecDeque::new(),
            silent: false,
            ends: HashMap::new(),
            largest: usize::MAX,
            tells: false,
            too_large: 0,
            seen: Vec::new(),
            requests: Vec::new(),
        }
    }

    fn take(&mut self, partition: i32, records: &Bytes) -> PartitionProduceResponse {
        let number = |at: usize| records.slice(at..).get_i32();
        let (sequence, count) = (number(SEQUENCE_AT), number(COUNT_AT));
        self.seen.push(Seen {
            partition,
            sequence,
            records: count,
        });
        let answer = PartitionProduceResponse::default().with_index(partition);
        if partition as usize >= self.leaders.len() {
            return answer.with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code());
        }
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
        if records.len() > self.largest {
            self.too_large += 1;
            return answer
                .with_error_code(ErrorCode::MESSAGE_TOO_LARGE.code())
                .with_base_offset(-1);
        }
        let end = self.ends.entry(partition).or_default();
        let base = std::mem::replace(end, *end + i64::from(count));
        answer.with_base_offset(base)
    }

    fn describe(&self, request: &Request) -> Bytes {
        let asked: DescribeConfigsRequest = read(request);
        let topics = asked.resources.into_iter().map(|resource| {
            let told = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            if !self.tells {
                return told.with_error_code(ErrorCode::TOPIC_AUTHORIZATION_FAILED.code());
            }
            let config = DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str("max.message.bytes"))
                .with_value(Some(StrBytes::from_string(self.largest.to_string())));
            told.with_configs(vec![config])
        });
        let answer = DescribeConfigsResponse::default().with_results(topics.collect());
        encoded(&answer, request.version)
    }

    fn metadata(&self, request: &Request) -> Bytes {
        let asked: MetadataRequest = read(request);
        let broker = MetadataResponseBroker::default()
            .with_node_id(0.into())
            .with_host(StrBytes::from_static_str("a"))
            .with_port(9092);
        let topics = asked.topics.into_iter().flatten().map(|topic| {
            let code = match topic.name.as_ref().map(|name| name.as_str()) {
                Some("t") => ErrorCode::NONE,
                Some("denied") => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            let told = MetadataResponseTopic::default()
                .with_error_code(code.code())
                .with_name(topic.name);
            if !code.is_none() {
                return told;
            }
            let all = (0..).zip(&self.leaders).map(|(number, leader)| {
                MetadataResponsePartition::default()
                    .with_partition_index(number)
                    .with_leader_id(leader.unwrap_or(-1).into())
            });
            told.with_topic_id(self.topic_id.to_vec().try_into().unwrap())
                .with_partitions(all.collect())
        });
        let answer = MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_topics(topics.collect());
        encoded(&answer, request.version)
    }
}

fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap();
    out.freeze()
}

fn read<T: Decodable>(request: &Request) -> T {
    T::decode(&mut request.body.clone(), request.version).unwrap()
}
