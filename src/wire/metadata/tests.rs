use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::*;
use crate::wire::testing::{
    encoded, refuses_damage, refuses_truncation_and_trailing_bytes, request, tag, versions,
};

#[test]
fn the_request_is_what_kafka_protocol_reads() {
    for version in versions(ApiKey::Metadata) {
        for (allow, operations) in [(false, true), (true, false)] {
            for names in [None, Some(&[][..]), Some(&["a", "topic-2"])] {
                let topics = match names {
                    None => MetadataTopics::All,
                    Some(names) => {
                        MetadataTopics::Names(names.iter().map(|n| (*n).into()).collect())
                    }
                };
                let call = MetadataCall {
                    topics,
                    allow_auto_create: allow,
                    operations,
                };
                let theirs = names.map(|names| {
                    let topic = |name: &&str| {
                        let name = StrBytes::from_string((*name).to_owned());
                        MetadataRequestTopic::default().with_name(Some(name.into()))
                    };
                    names.iter().map(topic).collect()
                });
                let expected = MetadataRequest::default()
                    .with_topics(theirs)
                    .with_allow_auto_topic_creation(allow)
                    .with_include_cluster_authorized_operations(operations && version <= 10)
                    .with_include_topic_authorized_operations(operations);
                let read: MetadataRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }
}

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-z\u{e9}]{0,40}".prop_map(StrBytes::from_string)
}

fn ids() -> impl Strategy<Value = Vec<kafka_protocol::messages::BrokerId>> {
    prop::collection::vec((0i32..100).prop_map(Into::into), 0..4)
}

prop_compose! {
    fn broker()(
        id in 0i32.., host in text(), port in 1i32..=65535,
        rack in prop::option::of(text()), tagged: bool,
    ) -> MetadataResponseBroker {
        let mut broker = MetadataResponseBroker::default()
            .with_node_id(id.into())
            .with_host(host)
            .with_port(port)
            .with_rack(rack);
        if tagged {
            broker.unknown_tagged_fields = tag();
        }
        broker
    }
}

prop_compose! {
    fn partition()(
        code: i16, index: i32, leader in -1i32..5, epoch: i32,
        replicas in ids(), isr in ids(), offline in ids(), tagged: bool,
    ) -> MetadataResponsePartition {
        let mut partition = MetadataResponsePartition::default()
            .with_error_code(code)
            .with_partition_index(index)
            .with_leader_id(leader.into())
            .with_leader_epoch(epoch)
            .with_replica_nodes(replicas)
            .with_isr_nodes(isr)
            .with_offline_replicas(offline);
        if tagged {
            partition.unknown_tagged_fields = tag();
        }
        partition
    }
}

prop_compose! {
    fn topic(version: i16)(
        code: i16, name in text(), named in prop::bool::weighted(0.8), id: u128, internal: bool,
        partitions in prop::collection::vec(partition(), 0..4), rights: i32, tagged: bool,
    ) -> MetadataResponseTopic {
        let mut topic = MetadataResponseTopic::default()
            .with_error_code(code)
            .with_name((named || version < 12).then(|| name.into()))
            .with_is_internal(internal)
            .with_partitions(partitions)
            .with_topic_authorized_operations(rights);
        if version >= 10 {
            topic.topic_id = TopicId(id.to_be_bytes()).to_string().parse().unwrap();
        }
        if tagged {
            topic.unknown_tagged_fields = tag();
        }
        topic
    }
}

prop_compose! {
    fn answer(version: i16)(
        throttle in 0i32.., brokers in prop::collection::vec(broker(), 0..4),
        cluster in prop::option::of(text()), controller in -1i32..5,
        topics in prop::collection::vec(topic(version), 0..3), code: i16, rights: i32, tagged: bool,
    ) -> MetadataResponse {
        let mut answer = MetadataResponse::default()
            .with_throttle_time_ms(throttle)
            .with_brokers(brokers)
            .with_cluster_id(cluster)
            .with_controller_id(controller.into())
            .with_topics(topics);
        if version >= 13 {
            answer.error_code = code;
        }
        if version <= 10 {
            answer.cluster_authorized_operations = rights;
        }
        if tagged {
            answer.unknown_tagged_fields = tag();
        }
        answer
    }
}

fn any_answer() -> impl Strategy<Value = (i16, MetadataResponse)> {
    versions(ApiKey::Metadata).prop_flat_map(|version| (Just(version), answer(version)))
}

fn some(id: kafka_protocol::messages::BrokerId) -> Option<BrokerId> {
    (id.0 >= 0).then_some(BrokerId(id.0))
}

fn all(ids: &[kafka_protocol::messages::BrokerId]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(id.0)).collect()
}

/// kafka_protocol's reading in our types.
fn converted(topic: &MetadataResponseTopic) -> TopicMeta {
    let partition = |p: &MetadataResponsePartition| PartitionMeta {
        code: ErrorCode::new(p.error_code),
        partition: p.partition_index,
        leader: some(p.leader_id),
        leader_epoch: p.leader_epoch,
        replicas: all(&p.replica_nodes),
        isr: all(&p.isr_nodes),
        offline: all(&p.offline_replicas),
    };
    TopicMeta {
        code: ErrorCode::new(topic.error_code),
        name: topic.name.as_ref().map(|name| name.as_str().into()),
        id: TopicId(topic.topic_id.into_bytes()),
        internal: topic.is_internal,
        partitions: topic.partitions.iter().map(partition).collect(),
        operations: topic.topic_authorized_operations,
    }
}

proptest! {
    #[test]
    fn the_answer_is_what_kafka_protocol_writes((version, theirs) in any_answer()) {
        let ours = MetadataCall::decode(version, encoded(&theirs, version)).unwrap();
        prop_assert_eq!(ours.throttle, Duration::from_millis(theirs.throttle_time_ms as u64));
        let brokers: Vec<_> = theirs.brokers.iter().map(|broker| BrokerMeta {
            id: BrokerId(broker.node_id.0),
            address: Address::new(broker.host.as_str(), broker.port as u16),
            rack: broker.rack.as_deref().map(Arc::from),
        }).collect();
        prop_assert_eq!(ours.brokers, brokers);
        prop_assert_eq!(ours.cluster_id.as_deref(), theirs.cluster_id.as_deref());
        prop_assert_eq!(ours.controller, some(theirs.controller_id));
        let topics: Vec<_> = theirs.topics.iter().map(converted).collect();
        prop_assert_eq!(ours.topics, topics);
        prop_assert_eq!(ours.code.code(), theirs.error_code);
        prop_assert_eq!(ours.operations, theirs.cluster_authorized_operations);
    }

    #[test]
    fn an_answer_cut_at_any_byte_or_followed_by_more_is_malformed((version, theirs) in any_answer()) {
        let body = encoded(&theirs, version);
        refuses_truncation_and_trailing_bytes(&body, |body| MetadataCall::decode(version, body));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn hostile_lengths_anywhere_in_an_answer_never_panic((version, theirs) in any_answer()) {
        refuses_damage::<MetadataCall>(version, &encoded(&theirs, version));
    }
}

#[test]
fn counts_beyond_the_bytes_that_are_left_are_refused() {
    for body in [
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0][..],
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0],
        &[
            0, 0, 0, 0, 0x01, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x07,
        ],
        &[
            0, 0, 0, 0, 0x01, 0, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0,
        ],
    ] {
        for version in versions(ApiKey::Metadata) {
            MetadataCall::decode(version, Bytes::from_static(body)).unwrap_err();
        }
    }
}

#[test]
fn a_broker_without_a_usable_port_is_left_out_and_the_rest_stays() {
    let broker = |id: i32, port| {
        MetadataResponseBroker::default()
            .with_node_id(id.into())
            .with_host("localhost".into())
            .with_port(port)
    };
    let theirs = MetadataResponse::default().with_brokers(vec![
        broker(1, -1),
        broker(2, 0),
        broker(3, 65_536),
        broker(4, 9092),
    ]);
    let ours = MetadataCall::decode(13, encoded(&theirs, 13)).unwrap();
    let ids: Vec<_> = ours.brokers.iter().map(|broker| broker.id).collect();
    assert_eq!(ids, [BrokerId(4)]);
}
