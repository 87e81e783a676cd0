//! Damaged requests: refused or answered, never a panic, and nothing out of proportion.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;

use super::{ConnectionId, Waiting, World, batch, frame, read, versions};

/// Handles what can be read, in a cluster where something is.
fn handle(world: &mut World, bytes: &[u8]) {
    if let Ok((header, call)) = read(bytes) {
        let connection = ConnectionId(1);
        let mut waiting = Waiting {
            connection,
            header,
            call,
        };
        world.step(&mut waiting);
    }
}

fn damage(world: &mut World, good: &[u8]) {
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [good, &[0]].concat();
    assert!(read(&longer).is_err());
    for at in 0..good.len() {
        for hostile in [
            &[0xff][..],
            &[0x00],
            &[0x7f, 0xff],
            &[0xff, 0xff, 0xff, 0xff],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let mut bytes = good.to_vec();
            for (place, byte) in bytes[at..].iter_mut().zip(hostile) {
                *place = *byte;
            }
            handle(world, &bytes);
        }
    }
}

fn defaults<R: Request + Default>() {
    let mut world = World::new();
    for version in versions::<R>() {
        damage(&mut world, &frame(version, &R::default()));
    }
}

#[test]
fn damaged_requests_are_refused_or_answered() {
    defaults::<ProduceRequest>();
    defaults::<FetchRequest>();
    defaults::<ListOffsetsRequest>();
    defaults::<MetadataRequest>();
    defaults::<OffsetCommitRequest>();
    defaults::<OffsetFetchRequest>();
    defaults::<FindCoordinatorRequest>();
    defaults::<JoinGroupRequest>();
    defaults::<HeartbeatRequest>();
    defaults::<LeaveGroupRequest>();
    defaults::<SyncGroupRequest>();
    defaults::<DescribeGroupsRequest>();
    defaults::<ListGroupsRequest>();
    defaults::<SaslHandshakeRequest>();
    defaults::<SaslAuthenticateRequest>();
    defaults::<ApiVersionsRequest>();
    defaults::<CreateTopicsRequest>();
    defaults::<DeleteTopicsRequest>();
    defaults::<DeleteRecordsRequest>();
    defaults::<InitProducerIdRequest>();
    defaults::<OffsetForLeaderEpochRequest>();
    defaults::<DescribeConfigsRequest>();
    defaults::<CreatePartitionsRequest>();
    defaults::<DeleteGroupsRequest>();
    defaults::<IncrementalAlterConfigsRequest>();
    defaults::<OffsetDeleteRequest>();
    defaults::<AddPartitionsToTxnRequest>();
    defaults::<AddOffsetsToTxnRequest>();
    defaults::<EndTxnRequest>();
    defaults::<WriteTxnMarkersRequest>();
    defaults::<TxnOffsetCommitRequest>();
    defaults::<DescribeProducersRequest>();
    defaults::<DescribeTransactionsRequest>();
    defaults::<ListTransactionsRequest>();
    defaults::<DescribeClusterRequest>();
}

#[test]
fn damaged_batches_are_refused() {
    let mut world = World::new();
    for version in versions::<ProduceRequest>() {
        let records = batch((5, 0, 0), super::START, &[("a", 0), ("b", 1)]);
        let request = super::producing::produce(&world, version, 0, records);
        damage(&mut world, &frame(version, &request));
    }
}

#[test]
fn a_request_of_too_many_elements_is_refused() {
    let groups = (0..200_001).map(|_| GroupId::default()).collect();
    let request = DescribeGroupsRequest::default().with_groups(groups);
    assert!(read(&frame(5, &request)).is_err());
}

#[test]
fn clients_cannot_make_partitions_without_end() {
    use kafka_protocol::messages::create_topics_request::CreatableTopic;
    let mut world = World::new();
    let topics = (0..100).map(|n| {
        CreatableTopic::default()
            .with_name(super::topic(&format!("t{n}")))
            .with_num_partitions(10_000)
            .with_replication_factor(1)
    });
    let request = CreateTopicsRequest::default().with_topics(topics.collect());
    let answer = world.ask(7, &request);
    let made = answer.topics.iter().filter(|topic| topic.error_code == 0);
    assert_eq!(made.count(), 9);
    // And what they ask for many times is not told without end.
    let names = (0..1000).map(|_| {
        let name = Some(super::topic("t0"));
        metadata_request::MetadataRequestTopic::default().with_name(name)
    });
    let request = MetadataRequest::default().with_topics(Some(names.collect()));
    let (header, call) = read(&frame(12, &request)).unwrap();
    let connection = ConnectionId(1);
    let (_, answer) = world.step(&mut Waiting {
        connection,
        header,
        call,
    });
    assert!(answer.len() < 40_000_000);
}
