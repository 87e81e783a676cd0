//! Streams in memory and a clock that stands still: minutes of a cluster's life in milliseconds, always the same.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

fn s(text: &str) -> StrBytes {
    text.to_owned().into()
}

async fn send<R: Request>(stream: &mut DuplexStream, version: i16, request: &R) {
    let mut body = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(s("test")));
    header
        .encode(&mut body, R::header_version(version))
        .unwrap();
    request.encode(&mut body, version).unwrap();
    stream.write_u32(body.len() as u32).await.unwrap();
    stream.write_all(&body).await.unwrap();
}

/// The answer; `None` when the connection is closed instead.
async fn receive<R: Request>(stream: &mut DuplexStream, version: i16) -> Option<R::Response> {
    let length = stream.read_u32().await.ok()?;
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await.ok()?;
    let mut frame = Bytes::from(frame);
    let header_version = R::Response::header_version(version);
    ResponseHeader::decode(&mut frame, header_version).unwrap();
    Some(R::Response::decode(&mut frame, version).unwrap())
}

async fn ask<R: Request>(stream: &mut DuplexStream, version: i16, request: R) -> R::Response {
    send(stream, version, &request).await;
    receive::<R>(stream, version).await.expect("an answer")
}

fn fetch() -> FetchRequest {
    use fetch_request::{FetchPartition, FetchTopic};
    let partition = FetchPartition::default().with_partition_max_bytes(1000);
    let of = FetchTopic::default()
        .with_topic(TopicName(s("t")))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(60_000)
        .with_min_bytes(1)
        .with_max_bytes(1000)
        .with_topics(vec![of])
}

fn in_memory() -> Cluster {
    let builder = Cluster::builder().nodes(2).topic("t", 1);
    builder.start_in_memory().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_a_minute_in_no_time() {
    let cluster = in_memory();
    let mut stream = cluster.connect(cluster.leader("t", 0).unwrap());
    let start = Instant::now();
    let answer = ask(&mut stream, 6, fetch()).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_given_up_with_its_connection() {
    let cluster = in_memory();
    let mut stream = cluster.connect(cluster.leader("t", 0).unwrap());
    send(&mut stream, 6, &fetch()).await;
    let start = Instant::now();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requests_that_follow_one_that_waits_are_answered_after_it() {
    let cluster = in_memory();
    let mut stream = cluster.connect(cluster.leader("t", 0).unwrap());
    send(&mut stream, 6, &fetch()).await;
    for _ in 0..3 {
        send(&mut stream, 0, &ApiVersionsRequest::default()).await;
    }
    assert!(receive::<FetchRequest>(&mut stream, 6).await.is_some());
    for _ in 0..3 {
        assert!(
            receive::<ApiVersionsRequest>(&mut stream, 0)
                .await
                .is_some()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_answers_when_it_thaws() {
    let cluster = in_memory();
    let mut stream = cluster.connect(1);
    cluster.node(1).freeze();
    send(&mut stream, 0, &ApiVersionsRequest::default()).await;
    let waits = tokio::time::timeout(
        Duration::from_secs(3600),
        receive::<ApiVersionsRequest>(&mut stream, 0),
    );
    assert!(waits.await.is_err());
    cluster.node(1).thaw();
    assert!(
        receive::<ApiVersionsRequest>(&mut stream, 0)
            .await
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_cuts_off_what_is_connected_and_a_restart_takes_it_again() {
    let cluster = in_memory();
    let (mut first, mut other) = (cluster.connect(1), cluster.connect(2));
    let nodes = async |stream: &mut DuplexStream| {
        let request = MetadataRequest::default().with_topics(None);
        ask(stream, 12, request).await.brokers.len()
    };
    assert_eq!(nodes(&mut first).await, 2);
    cluster.node(1).crash().await;
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(nodes(&mut other).await, 1);
    let mut refused = cluster.connect(1);
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    cluster.node(1).restart().await.unwrap();
    assert_eq!(nodes(&mut cluster.connect(1)).await, 2);
}

#[tokio::test(start_paused = true)]
async fn faults_fall_on_what_they_mean() {
    let cluster = in_memory();
    let mut stream = cluster.connect(1);
    let heartbeat = HeartbeatRequest::default().with_group_id(GroupId(s("g")));
    cluster
        .faults()
        .add(Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS).on(ApiKey::Heartbeat));
    let code = ask(&mut stream, 3, heartbeat.clone()).await.error_code;
    assert_eq!(
        ErrorCode::new(code),
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
    );

    let second = Duration::from_secs(1);
    cluster.faults().add(Fault::delay(second).client_id("test"));
    cluster.faults().add(Fault::throttle(2 * second).node(1));
    let start = Instant::now();
    assert_eq!(
        ask(&mut stream, 3, heartbeat.clone())
            .await
            .throttle_time_ms,
        2000
    );
    assert_eq!(start.elapsed(), second);
    ask(&mut stream, 3, heartbeat.clone()).await;
    assert_eq!(start.elapsed(), 3 * second);

    cluster
        .faults()
        .add(Fault::disconnect().on(ApiKey::Heartbeat));
    send(&mut stream, 3, &heartbeat).await;
    assert!(receive::<HeartbeatRequest>(&mut stream, 3).await.is_none());

    let mut stream = cluster.connect(1);
    cluster.faults().add(Fault::cut_answer());
    send(&mut stream, 3, &heartbeat).await;
    let mut cut = Vec::new();
    stream.read_to_end(&mut cut).await.unwrap();
    assert_eq!(cut.len(), 7);

    let seen = cluster.requests_seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|request| request.api == ApiKey::Heartbeat));
}

/// Partition and code of each part of a fetch's answer.
async fn fetched(stream: &mut DuplexStream, session: (i32, i32), of: &[i32]) -> Fetched {
    use fetch_request::{FetchPartition, FetchTopic};
    let partitions = of.iter().map(|partition| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_partition_max_bytes(1000)
    });
    let topic = FetchTopic::default()
        .with_topic(TopicName(s("t")))
        .with_partitions(partitions.collect());
    let mut request = FetchRequest::default()
        .with_session_id(session.0)
        .with_session_epoch(session.1)
        .with_max_bytes(1000);
    if !of.is_empty() {
        request.topics = vec![topic];
    }
    let answer = ask(stream, 12, request).await;
    let parts = answer.responses.iter().flat_map(|of| &of.partitions);
    let codes = parts.map(|one| (one.partition_index, one.error_code));
    (answer.session_id, codes.collect())
}

type Fetched = (i32, Vec<(i32, i16)>);

#[tokio::test(start_paused = true)]
async fn a_fault_on_a_partition_falls_on_the_session_that_has_it() {
    let cluster = Cluster::builder().topic("t", 3).start_in_memory().unwrap();
    let mut stream = cluster.connect(1);
    let (id, codes) = fetched(&mut stream, (0, 0), &[0, 1]).await;
    assert_eq!(codes, [(0, 0), (1, 0)]);
    let error = || Fault::error(ErrorCode::KAFKA_STORAGE_ERROR).topic("t");
    let faults = [1, 2].map(|partition| cluster.faults().add(error().partition(partition)));
    // The request itself names nothing.
    let (_, codes) = fetched(&mut stream, (id, 1), &[]).await;
    assert_eq!(codes, [(1, ErrorCode::KAFKA_STORAGE_ERROR.code())]);
    assert_eq!(faults.map(|id| cluster.faults().hits(id)), [1, 0]);
    let (_, codes) = fetched(&mut stream, (id, 2), &[]).await;
    assert_eq!(codes, [(1, 0)]);
    let seen = cluster.requests_seen();
    assert_eq!(seen.last().unwrap().topics, ["t"]);
}

#[tokio::test(start_paused = true)]
async fn faults_can_be_aimed_at_groups_and_fall_on_requests_for_all_topics() {
    let builder = Cluster::builder().topic("t", 1).topic("u", 1);
    let cluster = builder.start_in_memory().unwrap();
    let mut stream = cluster.connect(1);
    let of_g = Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS).group("g");
    let of_g = cluster.faults().add(of_g.always());
    let heartbeat = |group: &str| HeartbeatRequest::default().with_group_id(GroupId(s(group)));
    assert_eq!(
        ask(&mut stream, 3, heartbeat("h")).await.error_code,
        ErrorCode::UNKNOWN_MEMBER_ID.code()
    );
    assert_eq!(
        ask(&mut stream, 3, heartbeat("g")).await.error_code,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.code()
    );
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![s("g"), s("h")]);
    let found = ask(&mut stream, 4, find).await;
    let codes: Vec<_> = found
        .coordinators
        .iter()
        .map(|one| one.error_code)
        .collect();
    assert_eq!(codes, [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.code(), 0]);
    assert_eq!(cluster.faults().hits(of_g), 2);

    let of_u = Fault::error(ErrorCode::LEADER_NOT_AVAILABLE).topic("u");
    let of_u = cluster.faults().add(of_u);
    let all = MetadataRequest::default().with_topics(None);
    let answer = ask(&mut stream, 12, all).await;
    let codes: Vec<_> = answer.topics.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::LEADER_NOT_AVAILABLE.code()]);
    assert_eq!(cluster.faults().hits(of_u), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_ids() {
    let ids = async |seed| {
        let builder = Cluster::builder().topic("t", 1).seed(seed);
        let cluster = builder.start_in_memory().unwrap();
        let request = MetadataRequest::default().with_topics(None);
        let answer = ask(&mut cluster.connect(1), 12, request).await;
        (answer.cluster_id, answer.topics[0].topic_id)
    };
    assert_eq!(ids(1).await, ids(1).await);
    assert_ne!(ids(1).await, ids(2).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_seed_no_two_clusters_give_the_same_ids() {
    let ids = async || {
        let cluster = Cluster::builder().topic("t", 1).start_in_memory().unwrap();
        let stream = &mut cluster.connect(1);
        let request = MetadataRequest::default().with_topics(None);
        let answer = ask(stream, 12, request).await;
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let producer = ask(stream, 4, request).await.producer_id;
        let again = InitProducerIdRequest::default().with_transactional_id(None);
        assert_ne!(ask(stream, 4, again).await.producer_id, producer);
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(s("g")))
            .with_session_timeout_ms(10_000)
            .with_protocol_type(s("consumer"))
            .with_protocols(vec![
                join_group_request::JoinGroupRequestProtocol::default().with_name(s("range")),
            ]);
        let member = ask(stream, 5, join).await.member_id;
        (
            answer.cluster_id,
            answer.topics[0].topic_id,
            producer,
            member,
        )
    };
    let (one, other) = (ids().await, ids().await);
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
    assert_ne!(one.2, other.2);
    assert_ne!(one.3, other.3);
    assert!(one.2.0 >= 0);
}

#[tokio::test(start_paused = true)]
async fn old_records_go_when_their_time_is_over() {
    use create_topics_request::{CreatableTopic, CreatableTopicConfig};
    let every_ten_seconds = Duration::from_secs(10);
    let builder = Cluster::builder().retention_check_interval(every_ten_seconds);
    let cluster = builder.start_in_memory().unwrap();
    let mut stream = cluster.connect(1);
    let config = CreatableTopicConfig::default()
        .with_name(s("retention.ms"))
        .with_value(Some(s("60000")));
    let of = CreatableTopic::default()
        .with_name(TopicName(s("t")))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    let create = CreateTopicsRequest::default().with_topics(vec![of]);
    assert_eq!(ask(&mut stream, 7, create).await.topics[0].error_code, 0);
    let start = async |stream: &mut DuplexStream| {
        use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let earliest = ListOffsetsPartition::default().with_timestamp(-2);
        let of = ListOffsetsTopic::default()
            .with_name(TopicName(s("t")))
            .with_partitions(vec![earliest]);
        let request = ListOffsetsRequest::default().with_topics(vec![of]);
        ask(stream, 1, request).await.topics[0].partitions[0].offset
    };
    tokio::time::advance(Duration::from_secs(5)).await;
    produce(&mut stream).await;
    assert_eq!(start(&mut stream).await, 0);
    // Too old from the 65th second on, which is noticed in the 70th.
    for (seconds, expected) in [(59, 0), (4, 0), (1, 0), (2, 1)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(start(&mut stream).await, expected, "{seconds} s later");
    }
    assert_eq!(cluster.log("t", 0), []);
}

/// One record without a timestamp: as old as its arrival.
async fn produce(stream: &mut DuplexStream) {
    use bytes::BufMut;
    use produce_request::{PartitionProduceData, TopicProduceData};
    let mut covered = BytesMut::new();
    covered.put_slice(&[0; 6]); // attributes, last offset delta
    covered.put_i64(-1);
    covered.put_i64(-1);
    covered.put_slice(&[0xff; 14]); // no producer
    covered.put_i32(1);
    // Length 7, attributes, deltas of time and offset, no key, the value "v", no headers.
    covered.put_slice(&[14, 0, 0, 0, 1, 2, b'v', 0]);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(covered.len() as i32 + 9);
    batch.put_i32(-1);
    batch.put_u8(2);
    batch.put_u32(crc32c::crc32c(&covered));
    batch.put_slice(&covered);
    let data = PartitionProduceData::default().with_records(Some(batch.freeze()));
    let of = TopicProduceData::default()
        .with_name(TopicName(s("t")))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_topic_data(vec![of]);
    let answer = ask(stream, 9, request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}
