//! Whole topics without a group, what "from the end" means once a consumer is ready, and what a consumer counts.

use std::time::Duration;

use ottla::{Client, Consumer, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{Kafka, Message, Outcome, SOON, Suite, all_of, deliver, eventually};

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "subscribing::without_a_group_all_partitions_are_read_and_new_ones_from_their_beginnings",
        whole_topics,
    );
    suite.shared(
        "subscribing::who_is_ready_reads_each_record_sent_from_then_on",
        from_the_end,
    );
    suite.shared(
        "subscribing::what_a_consumer_counts_is_what_it_did",
        metrics,
    );
}

/// Notices new partitions and topics soon.
async fn watchful(kafka: &Kafka) -> Result<Client, ottla::Error> {
    let builder = Client::builder().bootstrap_servers(kafka.bootstrap());
    let builder = builder.metadata_max_age(Duration::from_millis(500));
    builder.connect().await
}

async fn next_is(consumer: &mut Consumer, topic: &str, partition: i32, offset: i64) -> Outcome {
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    let place = (record.topic(), record.partition(), record.offset());
    assert_eq!(place, (topic, partition, offset));
    Ok(())
}

async fn whole_topics(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("whole", 2, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    let to = |partition| [Message::of("x").partition(partition)];
    deliver(&producer, topic, &[to(0), to(1)].concat()).await?;

    let mut consumer = watchful(kafka)
        .await?
        .standalone_consumer()
        .offset_reset(OffsetReset::Latest)
        .auto_create_topics(false)
        .subscribe([topic])
        .build()
        .await?;
    timeout(SOON, consumer.ready()).await??;
    assert_eq!(consumer.assignment().len(), 2);
    for partition in [0, 1] {
        deliver(&producer, topic, &to(partition)).await?;
        next_is(&mut consumer, topic, partition, 1).await?;
    }

    // Records are there before the consumer knows of the partition.
    kafka.grow_topic(topic, 3)?;
    deliver(&producer, topic, &to(2)).await?;
    next_is(&mut consumer, topic, 2, 0).await?;

    // And before it knows of the topic.
    let late = "whole-late";
    consumer.subscribe([topic, late])?;
    let handle = consumer.handle();
    let waiting = tokio::spawn(async move { handle.ready().await });
    let idle = timeout(Duration::from_millis(700), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    assert!(!waiting.is_finished(), "a topic is missing");
    kafka.topic(late, 1, &[])?;
    deliver(&producer, late, &to(0)).await?;
    next_is(&mut consumer, late, 0, 0).await?;
    timeout(SOON, waiting).await???;

    // What is not subscribed to any more is not read any more.
    consumer.subscribe([late])?;
    let left = [TopicPartition::new(late, 0)];
    eventually("the rest is given up", async || {
        consumer.assignment() == left
    })
    .await?;
    deliver(&producer, topic, &to(0)).await?;
    deliver(&producer, late, &to(0)).await?;
    next_is(&mut consumer, late, 0, 1).await?;
    Ok(())
}

async fn from_the_end(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("from-the-end", 3, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let mut offsets = [0; 3];
    for round in 0..8 {
        let builder = match round % 3 {
            0 => client.standalone_consumer().assign(all_of(topic, 3)),
            1 => client.standalone_consumer().subscribe([topic]),
            _ => {
                let group = client.consumer(format!("from-the-end-{round}"));
                group.subscribe([topic])
            }
        };
        let builder = builder.offset_reset(OffsetReset::Latest);
        let mut consumer = builder.build().await?;
        timeout(SOON, consumer.ready()).await??;
        let number = fastrand::usize(..3);
        let message = Message::of("news").partition(number as i32);
        deliver(&producer, topic, &[message]).await?;
        next_is(&mut consumer, topic, number as i32, offsets[number]).await?;
        offsets[number] += 1;
        consumer.close(SOON).await?;
    }
    Ok(())
}

async fn metrics(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("metrics-of-a-consumer", 2, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let value = "v".repeat(1000);
    let messages: Vec<_> = (0..100)
        .map(|at| Message::of(value.as_str()).partition(at % 2))
        .collect();
    deliver(&producer, topic, &messages).await?;

    let member = || {
        let group = client.consumer("metrics-of-a-consumer").subscribe([topic]);
        group
            .offset_reset(OffsetReset::Earliest)
            .heartbeat_interval(Duration::from_millis(100))
            .auto_commit(false)
            .build()
    };
    let mut consumer = member().await?;
    timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    let lag_of_all = |consumer: &Consumer| -> Option<u64> {
        let lag = consumer.metrics().lag;
        assert_eq!(lag.len(), 2);
        lag.into_values().sum()
    };
    // Of the other partition, too, it is known how much there is, once it was fetched.
    eventually("lag is known", async || lag_of_all(&consumer) == Some(99)).await?;
    let before = consumer.metrics();
    assert_eq!((before.records, before.rebalances), (1, 1));
    assert_eq!((before.commits, before.failed_commits), (0, 0));
    assert!(before.buffered_bytes > 0 && before.max_lag() == Some(50));
    let mut read = 1;
    while read < 100 {
        read += timeout(SOON, consumer.poll())
            .await??
            .ok_or("the end")?
            .len();
    }
    consumer.commit_positions().await?;

    let after = consumer.metrics();
    assert_eq!(after.records, 100);
    assert!((100_000..120_000).contains(&after.bytes), "{}", after.bytes);
    assert!(after.fetches > 0 && after.fetch_latency.count == after.fetches);
    assert!(after.fetch_latency.max > Duration::ZERO);
    assert_eq!(after.max_lag(), Some(0));
    assert_eq!((after.commits, after.commit_latency.count), (1, 1));
    assert!(after.commit_latency.max > Duration::ZERO);
    assert!(after.since_last_call.is_some_and(|since| since < SOON));

    // A rebalance counts for both who take part in it.
    let mut other = member().await?;
    eventually("both have one", async || {
        for one in [&mut consumer, &mut other] {
            let idle = timeout(Duration::from_millis(10), one.recv()).await;
            assert!(idle.is_err(), "all was committed: {idle:?}");
        }
        consumer.metrics().lag.len() == 1 && other.metrics().lag.len() == 1
    })
    .await?;
    assert!(consumer.metrics().rebalances >= 2);
    assert!(other.metrics().rebalances >= 1);
    assert_eq!(other.metrics().records, 0);
    Ok(())
}
