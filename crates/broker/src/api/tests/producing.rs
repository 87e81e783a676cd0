//! Produce and InitProducerId: what is appended, what is a duplicate, what is refused.

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};

use super::{START, World, batch, topic, versions};
use crate::state::configs::TopicConfigs;
use crate::wire::ErrorCode;

pub(super) fn produce(
    world: &World,
    version: i16,
    partition: i32,
    records: Bytes,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let mut to = TopicProduceData::default().with_partition_data(vec![data]);
    if version >= 13 {
        let id = world.state.topics.get("t").unwrap().id;
        to = to.with_topic_id(id.into_uuid());
    } else {
        to = to.with_name(topic("t"));
    }
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![to])
}

pub(super) trait IntoUuid {
    fn into_uuid(self) -> uuid::Uuid;
}

impl IntoUuid for [u8; 16] {
    fn into_uuid(self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self)
    }
}

/// Code, base offset, append time and log start of the only partition.
fn told(answer: &ProduceResponse) -> (ErrorCode, i64, i64, i64) {
    let one = &answer.responses[0].partition_responses[0];
    let code = ErrorCode::new(one.error_code);
    (
        code,
        one.base_offset,
        one.log_append_time_ms,
        one.log_start_offset,
    )
}

fn send(world: &mut World, records: Bytes) -> (ErrorCode, i64, i64, i64) {
    let request = produce(world, 11, 0, records);
    told(&world.ask(11, &request))
}

const NOBODY: (i64, i16, i32) = (-1, -1, -1);

#[test]
fn batches_get_the_next_offset_in_every_version() {
    for version in versions::<ProduceRequest>() {
        let mut world = World::new();
        let records = batch(NOBODY, START, &[("a", 0), ("b", 1)]);
        let request = produce(&world, version, 1, records);
        let first = told(&world.ask(version, &request));
        let log_start = if version >= 5 { 0 } else { -1 };
        assert_eq!(first, (ErrorCode::NONE, 0, -1, log_start));
        let second = told(&world.ask(version, &request));
        assert_eq!(second.1, 2);
        let log = &world.state.topics.partition("t", 1).unwrap().log;
        let bases: Vec<i64> = log.stored().map(|batch| batch.base).collect();
        assert_eq!(bases, [0, 2]);
        let stored = log.stored().nth(1).unwrap();
        assert_eq!(stored.bytes[..8], 2_i64.to_be_bytes());
        assert_eq!(stored.bytes[12..16], 0_i32.to_be_bytes());
    }
}

#[test]
fn a_duplicate_is_answered_as_the_first_time_and_is_not_appended() {
    let mut world = World::new();
    let batches = [0, 2, 4].map(|sequence| batch((5, 0, sequence), START, &[("a", 0), ("b", 0)]));
    for records in &batches {
        assert_eq!(send(&mut world, records.clone()).0, ErrorCode::NONE);
    }
    assert_eq!(
        send(&mut world, batches[1].clone()),
        (ErrorCode::NONE, 2, START, 0)
    );
    assert_eq!(world.state.topics.partition("t", 0).unwrap().log.end(), 6);
}

#[test]
fn gaps_and_old_epochs_are_refused() {
    let mut world = World::new();
    let records = |epoch, sequence| batch((5, epoch, sequence), START, &[("a", 0)]);
    assert_eq!(send(&mut world, records(1, 0)).0, ErrorCode::NONE);
    let gap = send(&mut world, records(1, 2));
    assert_eq!(gap.0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let old = send(&mut world, records(0, 1));
    assert_eq!(old.0, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(send(&mut world, records(2, 0)).0, ErrorCode::NONE);
}

#[test]
fn what_is_damaged_or_not_one_batch_is_refused() {
    let good = batch(NOBODY, START, &[("a", 0)]);
    let changed = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    for (records, code) in [
        (changed(good.len() - 1), ErrorCode::CORRUPT_MESSAGE),
        (changed(20), ErrorCode::CORRUPT_MESSAGE),
        (changed(16), ErrorCode::INVALID_RECORD),
        (good.slice(..good.len() - 1), ErrorCode::CORRUPT_MESSAGE),
        (good.slice(..30), ErrorCode::CORRUPT_MESSAGE),
        (Bytes::new(), ErrorCode::INVALID_RECORD),
        (
            [good.clone(), good.clone()].concat().into(),
            ErrorCode::INVALID_RECORD,
        ),
        (
            super::sealed(NOBODY, 0, 0, 2, &good[61..]),
            ErrorCode::INVALID_RECORD,
        ),
        (
            super::sealed(NOBODY, 0, 0, 1, b"no record"),
            ErrorCode::INVALID_RECORD,
        ),
    ] {
        let mut world = World::new();
        let (told, base, time, _) = send(&mut world, records);
        assert_eq!((told, base, time), (code, -1, -1));
        assert_eq!(world.state.topics.partition("t", 0).unwrap().log.end(), 0);
    }
}

#[test]
fn settings_of_the_topic_are_kept() {
    let set = |pairs: &[(&str, &str)]| {
        let mut world = World::new();
        let pairs = pairs.iter().map(|(name, value)| (*name, Some(*value)));
        let configs = TopicConfigs::default().with(pairs).unwrap();
        world.state.topics.get_mut("t").unwrap().configs = configs;
        world
    };
    let records = batch(NOBODY, START, &[("a", 0)]);
    let mut world = set(&[("max.message.bytes", "60")]);
    assert_eq!(
        send(&mut world, records.clone()).0,
        ErrorCode::MESSAGE_TOO_LARGE
    );
    let mut world = set(&[("min.insync.replicas", "2")]);
    assert_eq!(send(&mut world, records.clone()).0, ErrorCode::NONE);
    let partition = world.state.topics.partition_mut("t", 0).unwrap();
    partition.replicas.push(7);
    assert_eq!(
        send(&mut world, records.clone()).0,
        ErrorCode::NOT_ENOUGH_REPLICAS
    );
    let mut world = set(&[("message.timestamp.type", "LogAppendTime")]);
    let wall = world.wall();
    assert_eq!(send(&mut world, records), (ErrorCode::NONE, 0, wall, 0));
    let log = &world.state.topics.partition("t", 0).unwrap().log;
    let stored = log.stored().next().unwrap().bytes.clone();
    assert_eq!(stored[35..43], wall.to_be_bytes());
    assert_eq!(stored[17..21], crc32c::crc32c(&stored[21..]).to_be_bytes());
    let mut world = World::new();
    let future = batch(NOBODY, START + 3_700_000, &[("a", 0)]);
    assert_eq!(send(&mut world, future).0, ErrorCode::INVALID_TIMESTAMP);
}

#[test]
fn only_the_leader_takes_records_and_names_the_one_who_does() {
    for version in versions::<ProduceRequest>() {
        let mut world = World::with(|settings| {
            settings.nodes = 2;
            settings.replication = 2;
        });
        world.state.move_leader("t", 0, 1).unwrap();
        world.state.move_leader("t", 0, 2).unwrap();
        let records = batch(NOBODY, START, &[("a", 0)]);
        let request = produce(&world, version, 0, records);
        let answer = world.ask(version, &request);
        assert_eq!(told(&answer).0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let hint = &answer.responses[0].partition_responses[0].current_leader;
        let epoch = world.state.topics.partition("t", 0).unwrap().epoch;
        if version >= 10 {
            assert_eq!((hint.leader_id.0, hint.leader_epoch), (2, epoch));
            let node = &answer.node_endpoints[0];
            assert_eq!((node.node_id.0, node.port), (2, 9094));
        } else {
            assert_eq!(hint.leader_id.0, -1);
        }
    }
}

#[test]
fn unknown_topics_and_partitions_are_told_by_the_name_the_version_has() {
    let mut world = World::new();
    let records = batch(NOBODY, START, &[("a", 0)]);
    let request = produce(&world, 12, 7, records.clone());
    let answer = world.ask(12, &request);
    assert_eq!(told(&answer).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut request = produce(&world, 13, 0, records);
    request.topic_data[0].topic_id = uuid::Uuid::from_u128(5);
    let answer = world.ask(13, &request);
    assert_eq!(told(&answer).0, ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::new();
    let mut ids = Vec::new();
    for version in versions::<InitProducerIdRequest>() {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = world.ask(version, &request);
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
        ids.push(answer.producer_id.0);
    }
    ids.dedup();
    assert_eq!(ids.len(), versions::<InitProducerIdRequest>().count());
}
