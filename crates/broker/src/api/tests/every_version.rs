//! Each call is understood and answered in each version that the broker says it speaks.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;

use super::{ConnectionId, Step, Waiting, World, frame, read, versions};
use crate::wire::ApiKey;

fn defaults<R: Request + Default>() {
    for version in versions::<R>() {
        let (header, call) = read(&frame(version, &R::default())).unwrap();
        let connection = ConnectionId(1);
        let mut waiting = Waiting {
            connection,
            header,
            call,
        };
        let (step, answer) = World::new().step(&mut waiting);
        match step {
            // Whatever it says, it has the right form.
            Step::Answer => drop(super::answer::<R>(version, answer)),
            // What says nothing wants no acknowledgement.
            other => assert_eq!((R::KEY, other), (0, Step::Silence)),
        }
    }
}

fn ranges<R: Request>() {
    let ours = versions::<R>();
    assert!(R::VERSIONS.min <= *ours.start() && *ours.end() <= R::VERSIONS.max);
    let key = ApiKey::from_code(R::KEY).unwrap();
    for version in ours {
        let flexible = version >= key.flexible_from();
        let header = R::header_version(version);
        assert_eq!(header == 2, flexible, "{key} {version}");
    }
}

macro_rules! every {
    ($call:ident) => {
        $call::<ProduceRequest>();
        $call::<FetchRequest>();
        $call::<ListOffsetsRequest>();
        $call::<MetadataRequest>();
        $call::<OffsetCommitRequest>();
        $call::<OffsetFetchRequest>();
        $call::<FindCoordinatorRequest>();
        $call::<JoinGroupRequest>();
        $call::<HeartbeatRequest>();
        $call::<LeaveGroupRequest>();
        $call::<SyncGroupRequest>();
        $call::<DescribeGroupsRequest>();
        $call::<ListGroupsRequest>();
        $call::<SaslHandshakeRequest>();
        $call::<SaslAuthenticateRequest>();
        $call::<ApiVersionsRequest>();
        $call::<CreateTopicsRequest>();
        $call::<DeleteTopicsRequest>();
        $call::<DeleteRecordsRequest>();
        $call::<InitProducerIdRequest>();
        $call::<OffsetForLeaderEpochRequest>();
        $call::<DescribeConfigsRequest>();
        $call::<CreatePartitionsRequest>();
        $call::<DeleteGroupsRequest>();
        $call::<IncrementalAlterConfigsRequest>();
        $call::<OffsetDeleteRequest>();
        $call::<AddPartitionsToTxnRequest>();
        $call::<AddOffsetsToTxnRequest>();
        $call::<EndTxnRequest>();
        $call::<WriteTxnMarkersRequest>();
        $call::<TxnOffsetCommitRequest>();
        $call::<DescribeProducersRequest>();
        $call::<DescribeTransactionsRequest>();
        $call::<ListTransactionsRequest>();
        $call::<DescribeClusterRequest>();
    };
}

#[test]
fn every_call_is_answered_in_every_version() {
    every!(defaults);
}

#[test]
fn no_version_is_spoken_that_is_not_kafkas() {
    every!(ranges);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_oldest_layout() {
    let mut bytes = frame(4, &ApiVersionsRequest::default());
    bytes[3] = 99;
    let (header, call) = read(&bytes).unwrap();
    let mut world = World::new();
    let (_, answer) = world.step(&mut Waiting {
        connection: ConnectionId(1),
        header,
        call,
    });
    assert_eq!(answer[..4], (answer.len() as u32 - 4).to_be_bytes());
    assert_eq!(answer[4..8], 77_i32.to_be_bytes());
    assert_eq!(answer[8..10], 35_i16.to_be_bytes());
    assert_eq!(answer[10..14], (ApiKey::ALL.len() as i32).to_be_bytes());
    assert_eq!(answer.len(), 14 + 6 * ApiKey::ALL.len());
}

#[test]
fn the_answer_names_every_call_with_its_versions() {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(super::s("a-client"))
        .with_client_software_version(super::s("1.0"));
    let answer = World::new().ask(4, &request);
    let told = answer.api_keys.iter();
    let told: Vec<_> = told
        .map(|one| (one.api_key, one.min_version, one.max_version))
        .collect();
    let ours = ApiKey::ALL.iter().map(|key| {
        let versions = key.versions();
        (key.code(), *versions.start(), *versions.end())
    });
    assert_eq!(told, ours.collect::<Vec<_>>());
}

#[test]
fn other_unknown_versions_and_calls_are_refused() {
    let mut bytes = frame(9, &ProduceRequest::default());
    bytes[3] = 14;
    assert!(read(&bytes).is_err());
    bytes[1] = 99;
    assert!(read(&bytes).is_err());
}
