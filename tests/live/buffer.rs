//! A full buffer: callers wait, in order, then get a typed error.

use std::time::Duration;

use ottla::{Delivery, Error, Producer, Record};
use tokio::time::{Instant, timeout};

use super::support::{
    Kafka, Message, Outcome, Suite, assert_java_reads, random_bytes, until, within,
};

pub(crate) fn promises(suite: &mut Suite) {
    suite.exclusive(
        "buffer::a_full_buffer_fails_within_a_tenth_of_max_block",
        full_buffer,
    );
    suite.exclusive("buffer::waiters_are_served_first_come_first_served", fair);
    suite.exclusive(
        "buffer::a_dropped_waiter_leaves_the_line_and_nothing_behind",
        dropped_waiter,
    );
    suite.shared("buffer::try_enqueue_gives_the_record_back", gives_back);
    suite.shared("buffer::a_small_buffer_carries_any_load", small_buffer);
}

const KIB: usize = 1024;

/// Enqueues until there is no room.
fn fill(producer: &Producer, record: &Record<'_>) -> Result<Vec<Delivery>, Error> {
    let mut deliveries = Vec::new();
    loop {
        match producer.try_enqueue(record.clone()) {
            Ok(delivery) => deliveries.push(delivery),
            Err(refused) if matches!(refused.error, Error::BufferFull { .. }) => {
                assert_eq!(&refused.record, record, "the record came back changed");
                return Ok(deliveries);
            }
            Err(refused) => return Err(refused.error),
        }
    }
}

async fn full_buffer(kafka: &Kafka) -> Outcome {
    const LIMIT: usize = 256 * KIB;
    let topic = kafka.topic("full-buffer", 3, &[])?;
    let max_block = Duration::from_secs(3);
    let builder = kafka
        .client()
        .await?
        .producer()
        .buffer_memory(LIMIT)
        .max_block(max_block)
        // No batch leaves before it is full, or somebody waits for its memory: how many records there is room for does
        // not depend on how fast they come.
        .linger(Duration::from_secs(30));
    let producer = builder.batch_size(16 * KIB).build()?;
    let opens = producer
        .enqueue(Record::to(topic).value("the connection is open"))
        .await?;
    producer.flush().await?;
    opens.await?;
    kafka.freeze().await?;
    let value = random_bytes(1000);
    let accepted = fill(&producer, &Record::to(topic).value(&value))?;
    // What batches leave unused at their ends is the rest.
    assert!(
        (LIMIT / 1100..LIMIT / 1000).contains(&accepted.len()),
        "{}",
        accepted.len()
    );
    assert!(producer.metrics().buffer_used <= LIMIT);
    for _ in 0..2 {
        let began = Instant::now();
        let failed = producer
            .enqueue(Record::to(topic).value(&value))
            .await
            .err();
        let waited = began.elapsed();
        println!("max.block.ms = 3000 took {waited:?}");
        assert!(
            waited >= max_block && waited < max_block * 11 / 10,
            "{waited:?}"
        );
        match failed {
            Some(
                error @ Error::BufferFull {
                    size,
                    limit: LIMIT,
                    waited: told,
                },
            ) => {
                assert!(size >= value.len() && told >= max_block, "{error:?}");
                assert!(error.is_retriable() && !error.is_fatal() && !error.possibly_written());
                assert!(error.to_string().contains("buffer.memory"), "{error}");
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    assert!(producer.metrics().buffer_waits >= 2);
    kafka.thaw()?;
    let count = accepted.len();
    for delivery in accepted {
        delivery.await?;
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_eq!(kafka.consume_all(topic)?.len(), count + 1);
    Ok(())
}

async fn fair(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("fair", 1, &[])?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .buffer_memory(64 * KIB)
        .batch_size(8 * KIB);
    let producer = builder.build()?;
    producer
        .send(Record::to(topic).value("the connection is open"))
        .await?;
    kafka.freeze().await?;
    // Of these no two have room at the same time: each waits for the one before to be acknowledged.
    let large = random_bytes(40 * KIB);
    let mut all = vec![producer.enqueue(Record::to(topic).value(&large)).await?];
    let mut waiters = Vec::new();
    for number in 0..8_u64 {
        let record = Record::to(topic)
            .key(number.to_string())
            .value(large.clone());
        let waiter = producer.clone();
        waiters.push(tokio::spawn(async move { waiter.enqueue(record).await }));
        let waits = || producer.metrics().buffer_waits > number;
        until("the next one waits", waits).await?;
    }
    // It would fit, but others were there before.
    let refused = producer.try_enqueue(Record::to(topic).value("small")).err();
    assert!(matches!(
        refused.map(|r| r.error),
        Some(Error::BufferFull { .. })
    ));
    let mut small = Box::pin(producer.enqueue(Record::to(topic).value("small")));
    assert!(
        timeout(Duration::from_millis(100), &mut small)
            .await
            .is_err()
    );
    kafka.thaw()?;
    for waiter in waiters {
        all.push(within(Duration::from_secs(20), "a waiter", waiter).await???);
    }
    all.push(small.await?);
    let mut offsets = Vec::new();
    for delivery in all {
        offsets.push(delivery.await?.offset().unwrap_or(-1));
    }
    // The small one and the last large one may have been given their room at the same time.
    let (small, large) = offsets.split_last().ok_or("nothing")?;
    assert!(large.is_sorted() && large[7] < *small, "{offsets:?}");
    let keys: Vec<_> = kafka
        .consume_all(topic)?
        .into_iter()
        .filter_map(|r| r.key)
        .collect();
    assert!(
        keys.iter().eq((0..8)
            .map(|number| number.to_string().into_bytes())
            .collect::<Vec<_>>()
            .iter())
    );
    Ok(())
}

async fn dropped_waiter(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("dropped-waiter", 1, &[])?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .buffer_memory(64 * KIB)
        .batch_size(8 * KIB);
    let producer = builder.build()?;
    producer.send(Record::to(topic).value("first")).await?;
    kafka.freeze().await?;
    let accepted = fill(&producer, &Record::to(topic).value(vec![b'x'; KIB]))?;
    // As large as the others: a small one would still fit into the last batch.
    let dropped = vec![b'd'; KIB];
    for _ in 0..3 {
        let waiting = producer.enqueue(Record::to(topic).value(&dropped));
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        let waiting = producer.send(Record::to(topic).value(&dropped));
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
    }
    let last = tokio::spawn({
        let producer = producer.clone();
        async move {
            producer
                .send(Record::to(topic).value(vec![b'l'; KIB]))
                .await
        }
    });
    until("the last one waits", || {
        producer.metrics().buffer_waits >= 7
    })
    .await?;
    kafka.thaw()?;
    within(Duration::from_secs(20), "those who stayed", last).await???;
    let count = accepted.len();
    for delivery in accepted {
        delivery.await?;
    }
    let values: Vec<_> = kafka
        .consume_all(topic)?
        .into_iter()
        .filter_map(|r| r.value)
        .collect();
    assert_eq!(values.len(), count + 2);
    assert!(!values.contains(&dropped));
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn gives_back(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("gives-back", 1, &[])?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .buffer_memory(4 * KIB)
        .batch_size(KIB);
    let producer = builder.linger(Duration::from_secs(60)).build()?;
    let value = random_bytes(700);
    let record = Record::to(topic)
        .key(value.clone())
        .value(&value)
        .header("h", "1")
        .header("h", value.as_slice())
        .timestamp_millis(5);
    // This producer has not heard of the topic yet.
    let refused = producer
        .try_enqueue(record.clone())
        .err()
        .ok_or("accepted")?;
    assert!(
        matches!(refused.error, Error::UnknownTopic { .. }),
        "{refused:?}"
    );
    assert_eq!(refused.record, record);
    assert_eq!(producer.prepare(topic).await?, 1);
    // Full of batches that linger.
    let accepted = fill(&producer, &record)?;
    let refused = producer
        .try_enqueue(record.clone())
        .err()
        .ok_or("accepted")?;
    assert_eq!(refused.record, record);
    assert!(refused.to_string().contains("buffer.memory"), "{refused}");
    let oversized = Record::to(topic).value(vec![0; 5000]);
    let refused = producer
        .try_enqueue(oversized.clone())
        .err()
        .ok_or("accepted")?;
    assert!(
        matches!(refused.error, Error::RecordTooLarge { .. }),
        "{refused:?}"
    );
    assert_eq!(refused.record, oversized);
    // One that waits needs no linger time to pass.
    let waiting = producer.send(refused.record.clone()).await.err();
    assert!(matches!(
        waiting,
        Some(Error::RecordTooLarge {
            setting: "buffer.memory",
            ..
        })
    ));
    let last = within(Duration::from_secs(10), "room", producer.enqueue(record)).await??;
    producer.flush().await?;
    for delivery in accepted.into_iter().chain([last]) {
        delivery.await?;
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn small_buffer(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("small-buffer", 6, &[])?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .buffer_memory(20 * KIB)
        .batch_size(8 * KIB);
    let producer = builder.build()?;
    // Many times what the buffer holds, and the odd record that takes nearly all of it.
    let messages: Vec<_> = (0..3000)
        .map(|number| {
            let len = if number % 500 == 499 {
                19 * KIB
            } else {
                fastrand::usize(0..900)
            };
            Message::of(random_bytes(len))
        })
        .collect();
    let mut deliveries = Vec::new();
    for message in &messages {
        deliveries.push(producer.enqueue(message.record(topic)).await?);
        assert!(producer.metrics().buffer_used <= 20 * KIB);
    }
    producer.flush().await?;
    let mut places = Vec::new();
    for delivery in deliveries {
        places.push(delivery.await?);
    }
    assert!(producer.metrics().buffer_waits > 0);
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_java_reads(kafka, topic, &messages, &places)
}
