//! Topics that are not there yet, grow, go away, and come back.

use std::time::Duration;

use ottla::{Error, ErrorCode, NewTopic, Record};
use tokio::time::{Instant, sleep};

use super::support::{Kafka, Message, Outcome, Suite, assert_java_reads, deliver, until, within};

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared("topics::an_unknown_topic_fails_after_max_block", unknown);
    suite.shared(
        "topics::a_topic_created_in_time_gets_the_record",
        created_in_time,
    );
    suite.shared(
        "topics::a_name_that_no_topic_can_have_fails_at_once",
        invalid_name,
    );
    suite.shared(
        "topics::an_unknown_partition_is_waited_for_until_the_topic_grows",
        grows,
    );
    suite.shared("topics::new_partitions_are_found_by_age", grows_unasked);
    suite.shared(
        "topics::a_topic_deleted_in_the_middle_fails_its_records_honestly",
        deleted,
    );
    suite.shared(
        "topics::a_topic_deleted_and_created_again_goes_on",
        recreated,
    );
    suite.shared("topics::order_holds_in_a_topic_created_a_moment_ago", fresh);
    suite.shared(
        "topics::order_holds_in_a_topic_created_again_unnoticed",
        fresh_again,
    );
    suite.shared(
        "topics::a_recreated_topic_goes_on_under_load",
        recreated_under_load,
    );
}

async fn unknown(kafka: &Kafka) -> Outcome {
    let max_block = Duration::from_millis(1500);
    let producer = kafka
        .client()
        .await?
        .producer()
        .max_block(max_block)
        .build()?;
    let record = || Record::to("no-such-topic").value("v");
    let began = Instant::now();
    let calls = [
        producer.send(record()).await.err(),
        producer.enqueue(record()).await.err(),
        producer.prepare("no-such-topic").await.err(),
    ];
    let took = began.elapsed() / 3;
    assert!(took >= max_block && took < max_block * 3 / 2, "{took:?}");
    for error in calls {
        match error {
            Some(error @ Error::UnknownTopic { waited, .. }) => {
                assert!(
                    waited >= max_block && waited < max_block * 3 / 2,
                    "{waited:?}"
                );
                assert!(error.to_string().contains("no-such-topic"), "{error}");
                assert!(error.is_retriable() && !error.is_fatal() && !error.possibly_written());
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn created_in_time(kafka: &Kafka) -> Outcome {
    let producer = kafka.client().await?.producer().build()?;
    let mut sending = Box::pin(producer.send(Record::to("created-in-time").value("v")));
    // Long enough for the first answers to say that there is none.
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut sending)
            .await
            .is_err()
    );
    kafka.topic("created-in-time", 2, &[])?;
    let place = within(Duration::from_secs(10), "sending", sending).await??;
    assert_eq!(place.offset(), Some(0));
    assert_eq!(kafka.consume_all("created-in-time")?.len(), 1);
    Ok(())
}

async fn invalid_name(kafka: &Kafka) -> Outcome {
    let producer = kafka.client().await?.producer().build()?;
    let long = "t".repeat(250);
    for name in ["", ".", "..", "with space", "umläut", "a/b", &long] {
        let sending = producer.send(Record::to(name).value("v"));
        match within(Duration::from_secs(5), name, sending).await? {
            Err(error @ Error::InvalidTopic { .. }) => {
                assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
                assert!(!error.is_retriable() && !error.possibly_written());
            }
            other => return Err(format!("topic {name:?}: {other:?}").into()),
        }
    }
    Ok(())
}

async fn grows(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("grows", 2, &[])?;
    let max_block = Duration::from_millis(1500);
    let client = kafka.client().await?;
    let impatient = client.producer().max_block(max_block).build()?;
    let began = Instant::now();
    match impatient
        .send(Record::to(topic).partition(3).value("v"))
        .await
    {
        Err(error @ Error::UnknownTopic { .. }) => {
            let took = began.elapsed();
            assert!(took >= max_block && took < max_block * 3 / 2, "{took:?}");
            let text = error.to_string();
            assert!(
                text.contains("partition 3") && text.contains(topic),
                "{text}"
            );
        }
        other => return Err(format!("{other:?}").into()),
    }
    let refused = impatient.try_enqueue(Record::to(topic).partition(3)).err();
    assert!(matches!(
        refused.map(|r| r.error),
        Some(Error::UnknownTopic { .. })
    ));

    let patient = client.producer().build()?;
    patient
        .send(Record::to(topic).partition(1).value("v"))
        .await?;
    let mut sending = Box::pin(patient.send(Record::to(topic).partition(3).value("v")));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut sending)
            .await
            .is_err()
    );
    kafka.grow_topic(topic, 4)?;
    let place = within(Duration::from_secs(10), "sending", sending).await??;
    assert_eq!((place.partition(), place.offset()), (3, Some(0)));
    // Both producers see the cluster by one client.
    assert_eq!(impatient.prepare(topic).await?, 4);
    Ok(())
}

async fn grows_unasked(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("grows-unasked", 1, &[])?;
    let builder = ottla::Client::builder().bootstrap_servers(kafka.bootstrap());
    let client = builder
        .metadata_max_age(Duration::from_millis(200))
        .connect()
        .await?;
    let producer = client.producer().round_robin().build()?;
    assert_eq!(producer.send(Record::to(topic)).await?.partition(), 0);
    kafka.grow_topic(topic, 3)?;
    let others = async {
        loop {
            let place = producer.send(Record::to(topic)).await?;
            if place.partition() == 2 {
                return Ok::<_, Error>(());
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    within(
        Duration::from_secs(10),
        "a record for the new partition",
        others,
    )
    .await??;
    Ok(())
}

async fn deleted(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("deleted", 2, &[])?;
    let other = kafka.topic("not-deleted", 2, &[])?;
    let limit = Duration::from_secs(2);
    let builder = kafka
        .client()
        .await?
        .producer()
        .request_timeout(Duration::from_secs(1));
    let builder = builder.delivery_timeout(limit).max_block(limit);
    let producer = builder.build()?;
    deliver(&producer, topic, &Message::numbered(10)).await?;
    kafka.delete_topic(topic)?;
    let mut deliveries = Vec::new();
    for number in 0..20 {
        deliveries.push(
            producer
                .enqueue(Record::to(topic).key(vec![number]))
                .await?,
        );
    }
    // Those of another topic do not suffer.
    let messages = Message::numbered(10);
    let places = deliver(&producer, other, &messages).await;
    for delivery in deliveries {
        let error = within(limit * 2, "the delivery timeout", delivery)
            .await?
            .err();
        let error = error.ok_or("delivered to a topic that is gone")?;
        let gone = [
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_TOPIC_ID,
        ];
        assert!(
            error.broker_code().is_some_and(|code| gone.contains(&code)),
            "{error}"
        );
        assert!(!error.possibly_written(), "{error}");
    }
    assert_java_reads(kafka, other, &messages, &places?)?;
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn recreated(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("recreated", 2, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    for round in 0..3 {
        let messages = Message::numbered(20 + round);
        let places = deliver(&producer, topic, &messages).await?;
        // The topic's first records, though not the producer's.
        assert_java_reads(kafka, topic, &messages, &places)?;
        kafka.delete_topic(topic)?;
        kafka.topic(topic, 2, &[])?;
    }
    kafka.delete_topic(topic)?;
    let mut waiting = Vec::new();
    for number in 0..10 {
        waiting.push(
            producer
                .enqueue(Record::to(topic).partition(0).key(vec![number]))
                .await?,
        );
    }
    until("the broker knows no such topic", || {
        producer.metrics().retries > 0
    })
    .await?;
    kafka.create_topic(topic, 1, 1, &[])?;
    for (number, delivery) in (0..).zip(waiting) {
        let place = within(Duration::from_secs(20), "the delivery", delivery).await??;
        assert_eq!(place.offset(), Some(number));
    }
    assert_eq!(kafka.consume_all(topic)?.len(), 10);
    Ok(())
}

async fn fresh(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let builder = client.producer().linger(Duration::ZERO).batch_size(500);
    let producer = builder.build()?;
    for number in 0..12 {
        let topic = format!("fresh-{number}");
        let new = NewTopic::new(topic.as_str()).partitions(3).replication(1);
        client.admin().create_topics([new]).await?.remove(0)?;
        // The broker tells of the topic before it has made the logs: it refuses the first batches, and takes those
        // behind them, whatever their sequence, because a new log knows no producer.
        let messages: Vec<_> = Message::numbered(1000)
            .into_iter()
            .zip((0..3).cycle())
            .map(|(message, partition)| message.partition(partition))
            .collect();
        let places = deliver(&producer, &topic, &messages).await?;
        assert_java_reads(kafka, &topic, &messages, &places)?;
    }
    Ok(())
}

async fn fresh_again(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("fresh-again", 3, &[])?;
    let client = kafka.client().await?;
    let builder = client.producer().linger(Duration::ZERO).batch_size(500);
    let producer = builder.build()?;
    let messages: Vec<_> = Message::numbered(1000)
        .into_iter()
        .zip((0..3).cycle())
        .map(|(message, partition)| message.partition(partition))
        .collect();
    for number in 0..10 {
        // The old logs know the producer.
        deliver(&producer, topic, &messages[..3]).await?;
        kafka.delete_topic(topic)?;
        // Metadata that tells of the other topic tells of the new one of that name too: the producer hears of it
        // before it sends anything to the old one.
        let other = format!("fresh-again-{number}");
        let both = [topic, &other].map(|name| NewTopic::new(name).partitions(3).replication(1));
        for created in client.admin().create_topics(both).await? {
            created?;
        }
        producer.prepare(&other).await?;
        let places = deliver(&producer, topic, &messages).await?;
        assert_java_reads(kafka, topic, &messages, &places)?;
    }
    Ok(())
}

async fn recreated_under_load(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("recreated-under-load", 3, &[])?;
    let producer = kafka
        .client()
        .await?
        .producer()
        .linger(Duration::ZERO)
        .batch_size(500)
        .build()?;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move {
            let mut deliveries = Vec::new();
            let mut number = 0_u32;
            loop {
                let key = number.to_be_bytes().to_vec();
                match producer
                    .enqueue(Record::to("recreated-under-load").key(key.clone()))
                    .await
                {
                    Ok(delivery) => deliveries.push((key, delivery)),
                    Err(Error::Closed { .. }) => return Ok(deliveries),
                    Err(error) => return Err(error),
                }
                number += 1;
                if number.is_multiple_of(20) {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    let sent = |more: u64| move |metrics: ottla::ProducerMetrics| metrics.records >= more;
    let enough = sent(300);
    until("records arrive", || enough(producer.metrics())).await?;
    kafka.delete_topic(topic)?;
    kafka.create_topic(topic, 3, 1, &[])?;
    let enough = sent(producer.metrics().records + 1000);
    until("records arrive in the new topic", || {
        enough(producer.metrics())
    })
    .await?;
    producer.close(Duration::from_secs(20)).await?;
    let deliveries = sending.await??;
    let read = kafka.consume_all(topic)?;
    let (mut before, mut after) = (0, 0);
    let mut last = [-1; 3];
    for (key, delivery) in deliveries {
        // None fails: the topic was back long before the delivery timeout.
        let place = delivery.await?;
        let mut found = read
            .iter()
            .filter(|record| record.key.as_deref() == Some(&key[..]));
        match (found.next(), found.next()) {
            (Some(record), None) => {
                assert_eq!(Some(record.offset), place.offset());
                let last = &mut last[usize::try_from(record.partition)?];
                assert!(*last < record.offset, "out of order: {record:?}");
                *last = record.offset;
                after += 1;
            }
            (None, None) => before += 1,
            twice => return Err(format!("written twice: {twice:?}").into()),
        }
    }
    println!("{before} records in the old topic, {after} in the new one");
    assert_eq!(after, read.len());
    assert!(after >= 1000);
    Ok(())
}
