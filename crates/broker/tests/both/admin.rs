//! Topics, settings, metadata and versions.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use ottla_broker::{ApiKey, ErrorCode};

use super::talk::{Talk, code, s};

pub(crate) async fn topics(talk: &mut Talk) {
    let long = "x".repeat(250);
    for (what, name, partitions, replication, config) in [
        ("good", talk.name("t"), 3, 1, None),
        ("again", talk.name("t"), 3, 1, None),
        ("defaults", talk.name("d"), -1, -1, None),
        ("no partitions", talk.name("a"), 0, 1, None),
        ("a negative number", talk.name("a"), -2, 1, None),
        ("no replicas", talk.name("a"), 1, 0, None),
        ("more replicas than nodes", talk.name("a"), 1, 2, None),
        ("a blank", "a b".to_owned(), 1, 1, None),
        ("no name", String::new(), 1, 1, None),
        ("a dot", ".".to_owned(), 1, 1, None),
        ("a long name", long, 1, 1, None),
        (
            "an unknown setting",
            talk.name("a"),
            1,
            1,
            Some(("retentoin.ms", Some("1"))),
        ),
        (
            "a wrong value",
            talk.name("a"),
            1,
            1,
            Some(("retention.ms", Some("one"))),
        ),
        (
            "a value out of range",
            talk.name("a"),
            1,
            1,
            Some(("retention.ms", Some("-2"))),
        ),
        (
            "a null value",
            talk.name("a"),
            1,
            1,
            Some(("retention.ms", None)),
        ),
    ] {
        let configs = config.iter().map(|(name, value): &(&str, Option<&str>)| {
            CreatableTopicConfig::default()
                .with_name(s(name))
                .with_value(value.map(s))
        });
        let of = CreatableTopic::default()
            .with_name(TopicName(s(&name)))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![of]);
        let answer = talk.ask(7, &request).await;
        let one = &answer.topics[0];
        let told = (
            code(one.error_code),
            one.num_partitions,
            one.replication_factor,
        );
        talk.note(what, told);
    }
    for (what, name) in [("deleted", "t"), ("gone", "t"), ("unknown", "none")] {
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topic_names(vec![talk.topic_name(name)]);
        let answer = talk.ask(5, &request).await;
        talk.note(what, code(answer.responses[0].error_code));
    }
    let by_id =
        delete_topics_request::DeleteTopicState::default().with_topic_id(uuid::Uuid::from_u128(77));
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![by_id]);
    let answer = talk.ask(6, &request).await;
    let one = &answer.responses[0];
    talk.note("unknown id", (code(one.error_code), &one.name));
}

pub(crate) async fn partitions(talk: &mut Talk) {
    use create_partitions_request::CreatePartitionsTopic;
    talk.topic("t", 2, &[]).await;
    for (what, name, count, only) in [
        ("only checked", "t", 3, true),
        ("more", "t", 3, false),
        ("as many", "t", 3, false),
        ("fewer", "t", 2, false),
        ("unknown", "none", 3, false),
    ] {
        let of = CreatePartitionsTopic::default()
            .with_name(talk.topic_name(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![of])
            .with_validate_only(only);
        let answer = talk.ask(3, &request).await;
        talk.note(what, code(answer.results[0].error_code));
    }
}

async fn setting_names(talk: &mut Talk, topic: &str) -> Vec<String> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(s(topic))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = talk.ask(4, &request).await;
    let names = answer.results[0].configs.iter();
    let mut names: Vec<_> = names.map(|one| one.name.to_string()).collect();
    names.sort();
    names
}

async fn described(talk: &mut Talk, what: &str, kind: i8, name: &str, keys: &[&str]) {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(s(name))
        .with_configuration_keys(Some(keys.iter().map(|key| s(key)).collect()));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = talk.ask(4, &request).await;
    let one = &answer.results[0];
    let mut told: Vec<_> = one
        .configs
        .iter()
        .map(|one| {
            let value = one.value.clone();
            (
                one.name.clone(),
                value,
                one.config_source,
                one.config_type,
                one.read_only,
            )
        })
        .collect();
    told.sort();
    talk.note(what, (code(one.error_code), told));
}

pub(crate) async fn settings(talk: &mut Talk) {
    talk.topic("t", 1, &[("retention.ms", "5000")]).await;
    let all = [
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "max.message.bytes",
        "message.timestamp.after.max.ms",
        "message.timestamp.type",
        "retention.ms",
        "segment.ms",
    ];
    let name = talk.name("t");
    described(talk, "as created", 2, &name, &all).await;
    described(talk, "a setting that is none", 2, &name, &["none"]).await;
    described(talk, "no such topic", 2, &format!("x{name}"), &all).await;
    for (what, key, operation, value) in [
        ("set", "retention.ms", 0, Some("7000")),
        ("back", "retention.ms", 1, None),
        ("append", "cleanup.policy", 2, Some("compact")),
        ("subtract", "cleanup.policy", 3, Some("delete")),
        ("append to a number", "retention.ms", 2, Some("1")),
        ("a wrong value", "retention.ms", 0, Some("one")),
        ("no value", "retention.ms", 0, None),
        ("an unknown name", "retentoin.ms", 0, Some("1")),
        ("back to an unknown name", "retentoin.ms", 1, None),
    ] {
        let answer = change(talk, key, operation, value).await;
        talk.note(what, answer);
    }
}

/// Every setting that Kafka knows, its default, and what it takes.
pub(crate) async fn all_settings(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    let name = talk.name("t");
    // Not the values of what the real cluster was started with.
    let started_with = ["min.insync.replicas", "retention.bytes", "segment.bytes"];
    let names = setting_names(talk, &name).await;
    talk.note("names", &names);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let defaults = names.iter().filter(|name| !started_with.contains(name));
    let defaults: Vec<_> = defaults.copied().collect();
    described(talk, "all", 2, &name, &defaults).await;
    for (key, values) in [
        (
            "compression.gzip.level",
            &["-2", "-1", "0", "1", "9", "10"][..],
        ),
        ("compression.lz4.level", &["0", "1", "17", "18"]),
        (
            "compression.zstd.level",
            &["-131073", "-131072", "22", "23"],
        ),
        ("flush.messages", &["0", "1"]),
        ("flush.ms", &["-1", "0"]),
        ("index.interval.bytes", &["-1", "0"]),
        (
            "follower.replication.throttled.replicas",
            &["", "*", "0:1,1:1", "0", "a:b"],
        ),
        ("max.compaction.lag.ms", &["0", "1"]),
        ("message.timestamp.before.max.ms", &["-1", "0"]),
        (
            "min.cleanable.dirty.ratio",
            &["-0.1", "0", "0.5", "1.0", "1.1", "half"],
        ),
        ("min.compaction.lag.ms", &["-1", "0"]),
        ("preallocate", &["true", "FALSE", "yes"]),
        ("retention.bytes", &["-5", "0", "1.5"]),
        ("segment.bytes", &["1048575", "1048576"]),
        ("segment.index.bytes", &["3", "4"]),
        ("segment.jitter.ms", &["-1", "0"]),
        ("unclean.leader.election.enable", &["false", "1"]),
    ] {
        for value in values {
            let answer = change(talk, key, 0, Some(value)).await;
            talk.note(&format!("{key}={value}"), answer);
        }
    }
}

async fn change(talk: &mut Talk, key: &str, operation: i8, value: Option<&str>) -> ErrorCode {
    let change = AlterableConfig::default()
        .with_name(s(key))
        .with_config_operation(operation)
        .with_value(value.map(s));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(s(&talk.name("t")))
        .with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    code(talk.ask(1, &request).await.responses[0].error_code)
}

pub(crate) async fn metadata(talk: &mut Talk) {
    talk.topic("t", 2, &[]).await;
    for version in 0..=13 {
        let names = [talk.name("t"), talk.name("none"), "a b".to_owned()];
        let topics = names
            .iter()
            .map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(s(name)))));
        let request = MetadataRequest::default().with_topics(Some(topics.collect()));
        let answer = talk.ask(version, &request).await;
        let mut told: Vec<_> = answer
            .topics
            .iter()
            .map(|topic| {
                let partitions: Vec<_> = topic
                    .partitions
                    .iter()
                    .map(|one| {
                        let nodes = (one.leader_id, &one.replica_nodes, &one.isr_nodes);
                        let gone = one.offline_replicas.len();
                        (
                            one.partition_index,
                            code(one.error_code),
                            nodes,
                            one.leader_epoch,
                            gone,
                        )
                    })
                    .collect();
                let name = topic.name.clone().map(|name| name.0);
                let is = (topic.is_internal, topic.topic_authorized_operations);
                format!("{name:?} {} {is:?} {partitions:?}", code(topic.error_code))
            })
            .collect();
        told.sort();
        talk.note(&format!("version {version}"), (answer.brokers.len(), told));
    }
    let of = MetadataRequestTopic::default().with_topic_id(uuid::Uuid::from_u128(77));
    let request = MetadataRequest::default().with_topics(Some(vec![of.with_name(None)]));
    let one = &talk.ask(12, &request).await.topics[0];
    talk.note(
        "unknown id",
        (code(one.error_code), &one.name, one.topic_id),
    );
    let answer = talk
        .ask(1, &DescribeClusterRequest::default().with_endpoint_type(1))
        .await;
    let told = (
        code(answer.error_code),
        answer.controller_id,
        answer.brokers.len(),
    );
    talk.note("cluster", told);
}

/// What the embedded broker says it speaks, Kafka speaks.
pub(crate) async fn versions(talk: &mut Talk) {
    let answer = talk.ask(3, &ApiVersionsRequest::default()).await;
    talk.note(
        "without a name",
        (code(answer.error_code), answer.api_keys.len()),
    );
    let named = ApiVersionsRequest::default()
        .with_client_software_name(s("a-client"))
        .with_client_software_version(s("1.0"));
    let answer = talk.ask(3, &named).await;
    talk.note("with a name", code(answer.error_code));
    for key in ApiKey::ALL {
        let found = answer.api_keys.iter().find(|one| one.api_key == key.code());
        let told = found.unwrap_or_else(|| panic!("no {key}"));
        // Theirs is the wider: later versions, and for old librdkafka's sake, a Produce that is not spoken.
        let ours = key.versions();
        let within = told.min_version <= *ours.start() && *ours.end() <= told.max_version;
        talk.note(key.name(), within);
    }
}
