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
async fn old_records_go_when_their_time_is_over() {
    use create_topics_request::{CreatableTopic, CreatableTopicConfig};
    let cluster = Cluster::builder().start_in_memory().unwrap();
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
    produce(&mut stream).await;
    assert_eq!(start(&mut stream).await, 0);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(start(&mut stream).await, 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(start(&mut stream).await, 1);
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
