//! Of Java's transactions, read_committed hands out what was committed and nothing else; read_uncommitted all.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_cluster::{ConsumedRecord, JavaProducer, PartitionOffsets, Version};
use libtest_mimic::Failed;
use ottla::{Client, Consumer, Error, IsolationLevel, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{
    By, Kafka, Message, Outcome, SOON, Suite, all_of, by_place, poll_once, read_to, until,
};

const LEVELS: [IsolationLevel; 2] = [
    IsolationLevel::ReadUncommitted,
    IsolationLevel::ReadCommitted,
];

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "java_transactions::kafka_2_5_0_gives_what_was_committed";
    suite.on(Version::V2_5_0, oldest, all);
    let older = "java_transactions::kafka_3_9_1_gives_what_was_committed";
    suite.on(Version::V3_9_1, older, all);
}

pub(crate) fn promises(suite: &mut Suite) {
    let exact = "java_transactions::exactly_the_committed_records_come_up_to_an_open_one";
    suite.shared(exact, transactions);
    let stable = "java_transactions::a_groups_offset_in_an_open_transaction_is_waited_for";
    suite.shared(stable, pending_offset);
    let behind =
        "java_transactions::a_group_that_commits_its_last_record_has_no_lag_behind_markers";
    suite.shared(behind, no_lag);
}

async fn no_lag(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("java-no-lag", 1, &[])?;
    let producer = transactional(kafka, "java-no-lag")?;
    let records: Vec<_> = (0..3)
        .map(|n| Message::of(format!("{n}")).for_java())
        .collect();
    producer.begin()?;
    producer.send(topic, &records)?;
    producer.commit()?;
    producer.begin()?;
    producer.send(topic, &records)?;
    producer.abort()?;
    let client = kafka.client().await?;
    let mut consumer = client
        .consumer(topic)
        .auto_commit(false)
        .isolation(IsolationLevel::ReadCommitted)
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of(topic, 1))
        .build()
        .await?;
    for _ in 0..3 {
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        consumer.commit(&record).await?;
    }
    let lag = client.admin().group_lag(topic).await?.remove(0).1?;
    assert_eq!(
        (lag.end, lag.lag()),
        (8, Some(0)),
        "three, their marker, three, their marker"
    );
    assert_eq!(consumer.lag(&all_of(topic, 1)[0])?, Some(0));
    consumer.close(SOON).await?;
    Ok(())
}

async fn all(kafka: &Kafka) -> Outcome {
    transactions(kafka).await?;
    pending_offset(kafka).await
}

/// A topic of three partitions, and all that was sent to it.
struct Story<'a> {
    kafka: &'a Kafka,
    topic: &'a str,
    sent: usize,
    kept: BTreeSet<Vec<u8>>,
}

/// What becomes of records.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Aborted,
}

fn transactional<'a>(kafka: &'a Kafka, id: &str) -> Result<JavaProducer<'a>, Failed> {
    Ok(kafka.java_producer(&[
        ("transactional.id", id),
        // A transaction has many batches.
        ("batch.size", "300"),
    ])?)
}

impl Story<'_> {
    /// Some records, each another, to each of the partitions.
    fn send(&mut self, producer: &JavaProducer<'_>, partitions: &[i32], fate: Fate) -> Outcome {
        let mut records = Vec::new();
        for number in 0..40 {
            for partition in partitions {
                let value = format!("record {} {number} {partition}", self.sent);
                if fate == Fate::Kept {
                    self.kept.insert(value.clone().into_bytes());
                }
                records.push(Message::of(value).partition(*partition).for_java());
            }
        }
        self.sent += 1;
        producer.send(self.topic, &records)?;
        Ok(())
    }

    /// Whether no transaction is open, to the end of every partition.
    fn is_settled(&self) -> bool {
        let ends = (
            self.kafka.offsets(self.topic),
            self.kafka.stable_offsets(self.topic),
        );
        matches!(ends, (Ok(ends), Ok(stable)) if ends == stable)
    }
}

async fn consumer(
    client: &Client,
    topic: &str,
    level: IsolationLevel,
    fetch_bytes: usize,
) -> Result<Consumer, Error> {
    client
        .standalone_consumer()
        .partition_fetch_bytes(fetch_bytes)
        .isolation(level)
        .offset_reset(OffsetReset::Earliest)
        // A seek waits for the fetch that is under way.
        .fetch_max_wait(Duration::from_millis(10))
        .assign(all_of(topic, 3))
        .build()
        .await
}

/// Transactions that all end, some of them at the same time, with plain records between theirs.
async fn tell(story: &mut Story<'_>, plain: &JavaProducer<'_>) -> Outcome {
    use Fate::{Aborted, Kept};
    let kafka = story.kafka;
    let (first, second) = (transactional(kafka, "1")?, transactional(kafka, "2")?);
    story.send(plain, &[0, 1, 2], Kept)?;
    first.begin()?;
    story.send(&first, &[0, 1, 2], Kept)?;
    first.commit()?;
    story.send(plain, &[0, 2], Kept)?;
    first.begin()?;
    story.send(&first, &[0, 1], Aborted)?;
    first.abort()?;

    // Two at once, one of them aborted, with plain records between theirs.
    first.begin()?;
    second.begin()?;
    story.send(&first, &[0], Aborted)?;
    story.send(&second, &[0, 1], Kept)?;
    story.send(plain, &[0, 1], Kept)?;
    story.send(&first, &[0, 1], Aborted)?;
    story.send(&second, &[0], Kept)?;
    first.abort()?;
    // The producer whose records are to be left out goes on with some that are not.
    first.begin()?;
    story.send(&first, &[0, 1], Kept)?;
    story.send(&second, &[0, 2], Kept)?;
    second.commit()?;
    first.commit()?;
    first.begin()?;
    story.send(&first, &[1], Aborted)?;
    first.abort()?;
    second.begin()?;
    // Behind this a partition has nothing but the marker.
    story.send(&second, &[2], Aborted)?;
    second.abort()?;
    until("the transactions' ends", || story.is_settled()).await
}

async fn transactions(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("java-transactions", 3, &[])?;
    let mut story = Story {
        kafka,
        topic,
        sent: 0,
        kept: BTreeSet::new(),
    };
    let plain = kafka.java_producer(&[("batch.size", "300")])?;
    tell(&mut story, &plain).await?;
    let client = kafka.client().await?;
    let ends = kafka.offsets(topic)?;
    let mut consumers = Vec::new();
    // All at once, and a batch or two at a time: then most fetches begin within a transaction.
    for (by, fetch_bytes) in [(By::Poll, 1 << 20), (By::Recv, 700), (By::Poll, 700)] {
        for level in LEVELS {
            let mut consumer = consumer(&client, topic, level, fetch_bytes).await?;
            let read = by_place(read_to(&mut consumer, topic, &ends, by).await?);
            assert_level(&story, level, &read)?;
            assert_at_end(&consumer, topic, &ends).await?;
            consumers.push((level, by, consumer, read));
        }
    }
    seek_everywhere(&story, &client).await?;

    let late = transactional(kafka, "late")?;
    late.begin()?;
    story.send(&late, &[0, 1], Fate::Kept)?;
    story.send(&plain, &[0, 1, 2], Fate::Kept)?;
    for (level, by, consumer, read) in &mut consumers {
        let ends = match level {
            IsolationLevel::ReadCommitted => kafka.stable_offsets(topic)?,
            _ => kafka.offsets(topic)?,
        };
        read.extend(read_to(consumer, topic, &ends, *by).await?);
        assert_eq!(by_place(read.clone()), expected(kafka, topic, *level)?);
        assert_at_end(consumer, topic, &ends).await?;
        assert!(poll_once(consumer.recv()).await.is_none(), "{level:?}");
    }
    late.commit()?;
    until("the last transaction's end", || story.is_settled()).await?;
    let ends = kafka.offsets(topic)?;
    for (level, by, mut consumer, mut read) in consumers {
        read.extend(read_to(&mut consumer, topic, &ends, by).await?);
        assert_level(&story, level, &by_place(read))?;
        assert_at_end(&consumer, topic, &ends).await?;
    }
    Ok(())
}

fn expected(
    kafka: &Kafka,
    topic: &str,
    level: IsolationLevel,
) -> Result<Vec<ConsumedRecord>, kafka_cluster::Error> {
    Ok(by_place(match level {
        IsolationLevel::ReadCommitted => kafka.consume_committed(topic)?,
        _ => kafka.consume_all(topic)?,
    }))
}

/// What Java's consumer reads, and what was meant to be read.
fn assert_level(story: &Story<'_>, level: IsolationLevel, read: &[ConsumedRecord]) -> Outcome {
    assert_eq!(
        read,
        expected(story.kafka, story.topic, level)?,
        "{level:?}"
    );
    let values: BTreeSet<_> = read
        .iter()
        .filter_map(|record| record.value.clone())
        .collect();
    assert_eq!(values.len(), read.len(), "{level:?}");
    match level {
        IsolationLevel::ReadCommitted => assert_eq!(values, story.kept),
        _ => assert!(values.is_superset(&story.kept)),
    }
    Ok(())
}

/// The consumer stands at the ends of what it may read, as Java tells them.
async fn assert_at_end(consumer: &Consumer, topic: &str, ends: &[PartitionOffsets]) -> Outcome {
    let named = |end: &PartitionOffsets| TopicPartition::new(topic, end.partition);
    let told = consumer.end_offsets(ends.iter().map(named)).await?;
    assert!(told.iter().eq(ends.iter().map(|end| &end.end)), "{told:?}");
    for end in ends {
        let partition = named(end);
        assert_eq!(consumer.lag(&partition)?, Some(0), "{partition:?}");
        assert_eq!(consumer.position(&partition)?, Some(end.end));
    }
    Ok(())
}

/// From any offset on, also one of an aborted record or a marker, the next record to hand out comes.
async fn seek_everywhere(story: &Story<'_>, client: &Client) -> Outcome {
    let kafka = story.kafka;
    for level in LEVELS {
        let all = expected(kafka, story.topic, level)?;
        let mut consumer = consumer(client, story.topic, level, 2000).await?;
        for end in kafka.offsets(story.topic)? {
            let partition = TopicPartition::new(story.topic, end.partition);
            let others = all_of(story.topic, 3);
            for other in others.iter().filter(|other| **other != partition) {
                consumer.pause(other)?;
            }
            let offsets: Vec<_> = all
                .iter()
                .filter(|record| record.partition == end.partition)
                .map(|record| record.offset)
                .collect();
            for from in (0..end.end).step_by(7) {
                consumer.seek(&partition, from)?;
                let Some(next) = offsets.iter().find(|offset| **offset >= from) else {
                    continue;
                };
                let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
                assert_eq!(
                    (record.topic_partition(), record.offset()),
                    (&partition, *next)
                );
            }
            for other in &others {
                consumer.resume(other)?;
            }
        }
    }
    Ok(())
}

async fn pending_offset(kafka: &Kafka) -> Outcome {
    let (topic, group) = (kafka.topic("java-pending", 1, &[])?, "java-pending-group");
    let partition = TopicPartition::new(topic, 0);
    let records: Vec<_> = (0..10)
        .map(|number| Message::of(number.to_string()).for_java())
        .collect();
    kafka.java_producer(&[])?.send(topic, &records)?;
    let producer = kafka.java_producer(&[("transactional.id", group)])?;
    producer.begin()?;
    producer.send_offset(group, topic, 0, 3)?;
    producer.commit()?;
    let client = kafka.client().await?;
    let asking = client.consumer(group).build().await?;
    // The offset itself is written before the transaction's end is.
    let committed = async || asking.committed([partition.clone()]).await;
    let found = timeout(SOON, committed()).await??;
    assert_eq!(found[0].as_ref().map(|found| found.offset), Some(3));

    producer.begin()?;
    producer.send_offset(group, topic, 0, 7)?;
    let mut consumer = client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .subscribe([topic])
        .build()
        .await?;
    until("the assignment", || !consumer.assignment().is_empty()).await?;
    // The offset may become 7 and may stay 3: until that is known, there is no place to start from.
    let early = timeout(Duration::from_secs(1), consumer.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(consumer.position(&partition)?, None);
    producer.commit()?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 7);
    consumer.close(SOON).await?;
    asking.close(SOON).await?;
    Ok(())
}
