//! Topics, settings, records and the cluster, as an admin client sees them.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;

use super::{World, s, topic, versions};
use crate::wire::ErrorCode;

fn new_topic(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
}

fn create(world: &mut World, version: i16, of: CreatableTopic) -> ErrorCode {
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(1000)
        .with_topics(vec![of]);
    ErrorCode::new(world.ask(version, &request).topics[0].error_code)
}

fn config(name: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(s(name))
        .with_value(Some(s(value)))
}

#[test]
fn topics_are_created_in_every_version() {
    for version in versions::<CreateTopicsRequest>() {
        let mut world = World::with(|settings| settings.nodes = 3);
        let of = new_topic("new", 6, 2).with_configs(vec![config("retention.ms", "5")]);
        assert_eq!(create(&mut world, version, of.clone()), ErrorCode::NONE);
        let made = world.state.topics.get("new").unwrap();
        assert_eq!(made.partitions.len(), 6);
        assert_eq!(made.configs.retention_ms, 5);
        for node in 1..=3 {
            let led = made.partitions.iter().filter(|p| p.leader == Some(node));
            assert_eq!(led.count(), 2);
        }
        assert_eq!(
            create(&mut world, version, of),
            ErrorCode::TOPIC_ALREADY_EXISTS
        );
    }
}

#[test]
fn topics_that_cannot_be_are_refused() {
    let mut world = World::with(|settings| settings.nodes = 3);
    for (of, code) in [
        (new_topic("a b", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (new_topic("", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (new_topic("a", 0, 1), ErrorCode::INVALID_PARTITIONS),
        (new_topic("a", i32::MAX, 1), ErrorCode::INVALID_PARTITIONS),
        (new_topic("a", 1, 4), ErrorCode::INVALID_REPLICATION_FACTOR),
        (new_topic("a", 1, 0), ErrorCode::INVALID_REPLICATION_FACTOR),
        (
            new_topic("a", 1, 1).with_configs(vec![config("retentoin.ms", "5")]),
            ErrorCode::INVALID_CONFIG,
        ),
        (
            new_topic("a", 1, 1).with_configs(vec![config("retention.ms", "five")]),
            ErrorCode::INVALID_CONFIG,
        ),
    ] {
        assert_eq!(create(&mut world, 7, of.clone()), code, "{of:?}");
    }
    let assignment = |index, ids: &[i32]| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
    };
    let by_hand = |assignments| new_topic("a", -1, -1).with_assignments(assignments);
    let gap = by_hand(vec![assignment(0, &[1]), assignment(2, &[1])]);
    let code = create(&mut world, 7, gap);
    assert_eq!(code, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    let right = by_hand(vec![assignment(0, &[3, 1]), assignment(1, &[2, 3])]);
    assert_eq!(create(&mut world, 7, right), ErrorCode::NONE);
    let leaders = world.state.topics.get("a").unwrap().partitions.iter();
    assert_eq!(
        leaders.map(|p| p.leader).collect::<Vec<_>>(),
        [Some(3), Some(2)]
    );
}

#[test]
fn topics_are_deleted_in_every_version() {
    for version in versions::<DeleteTopicsRequest>() {
        let mut world = World::new();
        let mut request = DeleteTopicsRequest::default();
        if version >= 6 {
            let of = DeleteTopicState::default().with_name(Some(topic("t")));
            request.topics = vec![of];
        } else {
            request.topic_names = vec![topic("t")];
        }
        assert_eq!(world.ask(version, &request).responses[0].error_code, 0);
        let code = world.ask(version, &request).responses[0].error_code;
        assert_eq!(ErrorCode::new(code), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

#[test]
fn partitions_are_added_in_every_version() {
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
    for version in versions::<CreatePartitionsRequest>() {
        let mut world = World::new();
        let of = CreatePartitionsTopic::default()
            .with_name(topic("t"))
            .with_count(5)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![of]);
        assert_eq!(world.ask(version, &request).results[0].error_code, 0);
        assert_eq!(world.state.topics.get("t").unwrap().partitions.len(), 5);
        let code = world.ask(version, &request).results[0].error_code;
        assert_eq!(ErrorCode::new(code), ErrorCode::INVALID_PARTITIONS);
    }
}

fn metadata_of(version: i16, names: &[&str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    MetadataRequest::default()
        .with_topics((version > 0 || !names.is_empty()).then(|| topics.collect()))
}

#[test]
fn metadata_tells_nodes_and_leaders_in_every_version() {
    for version in versions::<MetadataRequest>() {
        let mut world = World::with(|settings| {
            settings.nodes = 3;
            settings.replication = 2;
        });
        let mut all = MetadataRequest::default().with_topics(None);
        if version == 0 {
            all.topics = Some(Vec::new());
        }
        let answer = world.ask(version, &all);
        assert_eq!(answer.brokers.len(), 3);
        assert_eq!(answer.topics.len(), 1);
        let told = &answer.topics[0];
        assert_eq!(told.name.as_ref().unwrap().0.as_str(), "t");
        for (index, partition) in told.partitions.iter().enumerate() {
            let ours = world.state.topics.partition("t", index as i32).unwrap();
            assert_eq!(Some(partition.leader_id.0), ours.leader);
            assert_eq!(partition.replica_nodes.len(), 2);
        }
        // A first question makes the topic.
        let answer = world.ask(version, &metadata_of(version, &["new", "a b"]));
        let codes: Vec<_> = answer
            .topics
            .iter()
            .map(|t| ErrorCode::new(t.error_code))
            .collect();
        assert_eq!(codes, [ErrorCode::NONE, ErrorCode::INVALID_TOPIC_EXCEPTION]);
        assert!(world.state.topics.get("new").is_some());
    }
}

#[test]
fn no_topic_is_made_where_that_is_switched_off() {
    let mut world = World::with(|settings| settings.auto_create_topics = false);
    let answer = world.ask(12, &metadata_of(12, &["new"]));
    let code = ErrorCode::new(answer.topics[0].error_code);
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut world = World::new();
    let mut request = metadata_of(12, &["new"]);
    request.allow_auto_topic_creation = false;
    let code = ErrorCode::new(world.ask(12, &request).topics[0].error_code);
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_dead_nodes_partitions_have_the_next_replica_for_leader() {
    let mut world = World::with(|settings| {
        settings.nodes = 3;
        settings.replication = 2;
    });
    let now = world.moment();
    let before = world.state.topics.partition("t", 0).unwrap();
    let (leader, next) = (before.replicas[0], before.replicas[1]);
    world.state.node_died(leader, now);
    let after = world.state.topics.partition("t", 0).unwrap();
    assert_eq!((after.leader, after.epoch), (Some(next), 1));
    world.state.node_died(next, now);
    assert_eq!(world.state.topics.partition("t", 0).unwrap().leader, None);
    let answer = world.ask(12, &metadata_of(12, &["t"]));
    let told = &answer.topics[0].partitions[0];
    let code = ErrorCode::new(told.error_code);
    assert_eq!(
        (code, told.leader_id.0),
        (ErrorCode::LEADER_NOT_AVAILABLE, -1)
    );
    world.state.node_started(leader, now);
    let back = world.state.topics.partition("t", 0).unwrap();
    assert_eq!((back.leader, back.epoch), (Some(leader), 3));
}

fn describe(world: &mut World, version: i16, kind: i8, name: &str) -> DescribeConfigsResponse {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(s(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    world.ask(version, &request)
}

#[test]
fn settings_are_described_and_changed() {
    for version in versions::<DescribeConfigsRequest>() {
        let mut world = World::new();
        let change = |name: &str, operation, value: Option<&str>| {
            AlterableConfig::default()
                .with_name(s(name))
                .with_config_operation(operation)
                .with_value(value.map(s))
        };
        let changes = vec![
            change("retention.ms", 0, Some("7")),
            change("cleanup.policy", 2, Some("compact")),
        ];
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(s("t"))
            .with_configs(changes);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        for version in versions::<IncrementalAlterConfigsRequest>() {
            let answer = world.ask(version, &request);
            assert_eq!(answer.responses[0].error_code, 0);
        }
        let answer = describe(&mut world, version, 2, "t");
        let told = &answer.results[0].configs;
        let one = |name: &str| told.iter().find(|one| *one.name == *name).unwrap();
        let set = one("retention.ms");
        assert_eq!((set.value.as_deref(), set.config_source), (Some("7"), 1));
        assert_eq!(set.synonyms.len(), 2);
        assert_eq!(
            one("cleanup.policy").value.as_deref(),
            Some("delete,compact")
        );
        assert_eq!(one("retention.bytes").config_source, 5);
        assert_eq!(
            describe(&mut world, version, 4, "1").results[0].error_code,
            0
        );
        let code = describe(&mut world, version, 2, "none").results[0].error_code;
        assert_eq!(ErrorCode::new(code), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

#[test]
fn the_cluster_is_described_in_every_version() {
    for version in versions::<DescribeClusterRequest>() {
        let mut world = World::with(|settings| settings.nodes = 3);
        let now = world.moment();
        world.state.node_died(1, now);
        let answer = world.ask(version, &DescribeClusterRequest::default());
        assert_eq!((answer.error_code, answer.controller_id.0), (0, 2));
        assert_eq!(answer.brokers.len(), 2);
        assert_eq!(&*answer.cluster_id, &*world.state.cluster_id);
        assert_eq!(answer.cluster_id.len(), 22);
    }
}

#[test]
fn the_log_begins_where_its_records_were_deleted_to() {
    use super::producing::produce;
    use super::{START, batch};
    use kafka_protocol::messages::delete_records_request::*;
    for version in versions::<DeleteRecordsRequest>() {
        let mut world = World::new();
        for _ in 0..3 {
            let records = batch((-1, -1, -1), START, &[("a", 0), ("b", 0)]);
            let request = produce(&world, 11, 0, records);
            world.ask(11, &request);
        }
        let mut delete = |offset| {
            let partition = DeleteRecordsPartition::default()
                .with_partition_index(0)
                .with_offset(offset);
            let of = DeleteRecordsTopic::default()
                .with_name(topic("t"))
                .with_partitions(vec![partition]);
            let request = DeleteRecordsRequest::default().with_topics(vec![of]);
            let answer = world.ask(version, &request);
            let one = &answer.topics[0].partitions[0];
            (ErrorCode::new(one.error_code), one.low_watermark)
        };
        assert_eq!(delete(3), (ErrorCode::NONE, 3));
        assert_eq!(delete(1), (ErrorCode::NONE, 3));
        assert_eq!(delete(7), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
        assert_eq!(delete(-1), (ErrorCode::NONE, 6));
        let log = &world.state.topics.partition("t", 0).unwrap().log;
        assert_eq!((log.stored().count(), log.end()), (0, 6));
    }
}

#[test]
fn epochs_end_where_the_next_leader_began() {
    use super::producing::produce;
    use super::{START, batch};
    use kafka_protocol::messages::offset_for_leader_epoch_request::*;
    for version in versions::<OffsetForLeaderEpochRequest>() {
        let mut world = World::with(|settings| settings.nodes = 2);
        world.state.move_leader("t", 0, 1).unwrap();
        let first = world.state.topics.partition("t", 0).unwrap().epoch;
        let send = |world: &mut World| {
            let records = batch((-1, -1, -1), START, &[("a", 0), ("b", 0)]);
            let request = produce(world, 11, 0, records);
            let answer = world.ask(11, &request);
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        };
        send(&mut world);
        world.state.move_leader("t", 0, 2).unwrap();
        world.state.move_leader("t", 0, 1).unwrap();
        let ask = |world: &mut World, epoch| {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(0)
                .with_leader_epoch(epoch);
            let of = OffsetForLeaderTopic::default()
                .with_topic(topic("t"))
                .with_partitions(vec![partition]);
            let mut request = OffsetForLeaderEpochRequest::default();
            request.topics = vec![of];
            let answer = world.ask(version, &request);
            let one = &answer.topics[0].partitions[0];
            (one.leader_epoch, one.end_offset)
        };
        assert_eq!(ask(&mut world, first), (first, 2));
        assert_eq!(ask(&mut world, first + 1), (first, 2));
        assert_eq!(ask(&mut world, first + 2), (first + 2, 2));
        assert_eq!(ask(&mut world, first + 3), (-1, -1));
        send(&mut world);
        assert_eq!(ask(&mut world, first), (first, 2));
        assert_eq!(ask(&mut world, first + 2), (first + 2, 4));
    }
}
