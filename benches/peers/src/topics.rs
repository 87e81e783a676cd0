//! Topics made and removed around a run.

use anyhow::{Context, bail, ensure};
use peers::work::Work;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

type Admin = AdminClient<DefaultClientContext>;

fn admin(work: &Work) -> anyhow::Result<Admin> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", &work.brokers)
        .create()?)
}

/// Returns when every partition has its leader and all its replicas, so that no client's run waits
/// for that.
pub(crate) async fn create(work: &Work) -> anyhow::Result<()> {
    let start = Instant::now();
    let admin = admin(work)?;
    loop {
        let replication = TopicReplication::Fixed(work.replication);
        let topic = NewTopic::new(&work.topic, work.partitions, replication);
        let answers = admin.create_topics(&[topic], &AdminOptions::new()).await?;
        match answers
            .into_iter()
            .next()
            .context("no answer for the topic")?
        {
            Ok(_) => break,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) if start.elapsed() < LIMIT => {
                delete(work).await?;
                tokio::time::sleep(PAUSE).await;
            }
            Err((topic, code)) => bail!("cannot create {topic}: {code}"),
        }
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &work.brokers)
        .create()?;
    while !ready(&consumer, work) {
        ensure!(
            start.elapsed() < LIMIT,
            "topic {} is not ready after {LIMIT:?}",
            work.topic
        );
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether metadata is complete and every leader answers for its partitions: metadata runs ahead of
/// the brokers.
fn ready(consumer: &BaseConsumer, work: &Work) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(Some(&work.topic), PAUSE * 5) else {
        return false;
    };
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    let replicated = |isr: &[i32]| isr.len() == work.replication as usize;
    if partitions
        .filter(|p| p.leader() >= 0 && replicated(p.isr()))
        .count() as i32
        != work.partitions
    {
        return false;
    }
    let mut times = TopicPartitionList::new();
    for partition in 0..work.partitions {
        if times
            .add_partition_offset(&work.topic, partition, Offset::Offset(0))
            .is_err()
        {
            return false;
        }
    }
    consumer
        .offsets_for_times(times, PAUSE * 25)
        .is_ok_and(|offsets| {
            offsets
                .elements()
                .iter()
                .all(|partition| partition.error().is_ok())
        })
}

pub(crate) async fn delete(work: &Work) -> anyhow::Result<()> {
    for answer in admin(work)?
        .delete_topics(&[&work.topic], &AdminOptions::new())
        .await?
    {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
