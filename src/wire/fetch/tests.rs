use kafka_protocol::messages::fetch_request::{
    FetchPartition as TheirPartition, FetchTopic as TheirTopic, ForgottenTopic as TheirForgotten,
};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction as TheirAborted, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData, SnapshotId,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::*;
use crate::wire::testing::{
    encoded, refuses_damage, refuses_truncation_and_trailing_bytes, request, tag, versions,
};

fn id(text: &str) -> TopicId {
    let mut id = [b' '; 16];
    id[..text.len()].copy_from_slice(text.as_bytes());
    TopicId(id)
}

fn call() -> Fetch {
    let partition = |partition, leader_epoch, offset| FetchPartition {
        partition,
        leader_epoch,
        offset,
        max_bytes: 1 << 20,
    };
    Fetch {
        max_wait: Duration::from_millis(500),
        min_bytes: 1,
        max_bytes: 50 << 20,
        read_committed: false,
        session_id: 77,
        session_epoch: 12,
        by_name: false,
        topics: vec![
            FetchTopic {
                name: "orders".into(),
                id: id("orders"),
                partitions: vec![partition(0, 5, 1 << 40), partition(11, -1, 0)],
            },
            FetchTopic {
                name: "clicks".into(),
                id: id("clicks"),
                partitions: vec![partition(3, 0, 9)],
            },
        ],
        forgotten: vec![ForgottenTopic {
            name: "old".into(),
            id: id("old"),
            partitions: vec![1, 2],
        }],
        rack: "rack-1".into(),
    }
}

/// The same request in kafka_protocol's types.
fn theirs(version: i16, call: &Fetch) -> FetchRequest {
    let by_id = version >= 13;
    let name = |name: &str| {
        let name = if by_id { "" } else { name };
        kafka_protocol::messages::TopicName(StrBytes::from_string(name.into()))
    };
    let id = |id: TopicId| {
        let id = if by_id { id } else { TopicId::ZERO };
        id.to_string().parse().unwrap()
    };
    let partition = |asked: &FetchPartition| {
        TheirPartition::default()
            .with_partition(asked.partition)
            .with_current_leader_epoch(asked.leader_epoch)
            .with_fetch_offset(asked.offset)
            .with_partition_max_bytes(asked.max_bytes)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
    };
    let topics = call.topics.iter().map(|topic| {
        TheirTopic::default()
            .with_topic(name(&topic.name))
            .with_topic_id(id(topic.id))
            .with_partitions(topic.partitions.iter().map(partition).collect())
    });
    let forgotten = call.forgotten.iter().map(|topic| {
        TheirForgotten::default()
            .with_topic(name(&topic.name))
            .with_topic_id(id(topic.id))
            .with_partitions(topic.partitions.clone())
    });
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(call.max_wait.as_millis() as i32)
        .with_min_bytes(call.min_bytes)
        .with_max_bytes(call.max_bytes)
        .with_isolation_level(i8::from(call.read_committed))
        .with_session_id(call.session_id)
        .with_session_epoch(call.session_epoch)
        .with_topics(topics.collect())
        .with_forgotten_topics_data(forgotten.collect())
        .with_rack_id(StrBytes::from_string(call.rack.to_string()))
}

#[test]
fn the_request_is_what_kafka_protocol_reads() {
    let nothing = Fetch {
        read_committed: true,
        session_id: 0,
        session_epoch: -1,
        topics: vec![],
        forgotten: vec![],
        rack: "".into(),
        ..call()
    };
    for call in [call(), nothing] {
        for version in versions(ApiKey::Fetch) {
            let read: FetchRequest = request(&call, version);
            assert_eq!(read, theirs(version, &call), "version {version}");
        }
    }
}

#[test]
fn a_request_is_no_longer_than_the_room_made_for_it() {
    let partition = call().topics[0].partitions[0];
    let mut call = call();
    call.topics[0].partitions = vec![partition; 500];
    call.forgotten[0].partitions = vec![1; 500];
    for version in versions(ApiKey::Fetch) {
        let mut out = BytesMut::new();
        call.encode(version, &mut out);
        assert!(out.len() <= call.size(), "version {version}");
    }
}

#[test]
fn a_topic_without_an_id_is_asked_for_by_name() {
    assert_eq!(call().max_version(), 17);
    let mut asked = call();
    asked.topics[1].id = TopicId::ZERO;
    assert_eq!(asked.max_version(), 12);
    let mut forgotten = call();
    forgotten.forgotten[0].id = TopicId::ZERO;
    assert_eq!(forgotten.max_version(), 12);
}

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-z\u{e9}]{0,40}".prop_map(StrBytes::from_string)
}

prop_compose! {
    fn partition(version: i16)(
        index: i32,
        code: i16,
        offsets: (i64, i64, i64),
        aborted in prop::option::of(prop::collection::vec((any::<i64>(), any::<i64>()), 0..3)),
        replica in -1i32..5,
        leader in prop::option::of((-1i32..100, 0i32..100)),
        records in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
        tagged: bool,
    ) -> PartitionData {
        let flexible = version >= 12;
        let transaction = |(producer, offset): (i64, i64)| {
            let theirs = TheirAborted::default()
                .with_producer_id(producer.into())
                .with_first_offset(offset);
            if flexible && tagged { theirs.with_unknown_tagged_fields(tag()) } else { theirs }
        };
        let mut theirs = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(code)
            .with_high_watermark(offsets.0)
            .with_last_stable_offset(offsets.1)
            .with_log_start_offset(offsets.2)
            .with_aborted_transactions(aborted.map(|all| all.into_iter().map(transaction).collect()))
            .with_preferred_read_replica(replica.into())
            .with_records(records.map(Bytes::from));
        if let (true, Some((id, epoch))) = (flexible, leader) {
            theirs.current_leader =
                LeaderIdAndEpoch::default().with_leader_id(id.into()).with_leader_epoch(epoch);
        }
        if flexible && tagged {
            theirs.diverging_epoch = EpochEndOffset::default().with_epoch(3).with_end_offset(4);
            theirs.snapshot_id = SnapshotId::default().with_epoch(5).with_end_offset(6);
            theirs.unknown_tagged_fields = tag();
        }
        theirs
    }
}

prop_compose! {
    fn answer(version: i16)(
        topics in prop::collection::vec(
            (text(), any::<u128>(), prop::collection::vec(partition(version), 0..3)),
            0..3,
        ),
        throttle in 0i32..,
        code: i16,
        session: i32,
        nodes in prop::collection::vec((0i32..100, text(), 1i32..=65535), 0..3),
        tagged: bool,
    ) -> FetchResponse {
        let tagged = tagged && version >= 12;
        let topics = topics.into_iter().map(|(name, id, partitions)| {
            let mut topic = FetchableTopicResponse::default().with_partitions(partitions);
            if version >= 13 {
                topic.topic_id = TopicId(id.to_be_bytes()).to_string().parse().unwrap();
            } else {
                topic.topic = name.into();
            }
            if tagged { topic.with_unknown_tagged_fields(tag()) } else { topic }
        });
        let mut theirs = FetchResponse::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(throttle)
            .with_error_code(code)
            .with_session_id(session);
        if version >= 16 {
            let nodes = nodes.into_iter().map(|(id, host, port)| {
                NodeEndpoint::default().with_node_id(id.into()).with_host(host).with_port(port)
            });
            theirs.node_endpoints = nodes.collect();
        }
        if tagged { theirs.with_unknown_tagged_fields(tag()) } else { theirs }
    }
}

/// Our reading, in kafka_protocol's terms.
fn agree(version: i16, ours: &FetchAnswer, theirs: &FetchResponse) {
    let throttle = Duration::from_millis(theirs.throttle_time_ms as u64);
    assert_eq!(ours.throttle, throttle);
    assert_eq!(ours.code.code(), theirs.error_code);
    assert_eq!(ours.session_id, theirs.session_id);
    assert_eq!(ours.nodes.len(), theirs.node_endpoints.len());
    for ((id, address), node) in ours.nodes.iter().zip(&theirs.node_endpoints) {
        assert_eq!((id.0, i32::from(address.port)), (*node.node_id, node.port));
        assert_eq!(*address.host, *node.host);
    }
    assert_eq!(ours.topics.len(), theirs.responses.len());
    for (ours, theirs) in ours.topics.iter().zip(&theirs.responses) {
        match &ours.topic {
            TopicRef::Name(name) if version < 13 => {
                assert_eq!(name.as_str(), theirs.topic.as_str());
            }
            TopicRef::Id(id) if version >= 13 => assert_eq!(&id.0, theirs.topic_id.as_bytes()),
            other => panic!("{other:?} in version {version}"),
        }
        assert_eq!(ours.partitions.len(), theirs.partitions.len());
        for (ours, theirs) in ours.partitions.iter().zip(&theirs.partitions) {
            partition_agrees(ours, theirs);
        }
    }
}

fn partition_agrees(ours: &FetchedPartition, theirs: &PartitionData) {
    assert_eq!(ours.partition, theirs.partition_index);
    assert_eq!(ours.code.code(), theirs.error_code);
    assert_eq!(ours.high_watermark, theirs.high_watermark);
    assert_eq!(ours.last_stable_offset, theirs.last_stable_offset);
    assert_eq!(ours.log_start_offset, theirs.log_start_offset);
    let aborted = theirs.aborted_transactions.iter().flatten();
    let aborted: Vec<_> = aborted
        .map(|theirs| AbortedTransaction {
            producer_id: *theirs.producer_id,
            first_offset: theirs.first_offset,
        })
        .collect();
    assert_eq!(ours.aborted, aborted);
    let replica = *theirs.preferred_read_replica;
    let replica = (replica >= 0).then_some(BrokerId(replica));
    assert_eq!(ours.preferred_replica, replica);
    let leader = &theirs.current_leader;
    let known = leader.leader_id.0 >= 0;
    let leader = known.then_some((BrokerId(leader.leader_id.0), leader.leader_epoch));
    assert_eq!(ours.leader_hint, leader);
    assert_eq!(ours.records, theirs.records.clone().unwrap_or_default());
}

fn any_answer() -> impl Strategy<Value = (i16, FetchResponse)> {
    versions(ApiKey::Fetch).prop_flat_map(|version| (Just(version), answer(version)))
}

proptest! {
    #[test]
    fn the_answer_is_what_kafka_protocol_writes((version, theirs) in any_answer()) {
        let ours = Fetch::decode(version, encoded(&theirs, version)).unwrap();
        agree(version, &ours, &theirs);
    }

    #[test]
    fn an_answer_cut_at_any_byte_or_followed_by_more_is_malformed((version, theirs) in any_answer()) {
        let body = encoded(&theirs, version);
        refuses_truncation_and_trailing_bytes(&body, |body| Fetch::decode(version, body));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn hostile_lengths_anywhere_in_an_answer_never_panic((version, theirs) in any_answer()) {
        refuses_damage::<Fetch>(version, &encoded(&theirs, version));
    }
}

#[test]
fn record_sets_are_slices_of_the_frame_not_copies() {
    let partition = PartitionData::default().with_records(Some(vec![7; 1000].into()));
    for version in versions(ApiKey::Fetch) {
        let topic = FetchableTopicResponse::default().with_partitions(vec![partition.clone(); 3]);
        let theirs = FetchResponse::default().with_responses(vec![topic]);
        let body = encoded(&theirs, version);
        let frame = body.as_ptr_range();
        let answer = Fetch::decode(version, body.clone()).unwrap();
        for fetched in &answer.topics[0].partitions {
            assert_eq!(fetched.records.len(), 1000);
            assert!(frame.contains(&fetched.records.as_ptr()));
        }
    }
}

#[test]
fn counts_beyond_the_bytes_that_are_left_are_refused() {
    for (version, body) in [
        (11, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0][..]),
        (11, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        (11, &[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0]),
        (12, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]),
        (17, &[0xff, 0xff, 0xff, 0xff, 0x07, 0, 0]),
        (17, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]),
        (17, &[0x01, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        // throttle, code and session before the topics
        let body = [&[0; 10], body].concat();
        let read = Fetch::decode(version, body.clone().into());
        assert!(read.is_err(), "version {version}, {body:x?}");
    }
}

#[test]
fn hints_have_their_versions_and_must_be_used_up() {
    let whole = |version: i16, tail: &[u8]| {
        let body = [&[0; 10], tail].concat();
        Fetch::decode(version, body.into())
    };
    // no topics; one tagged field: node endpoints, an empty array
    whole(16, &[1, 1, 0, 1, 1]).unwrap();
    // and one byte more
    let longer = [1, 1, 0, 2, 1, 0];
    whole(16, &longer).unwrap_err();
    // the same tag is unknown to version 15, where it is skipped
    whole(15, &longer).unwrap();

    let leader = |extra: u8| {
        let mut tail = vec![2, 2, b't', 2]; // one topic, its name, one partition
        tail.extend([0; 30]); // index, code, three offsets
        tail.extend([0, 0, 0, 0, 9, 1]); // nothing aborted, a replica, no records
        tail.extend([1, 1, 9 + extra, 0, 0, 0, 5, 0, 0, 0, 6, 0]); // the leader, its epoch, no tags
        tail.extend(vec![0; extra.into()]);
        tail.extend([0, 0]); // the topic's tags, the answer's tags
        whole(12, &tail)
    };
    let answer = leader(0).unwrap();
    let fetched = &answer.topics[0].partitions[0];
    assert_eq!(fetched.leader_hint, Some((BrokerId(5), 6)));
    assert_eq!(fetched.preferred_replica, Some(BrokerId(9)));
    leader(1).unwrap_err();
}
