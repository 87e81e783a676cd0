//! Brokers that coordinate a group of one member as a test tells them to, on streams in memory.

pub(super) mod fetched;
mod notes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    FindCoordinatorResponse, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupResponse, TopicName as Name,
    join_group_response::JoinGroupResponseMember,
    metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic},
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::config::{Assignor, Backoff, ConsumerSettings, IsolationLevel, OffsetReset};
use crate::error::ErrorCode;
use crate::net::server::{Memory, Peer, Request, address, api_versions, settings};
use crate::types::{TopicId, TopicPartition};
use crate::wire::{ALL, ApiKey};

pub(super) use notes::Notes;

/// Two brokers, `a` and `b` with ids 0 and 1.
pub(super) struct Brokers {
    state: Mutex<State>,
    pub(super) memory: Arc<Memory>,
}

#[derive(Default)]
struct State {
    coordinator: i32,
    hides: bool,
    partitions: i32,
    generation: i32,
    /// What was asked, in order, such as `0 join`.
    log: Vec<String>,
    /// Codes for the next answers of a kind; afterwards there are no errors.
    codes: BTreeMap<&'static str, VecDeque<ErrorCode>>,
    committed: BTreeMap<(String, i32), i64>,
    /// Brokers that read and say nothing.
    frozen: Vec<i32>,
    /// What the member is given instead of what it assigned itself.
    given: Option<Bytes>,
    sync: Bytes,
    /// Of topic `t`.
    topic_id: TopicId,
    /// Partitions that the coordinator does not know.
    gone: Vec<i32>,
}

impl Brokers {
    /// Starts them; topic `t` has so many partitions.
    pub(super) fn start(partitions: i32) -> Arc<Self> {
        let brokers = Arc::new(Self {
            state: Mutex::new(State {
                partitions,
                ..State::default()
            }),
            memory: Memory::new(),
        });
        for (id, name) in ["a", "b"].into_iter().enumerate() {
            let mut listener = brokers.memory.listen(&address(name));
            let brokers = brokers.clone();
            tokio::spawn(async move {
                let mut peers = JoinSet::new();
                loop {
                    let peer = listener.accept_raw().await;
                    peers.spawn(brokers.clone().talk(peer, id as i32));
                }
            });
        }
        brokers
    }

    pub(super) async fn cluster(&self) -> Cluster {
        let all = [address("a"), address("b")];
        let settings = settings(&all.iter().collect::<Vec<_>>());
        Cluster::connect(Arc::new(settings), self.memory.clone())
            .await
            .unwrap()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn fail(&self, kind: &'static str, codes: &[ErrorCode]) {
        self.lock().codes.entry(kind).or_default().extend(codes);
    }

    pub(super) fn coordinate(&self, id: i32) {
        self.lock().coordinator = id;
    }

    pub(super) fn freeze(&self, id: i32) {
        self.lock().frozen.push(id);
    }

    /// Whether metadata says that there is no topic `t`.
    pub(super) fn hide(&self, hides: bool) {
        self.lock().hides = hides;
    }

    pub(super) fn grow(&self, partitions: i32) {
        self.lock().partitions = partitions;
    }

    /// The topic has this id from now on.
    pub(super) fn make_anew(&self, id: TopicId) {
        self.lock().topic_id = id;
    }

    /// The coordinator does not know this partition.
    pub(super) fn lose(&self, partition: i32) {
        self.lock().gone.push(partition);
    }

    /// What was asked since the last look, heartbeats, metadata and versions left out.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let committed = &self.lock().committed;
        committed.get(&(topic.to_string(), partition)).copied()
    }

    pub(super) fn commit(&self, topic: &str, partition: i32, offset: i64) {
        let mut state = self.lock();
        state
            .committed
            .insert((topic.to_string(), partition), offset);
    }

    async fn talk(self: Arc<Self>, mut peer: Peer, id: i32) {
        while let Ok(request) = peer.request().await {
            if self.lock().frozen.contains(&id) {
                continue;
            }
            let body = self.answer(&request, id);
            peer.answer(&request, &body).await;
        }
    }

    fn answer(&self, request: &Request, id: i32) -> Bytes {
        let version = request.version;
        match request.key {
            18 => {
                let ranges = ALL.map(|key| {
                    let (min, max) = key.supported();
                    // As far as kafka_protocol goes.
                    let max = if key == ApiKey::OffsetCommit { 9 } else { max };
                    (key.code(), min, max)
                });
                api_versions(version, 0, &ranges)
            }
            3 => self.metadata(request),
            10 => {
                let code = self.lock().next("find", id);
                let node = self.lock().coordinator;
                let name = if node == 0 { "a" } else { "b" };
                let answer = FindCoordinatorResponse::default()
                    .with_error_code(code)
                    .with_node_id(node.into())
                    .with_host(StrBytes::from_static_str(name))
                    .with_port(9092);
                encoded(&answer, version)
            }
            11 => self.join(request, id),
            14 => {
                let sync: SyncGroupRequest = read(request);
                let mut state = self.lock();
                let code = state.next("sync", id);
                if let Some(own) = sync.assignments.first() {
                    state.sync = own.assignment.clone();
                }
                let given = state.given.clone().unwrap_or_else(|| state.sync.clone());
                let answer = SyncGroupResponse::default()
                    .with_error_code(code)
                    .with_assignment(given);
                encoded(&answer, version)
            }
            12 => {
                let code = self.lock().code("beat", id);
                encoded(&HeartbeatResponse::default().with_error_code(code), version)
            }
            13 => {
                let code = self.lock().next("leave", id);
                encoded(
                    &LeaveGroupResponse::default().with_error_code(code),
                    version,
                )
            }
            8 => self.offset_commit(request, id),
            9 => self.offset_fetch(request, id),
            key => panic!("request {key}"),
        }
    }

    fn metadata(&self, request: &Request) -> Bytes {
        let asked: MetadataRequest = read(request);
        let brokers = ["a", "b"].into_iter().enumerate().map(|(id, name)| {
            MetadataResponseBroker::default()
                .with_node_id((id as i32).into())
                .with_host(StrBytes::from_static_str(name))
                .with_port(9092)
        });
        let (partitions, topic_id, hides) = {
            let state = self.lock();
            (state.partitions, state.topic_id, state.hides)
        };
        let topics = asked.topics.into_iter().flatten().map(|topic| {
            let is_t = topic.name.as_ref().is_some_and(|name| **name == *"t");
            let is_known = is_t && !hides;
            let code = if is_known { 0 } else { 3 };
            let one = |n| {
                MetadataResponsePartition::default()
                    .with_partition_index(n)
                    .with_leader_id(0.into())
            };
            let all = (0..partitions).filter(|_| is_known).map(one).collect();
            MetadataResponseTopic::default()
                .with_name(topic.name)
                .with_topic_id(topic_id.to_string().parse().unwrap())
                .with_error_code(code)
                .with_partitions(all)
        });
        let answer = MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_topics(topics.collect());
        encoded(&answer, request.version)
    }

    fn join(&self, request: &Request, id: i32) -> Bytes {
        let join: JoinGroupRequest = read(request);
        let mut state = self.lock();
        let code = state.next("join", id);
        if code == 0 {
            state.generation += 1;
        }
        let me = StrBytes::from_static_str("m1");
        let protocol = &join.protocols[0];
        let member = JoinGroupResponseMember::default()
            .with_member_id(me.clone())
            .with_metadata(protocol.metadata.clone());
        let answer = JoinGroupResponse::default()
            .with_error_code(code)
            .with_generation_id(state.generation)
            .with_protocol_name(Some(protocol.name.clone()))
            .with_leader(me.clone())
            .with_member_id(me)
            .with_members(vec![member]);
        encoded(&answer, request.version)
    }

    fn offset_commit(&self, request: &Request, id: i32) -> Bytes {
        let commit: OffsetCommitRequest = read(request);
        let mut state = self.lock();
        let generation = commit.generation_id_or_member_epoch;
        state.log.push(format!("{id} commit {generation}"));
        let topics = commit.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let code = if state.gone.contains(&partition.partition_index) {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code()
                } else {
                    state.code("commit", id)
                };
                if code == 0 {
                    let key = (topic.name.to_string(), partition.partition_index);
                    state.committed.insert(key, partition.committed_offset);
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            OffsetCommitResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name)
        });
        let topics = topics.collect();
        encoded(
            &OffsetCommitResponse::default().with_topics(topics),
            request.version,
        )
    }

    fn offset_fetch(&self, request: &Request, id: i32) -> Bytes {
        let fetch: OffsetFetchRequest = read(request);
        assert!(fetch.require_stable);
        let mut state = self.lock();
        state.log.push(format!("{id} offsets"));
        let code = state.code("offsets", id);
        let topics = fetch.topics.into_iter().flatten().map(|topic| {
            let partitions = topic.partition_indexes.into_iter().map(|number| {
                let code = state.code("offset", id);
                let key = (topic.name.to_string(), number);
                OffsetFetchResponsePartition::default()
                    .with_partition_index(number)
                    .with_committed_offset(state.committed.get(&key).copied().unwrap_or(-1))
                    .with_metadata(Some(StrBytes::default()))
                    .with_error_code(code)
            });
            OffsetFetchResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(Name(topic.name.0.clone()))
        });
        let topics = topics.collect();
        let answer = OffsetFetchResponse::default()
            .with_error_code(code)
            .with_topics(topics);
        encoded(&answer, request.version)
    }
}

impl State {
    /// The code of the next answer, and a line in the log.
    fn next(&mut self, kind: &'static str, id: i32) -> i16 {
        self.log.push(format!("{id} {kind}"));
        self.code(kind, id)
    }

    fn code(&mut self, kind: &'static str, id: i32) -> i16 {
        if kind != "find" && id != self.coordinator {
            return ErrorCode::NOT_COORDINATOR.code();
        }
        let code = self.codes.get_mut(kind).and_then(VecDeque::pop_front);
        code.map_or(0, ErrorCode::code)
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

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn consumer_settings() -> ConsumerSettings {
    ConsumerSettings {
        fetch_min_bytes: 1,
        fetch_max_bytes: 1 << 20,
        fetch_max_wait: ms(500),
        partition_fetch_bytes: 1 << 20,
        buffer_memory: 1 << 26,
        max_poll_records: 500,
        offset_reset: OffsetReset::Latest,
        isolation: IsolationLevel::ReadUncommitted,
        check_crcs: true,
        rack: None,
        auto_create_topics: true,
        fail_on_missing_topics: false,
        auto_commit: Some(ms(5_000)),
        instance_id: None,
        session_timeout: ms(10_000),
        heartbeat_interval: ms(3_000),
        max_poll_interval: ms(60_000),
        assignors: vec![Assignor::Range],
        api_timeout: ms(60_000),
        request_timeout: ms(30_000),
        retry_backoff: Backoff {
            base: ms(100),
            max: ms(1_000),
        },
    }
}

/// Partitions of `t`.
pub(super) fn partitions(numbers: impl IntoIterator<Item = i32>) -> Vec<TopicPartition> {
    let one = |n| TopicPartition::new("t", n);
    numbers.into_iter().map(one).collect()
}
