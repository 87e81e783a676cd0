//! A subscription to a topic that does not exist makes it or waits for it, as the settings of both sides say.

use std::time::Duration;

use kafka_cluster::Cluster;
use ottla::{Admin, Client, Consumer, Error, ErrorCode, GroupState, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{Kafka, Message, Outcome, SOON, Suite};

pub(crate) fn promises(suite: &mut Suite) {
    let made = "java_topics::a_topic_is_made_by_subscribing_where_both_sides_allow_it";
    suite.alone(made, made_by_subscribing);
    let forbidden = "java_topics::where_brokers_do_not_make_topics_they_are_waited_for";
    suite.shared(forbidden, forbidden_by_brokers);
}

/// Looks for new topics every second, not every five minutes.
async fn client(cluster: &Cluster) -> Result<Client, Error> {
    Client::builder()
        .bootstrap_servers(cluster.bootstrap())
        .metadata_max_age(Duration::from_secs(1))
        .connect()
        .await
}

async fn exists(admin: &Admin, topic: &str) -> Result<bool, Error> {
    match admin.describe_topics([topic]).await?.remove(0) {
        Ok(_) => Ok(true),
        Err(error) if error.broker_code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Waits until the group has its one member, who then has asked for all that it reads.
async fn joined(admin: &Admin, group: &str) -> Outcome {
    let stable = async {
        loop {
            match admin.describe_groups([group]).await?.remove(0) {
                Ok(group) if group.state == GroupState::Stable && group.members.len() == 1 => break,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Ok::<_, Error>(())
    };
    Ok(timeout(SOON, stable).await??)
}

/// Waits, as an application does that wants the next record, until so many partitions are the consumer's.
async fn assigned(consumer: &mut Consumer, partitions: usize) -> Outcome {
    let assigned = async {
        while consumer.assignment().len() != partitions {
            let early = timeout(Duration::from_millis(20), consumer.recv()).await;
            assert!(early.is_err(), "{early:?}");
        }
    };
    Ok(timeout(SOON, assigned).await?)
}

/// Java writes to the topic, and what it writes comes.
async fn assert_read(cluster: &Cluster, consumer: &mut Consumer, topic: &str) -> Outcome {
    let records: Vec<_> = (0..20)
        .map(|number| Message::of(number.to_string()).for_java())
        .collect();
    let mut places = cluster.java_producer(&[])?.send(topic, &records)?;
    let mut read = Vec::new();
    while read.len() < places.len() {
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        assert_eq!(record.topic(), topic);
        read.push((record.partition(), record.offset()));
    }
    places.sort();
    read.sort();
    assert_eq!(read, places);
    Ok(())
}

async fn made_by_subscribing() -> Outcome {
    let cluster = Cluster::builder()
        .heap("384m")
        .property("auto.create.topics.enable", "true")
        .start()?;
    let client = client(&cluster).await?;
    let admin = client.admin();
    let builder = |group: &str| client.consumer(group).offset_reset(OffsetReset::Earliest);

    let mut consumer = builder("makes").subscribe(["made"]).build().await?;
    assigned(&mut consumer, 3).await?;
    assert!(exists(&admin, "made").await?);
    assert_read(&cluster, &mut consumer, "made").await?;

    // One that may not make it, and nobody else does by looking.
    let waiting = builder("waits").auto_create_topics(false);
    let mut waiting = waiting.subscribe(["not-made"]).build().await?;
    joined(&admin, "waits").await?;
    // The subscription of another may make its own topic, and no more.
    consumer.subscribe(["made", "made-too"])?;
    assigned(&mut consumer, 6).await?;
    assert!(exists(&admin, "made-too").await?);
    // Also after it was looked for again.
    let early = timeout(Duration::from_millis(2500), waiting.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert!(!exists(&admin, "not-made").await?);
    assert!(waiting.assignment().is_empty());
    cluster.create_topic("not-made", 2, 1, &[])?;
    assigned(&mut waiting, 2).await?;
    assert_read(&cluster, &mut waiting, "not-made").await?;
    waiting.close(SOON).await?;
    consumer.close(SOON).await?;
    assigned_by_hand(&cluster, &client).await
}

async fn assigned_by_hand(cluster: &Cluster, client: &Client) -> Outcome {
    let builder = |topic| {
        client
            .standalone_consumer()
            .offset_reset(OffsetReset::Earliest)
            .assign([TopicPartition::new(topic, 0)])
    };
    let mut consumer = builder("by-hand").build().await?;
    let early = timeout(Duration::from_millis(1500), consumer.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert!(exists(&client.admin(), "by-hand").await?);
    let records = [Message::of("x").partition(0).for_java()];
    cluster.java_producer(&[])?.send("by-hand", &records)?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 0);

    let waiting = builder("by-hand-not").auto_create_topics(false);
    let mut waiting = waiting.build().await?;
    let early = timeout(Duration::from_millis(2500), waiting.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert!(!exists(&client.admin(), "by-hand-not").await?);
    cluster.create_topic("by-hand-not", 1, 1, &[])?;
    cluster.java_producer(&[])?.send("by-hand-not", &records)?;
    let record = timeout(SOON, waiting.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 0);
    Ok(())
}

async fn forbidden_by_brokers(kafka: &Kafka) -> Outcome {
    let client = client(kafka).await?;
    let (topic, group) = ("java-topics-forbidden", "java-topics-forbidden-group");
    kafka.topic("java-topics-there", 1, &[])?;
    let mut consumer = client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .subscribe([topic, "java-topics-there"])
        .build()
        .await?;
    // That one topic is missing keeps nobody from reading the other.
    assigned(&mut consumer, 1).await?;
    assert_read(kafka, &mut consumer, "java-topics-there").await?;
    let early = timeout(Duration::from_millis(1500), consumer.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert!(!exists(&client.admin(), topic).await?);
    kafka.topic(topic, 2, &[])?;
    assigned(&mut consumer, 3).await?;
    assert_read(kafka, &mut consumer, topic).await?;
    consumer.close(SOON).await?;
    Ok(())
}
