use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::*;
use crate::wire::testing::{
    encoded, read, refuses_truncation_and_trailing_bytes, survives_hostile_lengths, tag, versions,
};

fn part(topic: u8, partition: i32, batch: &'static [u8]) -> ProducePart {
    ProducePart {
        topic: format!("topic-{topic}").into(),
        topic_id: TopicId([topic; 16]),
        partition,
        batch: Bytes::from_static(batch),
    }
}

/// The same request in kafka_protocol's types: topics with their partitions and batches.
fn theirs(version: i16, acks: i16, timeout: i32, parts: &[ProducePart]) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for part in parts {
        let mut topic = TopicProduceData::default();
        if version >= 13 {
            topic.topic_id = part.topic_id.to_string().parse().unwrap();
        } else {
            topic.name = StrBytes::from_string(part.topic.to_string()).into();
        }
        let known = topics
            .iter()
            .position(|t| t.name == topic.name && t.topic_id == topic.topic_id);
        let at = known.unwrap_or_else(|| {
            topics.push(topic);
            topics.len() - 1
        });
        topics[at].partition_data.push(
            PartitionProduceData::default()
                .with_index(part.partition)
                .with_records(Some(part.batch.clone())),
        );
    }
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(timeout)
        .with_topic_data(topics)
}

proptest! {
    #[test]
    fn the_request_is_what_kafka_protocol_writes(
        acks in -1i16..=1,
        timeout in 0i32..,
        topics in prop::collection::vec(prop::collection::vec((any::<i32>(), 0usize..300), 1..5), 0..5),
    ) {
        let mut parts = Vec::new();
        for (topic, partitions) in (1..).zip(topics) {
            for (partition, len) in partitions {
                parts.push(ProducePart {
                    batch: vec![topic; len].into(),
                    ..part(topic, partition, b"")
                });
            }
        }
        for version in versions(ApiKey::Produce) {
            let timeout_given = Duration::from_millis(timeout as u64);
            let ours = encode_produce(version, acks, timeout_given, None, &parts).concat();
            let theirs = theirs(version, acks, timeout, &parts);
            prop_assert_eq!(&encoded(&theirs, version), &ours);
            prop_assert_eq!(read::<ProduceRequest>(ours, version), theirs);
        }
    }
}

#[test]
fn a_batch_goes_out_as_its_own_bytes_not_as_a_copy() {
    let parts = [
        part(1, 0, b"first batch"),
        part(1, 1, b"second batch"),
        part(2, 0, b"third batch"),
    ];
    for version in versions(ApiKey::Produce) {
        let pieces = encode_produce(version, -1, Duration::from_secs(30), None, &parts);
        for (i, part) in parts.iter().enumerate() {
            let piece = &pieces[2 * i + 1];
            assert_eq!(piece.as_ptr(), part.batch.as_ptr(), "version {version}");
            assert_eq!(piece.len(), part.batch.len());
        }
        let expected = if version >= 9 { 7 } else { 6 };
        assert_eq!(pieces.len(), expected, "no empty pieces");
    }
}

#[test]
fn the_small_pieces_are_slices_of_one_allocation() {
    let parts: Vec<_> = (0..200).map(|n| part(n, 0, b"batch")).collect();
    for version in versions(ApiKey::Produce) {
        let pieces = encode_produce(version, -1, Duration::from_secs(30), None, &parts);
        let small: Vec<_> = pieces.iter().step_by(2).collect();
        for pair in small.windows(2) {
            let end = pair[0].as_ptr().wrapping_add(pair[0].len());
            assert_eq!(end, pair[1].as_ptr(), "version {version}");
        }
    }
}

#[test]
fn names_tell_topics_apart_below_version_13_and_ids_from_there_on() {
    let recreated = ProducePart {
        topic_id: TopicId([9; 16]),
        ..part(1, 1, b"b")
    };
    let parts = [part(1, 0, b"a"), recreated];
    for (version, topics) in [(12, 1), (13, 2)] {
        let body = encode_produce(version, -1, Duration::ZERO, None, &parts).concat();
        let request: ProduceRequest = read(body, version);
        assert_eq!(request.topic_data.len(), topics);
    }
}

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-z\u{e9}]{0,40}".prop_map(StrBytes::from_string)
}

prop_compose! {
    fn partition(version: i16)(
        index: i32, code: i16, numbers: (i64, i64, i64),
        errors in prop::collection::vec((any::<i32>(), prop::option::of(text())), 0..3),
        message in prop::option::of(text()),
        leader in prop::option::of((0i32..100, 0i32..100)),
        tagged: bool,
    ) -> PartitionProduceResponse {
        let errors = errors.into_iter().map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(index)
                .with_batch_index_error_message(message)
        });
        let mut answer = PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(code)
            .with_base_offset(numbers.0)
            .with_log_append_time_ms(numbers.1)
            .with_log_start_offset(numbers.2)
            .with_record_errors(errors.collect())
            .with_error_message(message);
        if let (true, Some((id, epoch))) = (version >= 10, leader) {
            answer.current_leader =
                LeaderIdAndEpoch::default().with_leader_id(id.into()).with_leader_epoch(epoch);
        }
        if version >= 9 && tagged {
            answer.unknown_tagged_fields = tag();
        }
        answer
    }
}

prop_compose! {
    fn answer(version: i16)(
        topics in prop::collection::vec(
            (text(), any::<u128>(), prop::collection::vec(partition(version), 0..3)),
            0..3,
        ),
        throttle in 0i32..,
        nodes in prop::collection::vec((0i32..100, text(), 1i32..=65535), 0..3),
        tagged: bool,
    ) -> ProduceResponse {
        let topics = topics.into_iter().map(|(name, id, partitions)| {
            let topic = TopicProduceResponse::default().with_partition_responses(partitions);
            if version >= 13 { topic.with_topic_id(TopicId(id.to_be_bytes()).to_string().parse().unwrap()) } else { topic.with_name(name.into()) }
        });
        let mut answer = ProduceResponse::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(throttle);
        if version >= 10 {
            let nodes = nodes.into_iter().map(|(id, host, port)| {
                NodeEndpoint::default().with_node_id(id.into()).with_host(host).with_port(port)
            });
            answer.node_endpoints = nodes.collect();
        }
        if version >= 9 && tagged {
            answer.unknown_tagged_fields = tag();
        }
        answer
    }
}

/// Our reading, in kafka_protocol's terms.
fn agree(version: i16, ours: &ProduceAnswer, theirs: &ProduceResponse) {
    let throttle = Duration::from_millis(theirs.throttle_time_ms as u64);
    assert_eq!(ours.throttle, throttle);
    assert_eq!(ours.nodes.len(), theirs.node_endpoints.len());
    for ((id, address), node) in ours.nodes.iter().zip(&theirs.node_endpoints) {
        assert_eq!((id.0, i32::from(address.port)), (*node.node_id, node.port));
        assert_eq!(*address.host, *node.host);
    }
    let mut left = ours.partitions.iter();
    for topic in &theirs.responses {
        for partition in &topic.partition_responses {
            let answer = left.next().unwrap();
            match &answer.topic {
                TopicRef::Name(name) if version < 13 => {
                    assert_eq!(name.as_str(), topic.name.as_str());
                }
                TopicRef::Id(id) if version >= 13 => assert_eq!(&id.0, topic.topic_id.as_bytes()),
                other => panic!("{other:?} in version {version}"),
            }
            partition_agrees(answer, partition);
        }
    }
    assert!(left.next().is_none());
}

fn partition_agrees(ours: &ProducePartitionAnswer, theirs: &PartitionProduceResponse) {
    assert_eq!(ours.partition, theirs.index);
    assert_eq!(ours.code.code(), theirs.error_code);
    assert_eq!(ours.base_offset, theirs.base_offset);
    assert_eq!(ours.log_append_time, theirs.log_append_time_ms);
    assert_eq!(ours.log_start_offset, theirs.log_start_offset);
    assert_eq!(ours.message.as_deref(), theirs.error_message.as_deref());
    let leader = &theirs.current_leader;
    let leader = (leader.leader_id.0 >= 0).then_some((leader.leader_id.0, leader.leader_epoch));
    assert_eq!(ours.leader.map(|(id, epoch)| (id.0, epoch)), leader);
    assert_eq!(ours.record_errors.len(), theirs.record_errors.len());
    for (ours, theirs) in ours.record_errors.iter().zip(&theirs.record_errors) {
        assert_eq!(ours.index, theirs.batch_index);
        let message = theirs.batch_index_error_message.as_deref();
        assert_eq!(ours.message.as_deref(), message);
    }
}

fn any_answer() -> impl Strategy<Value = (i16, ProduceResponse)> {
    versions(ApiKey::Produce).prop_flat_map(|version| (Just(version), answer(version)))
}

proptest! {
    #[test]
    fn the_answer_is_what_kafka_protocol_writes((version, theirs) in any_answer()) {
        let ours = decode_produce(version, encoded(&theirs, version)).unwrap();
        agree(version, &ours, &theirs);
    }

    #[test]
    fn an_answer_cut_at_any_byte_or_followed_by_more_is_malformed((version, theirs) in any_answer()) {
        let body = encoded(&theirs, version);
        refuses_truncation_and_trailing_bytes(&body, |body| decode_produce(version, body));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn hostile_lengths_anywhere_in_an_answer_never_panic((version, theirs) in any_answer()) {
        let body = encoded(&theirs, version);
        survives_hostile_lengths(&body, |body| decode_produce(version, body));
    }
}

#[test]
fn counts_beyond_the_bytes_that_are_left_are_refused() {
    for (version, body) in [
        (8, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0][..]),
        (8, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        (8, &[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0]),
        (9, &[0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0, 0]),
        (13, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0]),
        (13, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0, 0, 0, 0]),
        (13, &[0x01, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let read = decode_produce(version, Bytes::from_static(body));
        assert!(read.is_err(), "version {version}, {body:x?}");
    }
}

#[test]
fn a_hint_without_a_usable_address_is_left_out_and_the_rest_stays() {
    let node = |id: i32, port| {
        NodeEndpoint::default()
            .with_node_id(id.into())
            .with_host("localhost".into())
            .with_port(port)
    };
    let theirs = ProduceResponse::default().with_node_endpoints(vec![
        node(1, -1),
        node(2, 0),
        node(3, 70_000),
        node(-1, 9092),
        node(4, 9092),
    ]);
    let ours = decode_produce(13, encoded(&theirs, 13)).unwrap();
    assert_eq!(ours.nodes, [(BrokerId(4), Address::new("localhost", 9092))]);
}

#[test]
fn a_tagged_field_with_bytes_left_over_is_malformed() {
    // no topics; throttle; one tagged field: node endpoints, an empty array and one byte more
    let nodes = [1, 0, 0, 0, 0, 1, 0, 2, 1, 0];
    decode_produce(10, Bytes::copy_from_slice(&nodes)).unwrap_err();
    // the same tag is unknown to version 9, where it is skipped
    decode_produce(9, Bytes::copy_from_slice(&nodes)).unwrap();

    let leader = |extra: u8| {
        let mut body = vec![2, 2, b't', 2]; // one topic, its name, one partition
        body.extend([0; 30]); // index, code, three offsets
        body.extend([1, 0]); // no record errors, no message
        body.extend([1, 0, 9 + extra, 0, 0, 0, 5, 0, 0, 0, 6, 0]); // the leader, its epoch, no tags
        body.extend(vec![0; extra.into()]);
        body.extend([0, 0, 0, 0, 0, 0]); // the topic's tags, throttle, the answer's tags
        decode_produce(10, body.into())
    };
    let leaders: Vec<_> = leader(0)
        .unwrap()
        .partitions
        .iter()
        .map(|p| p.leader)
        .collect();
    assert_eq!(leaders, [Some((BrokerId(5), 6))]);
    leader(1).unwrap_err();
}
