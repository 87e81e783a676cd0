//! Fetch, sessions, ListOffsets and OffsetForLeaderEpoch.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ProduceRequest};

use super::producing::{IntoUuid, produce};
use super::{START, World, batch, topic, versions};
use crate::wire::ErrorCode;

const NOBODY: (i64, i16, i32) = (-1, -1, -1);

fn append(world: &mut World, partition: i32, values: &[(&str, i64)]) -> Bytes {
    let records = batch(NOBODY, START, values);
    let request: ProduceRequest = produce(world, 11, partition, records.clone());
    let answer = world.ask(11, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    let log = &world.state.topics.partition("t", partition).unwrap().log;
    log.stored().last().unwrap().bytes.clone()
}

/// Reads these partitions from these offsets, waiting for up to a second.
fn fetch(world: &World, version: i16, session: (i32, i32), from: &[(i32, i64)]) -> FetchRequest {
    let partitions = from.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1_000_000)
    });
    let mut of = FetchTopic::default().with_partitions(partitions.collect());
    if version >= 13 {
        of = of.with_topic_id(world.state.topics.get("t").unwrap().id.into_uuid());
    } else {
        of = of.with_topic(topic("t"));
    }
    let mut request = FetchRequest::default()
        .with_max_wait_ms(1000)
        .with_min_bytes(1)
        .with_max_bytes(1_000_000);
    if !from.is_empty() {
        request = request.with_topics(vec![of]);
    }
    if version >= 7 {
        request = request
            .with_session_id(session.0)
            .with_session_epoch(session.1);
    }
    request
}

const NO_SESSION: (i32, i32) = (0, -1);

/// Partition, code, high watermark and records.
fn told(answer: &FetchResponse) -> Vec<(i32, ErrorCode, i64, Bytes)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|one| {
            let code = ErrorCode::new(one.error_code);
            let records = one.records.clone().unwrap_or_default();
            (one.partition_index, code, one.high_watermark, records)
        })
        .collect()
}

#[test]
fn stored_batches_are_read_in_every_version() {
    for version in versions::<FetchRequest>() {
        let mut world = World::new();
        let first = append(&mut world, 0, &[("a", 0), ("b", 0)]);
        let second = append(&mut world, 0, &[("c", 0)]);
        let request = fetch(&world, version, NO_SESSION, &[(0, 0), (1, 0)]);
        let answer = world.ask(version, &request);
        let both: Bytes = [first.clone(), second.clone()].concat().into();
        let nothing = (1, ErrorCode::NONE, 0, Bytes::new());
        assert_eq!(
            told(&answer),
            [(0, ErrorCode::NONE, 3, both.clone()), nothing]
        );
        // The batch that has the offset in it is whole.
        let request = fetch(&world, version, NO_SESSION, &[(0, 1)]);
        assert_eq!(told(&world.ask(version, &request))[0].3, both);
        let request = fetch(&world, version, NO_SESSION, &[(0, 2)]);
        assert_eq!(told(&world.ask(version, &request))[0].3, second);
    }
}

#[test]
fn limits_hold_but_for_the_first_batch() {
    let mut world = World::new();
    let first = append(&mut world, 0, &[("a", 0)]);
    append(&mut world, 0, &[("b", 0)]);
    let other = append(&mut world, 1, &[("c", 0)]);
    let mut request = fetch(&world, 12, NO_SESSION, &[(0, 0), (1, 0)]);
    request.max_bytes = 1;
    let read: Vec<Bytes> = told(&world.ask(12, &request))
        .into_iter()
        .map(|one| one.3)
        .collect();
    assert_eq!(read, [first.clone(), Bytes::new()]);
    request.max_bytes = 1_000_000;
    for partition in &mut request.topics[0].partitions {
        partition.partition_max_bytes = first.len() as i32;
    }
    let read: Vec<Bytes> = told(&world.ask(12, &request))
        .into_iter()
        .map(|one| one.3)
        .collect();
    assert_eq!(read, [first, other]);
}

#[test]
fn a_fetch_waits_for_records_and_no_longer_than_it_says() {
    let mut world = World::new();
    let request = fetch(&world, 12, NO_SESSION, &[(0, 0), (1, 0)]);
    let waiting = world.begin(1, 12, &request).unwrap_err();
    assert!(!world.is_woken(&waiting));
    let stored = append(&mut world, 1, &[("a", 0)]);
    assert!(world.is_woken(&waiting));
    let answer = world.go_on::<FetchRequest>(waiting).ok().unwrap();
    assert_eq!(told(&answer)[1].3, stored);

    let request = fetch(&world, 12, NO_SESSION, &[(0, 0)]);
    let waiting = world.begin(1, 12, &request).unwrap_err();
    world.pass(Duration::from_millis(999));
    let waiting = world.go_on::<FetchRequest>(waiting).unwrap_err();
    world.pass(Duration::from_millis(1));
    let answer = world.go_on::<FetchRequest>(waiting).ok().unwrap();
    assert_eq!(told(&answer), [(0, ErrorCode::NONE, 0, Bytes::new())]);
}

#[test]
fn a_moved_leader_ends_the_waiting() {
    let mut world = World::with(|settings| {
        settings.nodes = 2;
        settings.replication = 2;
    });
    world.state.move_leader("t", 0, 1).unwrap();
    let request = fetch(&world, 17, NO_SESSION, &[(0, 0)]);
    let waiting = world.begin(1, 17, &request).unwrap_err();
    world.state.move_leader("t", 0, 2).unwrap();
    assert!(world.is_woken(&waiting));
    let answer = world.go_on::<FetchRequest>(waiting).ok().unwrap();
    assert_eq!(told(&answer)[0].1, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(
        answer.responses[0].partitions[0].current_leader.leader_id.0,
        2
    );
    assert_eq!(answer.node_endpoints[0].node_id.0, 2);
}

#[test]
fn offsets_outside_of_the_log_and_wrong_epochs_are_told() {
    let mut world = World::with(|settings| {
        settings.nodes = 2;
        settings.replication = 2;
    });
    world.state.move_leader("t", 0, 2).unwrap();
    world.state.move_leader("t", 0, 1).unwrap();
    let epoch = world.state.topics.partition("t", 0).unwrap().epoch;
    append(&mut world, 0, &[("a", 0), ("b", 0)]);
    world
        .state
        .topics
        .partition_mut("t", 0)
        .unwrap()
        .log
        .delete_before(1)
        .unwrap();
    for (offset, leader_epoch, code) in [
        (0, -1, ErrorCode::OFFSET_OUT_OF_RANGE),
        (3, -1, ErrorCode::OFFSET_OUT_OF_RANGE),
        (1, epoch - 1, ErrorCode::FENCED_LEADER_EPOCH),
        (1, epoch + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (1, epoch, ErrorCode::NONE),
    ] {
        let mut request = fetch(&world, 12, NO_SESSION, &[(0, offset)]);
        request.topics[0].partitions[0].current_leader_epoch = leader_epoch;
        assert_eq!(
            told(&world.ask(12, &request))[0].1,
            code,
            "{offset} {leader_epoch}"
        );
    }
}

#[test]
fn a_session_tells_only_what_changed() {
    let mut world = World::new();
    let request = fetch(&world, 15, (0, 0), &[(0, 0), (1, 0)]);
    world.begin(1, 15, &request).unwrap_err();
    let stored = append(&mut world, 0, &[("a", 0)]);
    let answer = world.ask(15, &fetch(&world, 15, (0, 0), &[(0, 0), (1, 0)]));
    let id = answer.session_id;
    assert!(id > 0);
    assert_eq!(told(&answer).len(), 2);
    // From where it left off; partition 1 is as it was.
    let answer = {
        let request = fetch(&world, 15, (id, 1), &[(0, 0)]);
        world.ask(15, &request)
    };
    assert_eq!(told(&answer), [(0, ErrorCode::NONE, 1, stored)]);
    let request = fetch(&world, 15, (id, 2), &[(0, 1)]);
    let waiting = world.begin(1, 15, &request).unwrap_err();
    world.pass(Duration::from_secs(1));
    let answer = world.go_on::<FetchRequest>(waiting).ok().unwrap();
    assert_eq!(told(&answer), []);
    // A forgotten partition is silent, the other is not.
    append(&mut world, 0, &[("b", 0)]);
    let other = append(&mut world, 1, &[("c", 0)]);
    let mut request = fetch(&world, 15, (id, 3), &[]);
    let forgotten = ForgottenTopic::default()
        .with_topic_id(world.state.topics.get("t").unwrap().id.into_uuid())
        .with_partitions(vec![0]);
    request = request.with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(
        told(&world.ask(15, &request)),
        [(1, ErrorCode::NONE, 1, other)]
    );
}

#[test]
fn wrong_sessions_are_refused() {
    let mut world = World::new();
    append(&mut world, 0, &[("a", 0)]);
    let request = fetch(&world, 12, (0, 0), &[(0, 0)]);
    let id = world.ask(12, &request).session_id;
    for (session, version, code) in [
        ((id, 2), 12, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        ((id, 1), 13, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR),
        (
            (id.wrapping_add(1), 1),
            12,
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        ),
    ] {
        let request = fetch(&world, version, session, &[]);
        let answer = world.ask(version, &request);
        assert_eq!(ErrorCode::new(answer.error_code), code);
    }
    // Closed by its client, it is gone.
    let request = fetch(&world, 12, (id, -1), &[(0, 0)]);
    assert_eq!(world.ask(12, &request).session_id, 0);
    let request = fetch(&world, 12, (id, 1), &[]);
    let code = ErrorCode::new(world.ask(12, &request).error_code);
    assert_eq!(code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn who_had_records_is_read_last_the_next_time() {
    let mut world = World::new();
    append(&mut world, 0, &[("a", 0)]);
    append(&mut world, 1, &[("b", 0)]);
    let mut request = fetch(&world, 12, (0, 0), &[(0, 0), (1, 0)]);
    request.max_bytes = 1;
    let answer = world.ask(12, &request);
    assert_eq!(
        told(&answer).iter().filter(|one| !one.3.is_empty()).count(),
        1
    );
    let mut request = fetch(&world, 12, (answer.session_id, 1), &[]);
    request.max_bytes = 1;
    let read: Vec<i32> = told(&world.ask(12, &request))
        .into_iter()
        .filter(|one| !one.3.is_empty())
        .map(|one| one.0)
        .collect();
    assert_eq!(read, [1]);
}

fn list(world: &mut World, version: i16, timestamp: i64) -> (ErrorCode, i64, i64) {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_timestamp(timestamp);
    let of = ListOffsetsTopic::default()
        .with_name(topic("t"))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![of]);
    let answer = world.ask(version, &request);
    let one = &answer.topics[0].partitions[0];
    (ErrorCode::new(one.error_code), one.offset, one.timestamp)
}

#[test]
fn offsets_are_found_by_time_in_every_version() {
    for version in versions::<ListOffsetsRequest>() {
        let mut world = World::new();
        append(&mut world, 0, &[("a", 0), ("b", 10), ("c", 20)]);
        append(&mut world, 0, &[("d", 15), ("e", 30)]);
        let none = ErrorCode::NONE;
        assert_eq!(list(&mut world, version, -1), (none, 5, -1));
        assert_eq!(list(&mut world, version, -2), (none, 0, -1));
        assert_eq!(list(&mut world, version, -3), (none, 4, START + 30));
        assert_eq!(list(&mut world, version, START), (none, 0, START));
        assert_eq!(list(&mut world, version, START + 5), (none, 1, START + 10));
        assert_eq!(list(&mut world, version, START + 25), (none, 4, START + 30));
        assert_eq!(list(&mut world, version, START + 31), (none, -1, -1));
    }
}
