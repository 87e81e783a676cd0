use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};

const ID: TopicId = TopicId(*b"an id of a topic");

fn name(text: &'static str) -> kafka_protocol::messages::TopicName {
    StrBytes::from(text).into()
}

#[test]
fn a_creation_is_what_kafka_protocol_reads() {
    let call = CreateTopics {
        topics: vec![
            NewTopicSpec {
                name: "placed".into(),
                partitions: -1,
                replication: -1,
                assignments: vec![(0, vec![1, 2]), (1, vec![])],
                configs: vec![("a".into(), Some("1".into())), ("b".into(), None)],
            },
            NewTopicSpec {
                name: "counted".into(),
                partitions: 12,
                replication: 3,
                assignments: vec![],
                configs: vec![],
            },
        ],
        timeout: Duration::from_secs(30),
        validate_only: true,
    };
    let assignment = |partition, brokers: &[i32]| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(brokers.iter().map(|id| (*id).into()).collect())
    };
    let config = |name: &'static str, value: Option<&'static str>| {
        CreatableTopicConfig::default()
            .with_name(name.into())
            .with_value(value.map(Into::into))
    };
    let placed = CreatableTopic::default()
        .with_name(name("placed"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment(0, &[1, 2]), assignment(1, &[])])
        .with_configs(vec![config("a", Some("1")), config("b", None)]);
    let counted = CreatableTopic::default()
        .with_name(name("counted"))
        .with_num_partitions(12)
        .with_replication_factor(3);
    let expected = CreateTopicsRequest::default()
        .with_topics(vec![placed, counted])
        .with_timeout_ms(30_000)
        .with_validate_only(true);
    for version in versions(ApiKey::CreateTopics) {
        let read: CreateTopicsRequest = request(&call, version);
        assert_eq!(read, expected, "version {version}");
    }
}

fn created(version: i16) -> CreateTopicsResponse {
    let config = CreatableTopicConfigs::default()
        .with_name("retention.ms".into())
        .with_value(Some("1".into()))
        .with_unknown_tagged_fields(tag());
    let mut good = CreatableTopicResult::default()
        .with_name(name("good"))
        .with_error_message(None)
        .with_topic_config_error_code(29)
        .with_num_partitions(12)
        .with_replication_factor(3)
        .with_configs(Some(vec![config.clone(), config.with_value(None)]))
        .with_unknown_tagged_fields(tag());
    if version >= 7 {
        good.topic_id = ID.to_string().parse().unwrap();
    }
    let bad = CreatableTopicResult::default()
        .with_name(name("bad"))
        .with_error_code(36)
        .with_error_message(Some("exists".into()))
        .with_configs(None);
    CreateTopicsResponse::default()
        .with_throttle_time_ms(250)
        .with_topics(vec![good, bad])
        .with_unknown_tagged_fields(tag())
}

#[test]
fn the_answer_to_a_creation_is_what_kafka_protocol_writes() {
    for version in versions(ApiKey::CreateTopics) {
        let body = encoded(&created(version), version);
        let answer = CreateTopics::decode(version, body.clone()).unwrap();
        assert_eq!(answer.throttle, Duration::from_millis(250));
        let good = CreatedTopic {
            name: "good".into(),
            id: if version >= 7 { ID } else { TopicId::ZERO },
            code: ErrorCode::NONE,
            message: None,
            partitions: 12,
            replication: 3,
        };
        let bad = CreatedTopic {
            name: "bad".into(),
            id: TopicId::ZERO,
            code: ErrorCode::TOPIC_ALREADY_EXISTS,
            message: Some("exists".into()),
            partitions: -1,
            replication: -1,
        };
        assert_eq!(answer.topics, [good, bad], "version {version}");
        refuses_damage::<CreateTopics>(version, &body);
    }
}

#[test]
fn a_deletion_is_what_kafka_protocol_reads() {
    let call = DeleteTopics {
        names: vec!["one".into(), "two".into()],
        timeout: Duration::from_secs(5),
    };
    for version in versions(ApiKey::DeleteTopics) {
        let mut expected = DeleteTopicsRequest::default().with_timeout_ms(5000);
        if version >= 6 {
            let topic = |text| DeleteTopicState::default().with_name(Some(name(text)));
            expected.topics = vec![topic("one"), topic("two")];
        } else {
            expected.topic_names = vec![name("one"), name("two")];
        }
        let read: DeleteTopicsRequest = request(&call, version);
        assert_eq!(read, expected, "version {version}");
    }
}

#[test]
fn the_answer_to_a_deletion_is_what_kafka_protocol_writes() {
    for version in versions(ApiKey::DeleteTopics) {
        let mut theirs = DeletableTopicResult::default()
            .with_name(Some(name("one")))
            .with_error_code(3)
            .with_unknown_tagged_fields(tag());
        if version >= 5 {
            theirs.error_message = Some("no such topic".into());
        }
        if version >= 6 {
            theirs.topic_id = ID.to_string().parse().unwrap();
        }
        let theirs = DeleteTopicsResponse::default()
            .with_throttle_time_ms(1)
            .with_responses(vec![theirs])
            .with_unknown_tagged_fields(tag());
        let body = encoded(&theirs, version);
        let answer = DeleteTopics::decode(version, body.clone()).unwrap();
        assert_eq!(answer.throttle, Duration::from_millis(1));
        let expected = DeletedTopic {
            name: "one".into(),
            id: if version >= 6 { ID } else { TopicId::ZERO },
            code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            message: (version >= 5).then(|| "no such topic".into()),
        };
        assert_eq!(answer.topics, [expected], "version {version}");
        refuses_damage::<DeleteTopics>(version, &body);
    }
}
