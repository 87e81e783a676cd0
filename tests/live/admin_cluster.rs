//! The cluster described, its settings read and changed, topics enlarged, partitions' offsets looked up.

use std::time::Duration;

use kafka_cluster::Version;
use ottla::{
    Admin, ConfigChanges, ConfigEntry, ConfigResource, ConfigSource, Error, ErrorCode,
    IsolationLevel, NewPartitions, OffsetSpec, PartitionOffset, Record, TopicPartition,
};

use super::support::{Kafka, Outcome, Suite, codes, within};

pub(crate) fn promises(suite: &mut Suite) {
    let cluster = "admin_cluster::the_cluster_tells_its_brokers_as_clients_reach_them";
    suite.shared(cluster, describe_cluster);
    suite.shared("admin_cluster::a_topic_grows_as_it_was_asked_to", grow);
    let configs = "admin_cluster::settings_are_changed_one_by_one_and_read_back";
    suite.shared(configs, configs_of_topics);
    let broker = "admin_cluster::a_brokers_own_settings_and_all_brokers_differ";
    suite.shared(broker, configs_of_brokers);
    let offsets = "admin_cluster::offsets_are_those_of_the_log_and_of_times";
    suite.shared(offsets, list_offsets);
}

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "admin_cluster::kafka_2_5_0_is_administered_alike";
    suite.on(Version::V2_5_0, oldest, all);
    let older = "admin_cluster::kafka_3_9_1_is_administered_alike";
    suite.on(Version::V3_9_1, older, all);
}

async fn all(kafka: &Kafka) -> Outcome {
    describe_cluster(kafka).await?;
    grow(kafka).await?;
    configs_of_topics(kafka).await?;
    configs_of_brokers(kafka).await?;
    list_offsets(kafka).await
}

async fn describe_cluster(kafka: &Kafka) -> Outcome {
    let cluster = kafka.client().await?.admin().describe_cluster().await?;
    assert!(cluster.cluster_id.is_some_and(|id| !id.is_empty()));
    assert_eq!(cluster.controller, Some(1));
    let [broker] = &cluster.brokers[..] else {
        return Err(format!("{:?}", cluster.brokers).into());
    };
    assert_eq!((broker.id, broker.rack.as_deref()), (1, Some("rack-1")));
    let address = format!("{}:{}", broker.host, broker.port);
    assert_eq!(address, kafka.address(1));
    Ok(())
}

async fn grow(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    kafka.topic("admin-grow-a", 2, &[])?;
    kafka.topic("admin-grow-b", 2, &[])?;
    let results = admin
        .create_partitions([
            NewPartitions::new("admin-grow-a", 5),
            NewPartitions::new("admin-grow-none", 5),
            NewPartitions::new("admin-grow-b", 4)
                .assignment([1])
                .assignment([1]),
        ])
        .await?;
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes(&results), [ErrorCode::NONE, unknown, ErrorCode::NONE]);
    let grown = async || {
        let topics = admin
            .describe_topics(["admin-grow-a", "admin-grow-b"])
            .await;
        let counts = topics.map(|topics| {
            let count = |topic: &Result<ottla::TopicDescription, _>| {
                topic.as_ref().map_or(0, |topic| topic.partitions.len())
            };
            topics.iter().map(count).collect::<Vec<_>>()
        });
        counts.is_ok_and(|counts| counts == [5, 4])
    };
    let limit = Duration::from_secs(10);
    within(limit, "the brokers learn of them", async {
        while !grown().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await?;
    // What it has is no growth, and what is said of one partition is too little for two.
    let results = admin
        .create_partitions([
            NewPartitions::new("admin-grow-a", 5),
            NewPartitions::new("admin-grow-b", 6).assignment([1]),
        ])
        .await?;
    let expected = [
        ErrorCode::INVALID_PARTITIONS,
        ErrorCode::INVALID_REPLICA_ASSIGNMENT,
    ];
    assert_eq!(codes(&results), expected);
    let error = results[0].as_ref().expect_err("refused").to_string();
    assert!(error.contains("admin-grow-a"), "{error}");
    assert!(admin.create_partitions([]).await?.is_empty());
    Ok(())
}

/// One setting of a resource.
async fn read(admin: &Admin, of: &ConfigResource, name: &str) -> Result<ConfigEntry, Error> {
    let mut all = admin.describe_configs([of.clone()]).await?.remove(0)?;
    assert!(all.is_sorted_by(|a, b| a.name < b.name));
    all.retain(|entry| &*entry.name == name);
    assert_eq!(all.len(), 1, "{name} of {of}");
    Ok(all.remove(0))
}

async fn configs_of_topics(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    // Set, since Kafka 2.5 cannot add to a list that nobody has set.
    kafka.topic("admin-configs", 1, &[("cleanup.policy", "delete")])?;
    let topic = ConfigResource::topic("admin-configs");
    let before = read(&admin, &topic, "max.message.bytes").await?;
    assert!(before.is_default() && !before.sensitive && !before.read_only);

    let changes = ConfigChanges::of(topic.clone())
        .set("max.message.bytes", "5000")
        .append("cleanup.policy", "compact");
    admin.alter_configs([changes]).await?.remove(0)?;
    let is = async |name: &'static str, value: &'static str| {
        within(Duration::from_secs(10), name, async {
            // A broker learns of a change a moment after the controller.
            loop {
                let entry = read(&admin, &topic, name).await?;
                if entry.value.as_deref() == Some(value) {
                    return Ok::<_, Error>(entry);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    };
    let changed = is("max.message.bytes", "5000").await??;
    assert_eq!(
        (changed.source, changed.is_default()),
        (ConfigSource::Topic, false)
    );
    is("cleanup.policy", "delete,compact").await??;

    let changes = ConfigChanges::of(topic.clone())
        .reset("max.message.bytes")
        .subtract("cleanup.policy", "delete");
    admin.alter_configs([changes]).await?.remove(0)?;
    is("cleanup.policy", "compact").await??;
    let after = read(&admin, &topic, "max.message.bytes").await?;
    assert_eq!(after, before);

    // Each has its own result, and one with a wrong value has none of its changes.
    let results = admin
        .alter_configs([
            ConfigChanges::of(ConfigResource::topic("admin-configs-none")).set("retention.ms", "1"),
            ConfigChanges::of(topic.clone())
                .set("retention.ms", "5000")
                .set("max.message.bytes", "many"),
        ])
        .await?;
    let [unknown, wrong] = &codes(&results)[..] else {
        return Err("not two results".into());
    };
    let expected = match kafka.version() {
        // It stumbles over the missing topic.
        Version::V2_5_0 => ErrorCode::UNKNOWN_SERVER_ERROR,
        _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    assert_eq!(*unknown, expected);
    let words = [ErrorCode::INVALID_CONFIG, ErrorCode::INVALID_REQUEST];
    assert!(words.contains(wrong), "{wrong}");
    assert!(read(&admin, &topic, "retention.ms").await?.is_default());
    let results = admin
        .describe_configs([ConfigResource::topic("admin-configs-none"), topic])
        .await?;
    let expected = [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::NONE];
    assert_eq!(codes(&results), expected);
    Ok(())
}

async fn configs_of_brokers(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    // Harmless, and nobody else's.
    let name = "log.cleaner.io.buffer.size";
    let (broker, all) = (ConfigResource::Broker(1), ConfigResource::BrokerDefaults);
    assert!(read(&admin, &broker, name).await?.is_default());
    assert!(read(&admin, &broker, "log.dirs").await?.read_only);
    let change = async |changes: ConfigChanges, value: &str, source: ConfigSource| {
        admin.alter_configs([changes]).await?.remove(0)?;
        within(Duration::from_secs(10), "the change", async {
            loop {
                let entry = read(&admin, &broker, name).await?;
                // Kafka 2.5 tells the value that was last set for the default.
                let older = source == ConfigSource::Default && kafka.version() == Version::V2_5_0;
                if entry.source == source && (older || entry.value.as_deref() == Some(value)) {
                    return Ok::<_, Error>(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await??;
        Outcome::Ok(())
    };
    let to_all = ConfigChanges::of(all.clone()).set(name, "524289");
    change(to_all, "524289", ConfigSource::BrokerDefaults).await?;
    let to_one = ConfigChanges::of(broker.clone()).set(name, "524290");
    change(to_one, "524290", ConfigSource::Broker).await?;
    let of_one = ConfigChanges::of(broker.clone()).reset(name);
    change(of_one, "524289", ConfigSource::BrokerDefaults).await?;
    let of_all = ConfigChanges::of(all).reset(name);
    change(of_all, "524288", ConfigSource::Default).await?;

    // A broker that is not there costs the others nothing.
    let impatient = admin.timeout(Duration::from_secs(1));
    let asked = [ConfigResource::Broker(99), broker];
    let results = impatient.describe_configs(asked).await?;
    let error = results[0].as_ref().expect_err("no such broker");
    assert!(error.to_string().contains("99"), "{error}");
    assert!(results[1].is_ok());
    Ok(())
}

async fn list_offsets(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    kafka.topic("admin-offsets", 3, &[("retention.ms", "-1")])?;
    let producer = client.producer().build()?;
    for number in 1..=6 {
        let record = Record::to("admin-offsets").partition(1).value("v");
        // One batch each, so that a time finds just its record.
        producer
            .send(record.timestamp_millis(number * 1000))
            .await?;
    }
    kafka.delete_records("admin-offsets", 1, 2)?;
    let admin = client.admin();
    let at = |partition, spec| (TopicPartition::new("admin-offsets", partition), spec);
    let asked = [
        at(1, OffsetSpec::Earliest),
        at(1, OffsetSpec::Latest),
        at(9, OffsetSpec::Latest),
        at(1, OffsetSpec::Timestamp(3500)),
        at(0, OffsetSpec::Latest),
        at(1, OffsetSpec::Timestamp(6001)),
        (TopicPartition::new("admin-no-such", 0), OffsetSpec::Latest),
        at(1, OffsetSpec::Timestamp(-5)),
        at(2, OffsetSpec::Earliest),
    ];
    for isolation in [
        IsolationLevel::ReadUncommitted,
        IsolationLevel::ReadCommitted,
    ] {
        let results = admin.list_offsets(asked.clone(), isolation).await?;
        let none = ErrorCode::NONE;
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let expected = [none, none, unknown, none, none, none, unknown, none, none];
        assert_eq!(codes(&results), expected);
        let found: Vec<_> = results.into_iter().flatten().collect();
        let told = |found: &PartitionOffset| (found.offset, found.timestamp_millis);
        let expected = [
            (Some(2), None),
            (Some(6), None),
            (Some(3), Some(4000)),
            (Some(0), None),
            (None, None),
            (Some(2), Some(3000)),
            (Some(0), None),
        ];
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected);
        assert!(found[2].leader_epoch.is_some_and(|epoch| epoch >= 0));
    }
    assert!(
        admin
            .list_offsets([], IsolationLevel::ReadCommitted)
            .await?
            .is_empty()
    );
    Ok(())
}
