//! Records and batches that are too large, for us or for the broker.

use std::time::{Duration, Instant};

use ottla::{Compression, Error, ErrorCode, Record};

use super::support::{
    Kafka, Message, Outcome, Suite, assert_java_reads, deliver, now_millis, random_bytes,
};

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "size::a_record_above_max_request_size_fails_at_once",
        too_large,
    );
    suite.shared(
        "size::the_largest_record_that_is_accepted_arrives",
        just_fits,
    );
    suite.shared(
        "size::batches_too_large_for_the_broker_are_split_and_arrive",
        split,
    );
    suite.shared(
        "size::a_record_too_large_for_the_broker_fails_alone",
        one_too_large,
    );
    suite.shared("size::order_holds_while_batches_are_split", split_in_flight);
    suite.shared("size::compressed_batches_are_split_too", split_compressed);
}

async fn too_large(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("too-large", 1, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    producer.prepare(topic).await?;
    let value = random_bytes(2 << 20);
    let record = || Record::to(topic).value(&value);
    let check = |error: Error| {
        let Error::RecordTooLarge {
            size,
            limit: 1_048_576,
            setting: "max.request.size",
        } = error
        else {
            return Err(format!("{error:?}"));
        };
        assert!(size > value.len() && size < value.len() + 200, "{size}");
        assert!(!error.is_retriable() && !error.possibly_written() && !error.is_fatal());
        Ok(())
    };
    let began = Instant::now();
    check(producer.send(record()).await.err().ok_or("sent")?)?;
    check(producer.enqueue(record()).await.err().ok_or("enqueued")?)?;
    let refused = producer.try_enqueue(record()).err().ok_or("enqueued")?;
    assert_eq!(refused.record, record());
    check(refused.error)?;
    // Far less than any of the producer's times.
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let metrics = producer.metrics();
    assert_eq!((metrics.buffer_used, metrics.buffer_waits), (0, 0));
    let metadata = producer.send(Record::to(topic).value("small")).await?;
    assert_eq!(metadata.offset(), Some(0));
    Ok(())
}

async fn just_fits(kafka: &Kafka) -> Outcome {
    const LIMIT: usize = 10_000;
    let topic = kafka.topic("just-fits", 1, &[])?;
    let builder = kafka.client().await?.producer().max_request_size(LIMIT);
    let producer = builder.build()?;
    producer.prepare(topic).await?;
    let bytes = random_bytes(LIMIT);
    let fits = |len: usize| {
        producer
            .try_enqueue(Record::to(topic).value(&bytes[..len]))
            .is_ok()
    };
    let largest = (LIMIT - 200..LIMIT)
        .rev()
        .find(|len| fits(*len))
        .ok_or("none fits")?;
    assert!(largest >= LIMIT - 100, "{largest}");
    producer.flush().await?;
    let read = kafka.consume_all(topic)?;
    assert_eq!(read[0].value.as_deref(), Some(&bytes[..largest]));
    Ok(())
}

/// A topic that takes batches of at most 10 kB.
fn narrow_topic(kafka: &Kafka, name: &'static str) -> Result<&'static str, libtest_mimic::Failed> {
    kafka.topic(name, 1, &[("max.message.bytes", "10000")])
}

async fn split(kafka: &Kafka) -> Outcome {
    let topic = narrow_topic(kafka, "split")?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .linger(Duration::from_secs(60));
    let producer = builder.build()?;
    let headers = [
        ("a".to_owned(), None),
        ("a".to_owned(), Some(b"1".to_vec())),
    ];
    let messages: Vec<_> = (0..100)
        .map(|number| {
            Message::of(random_bytes(1000))
                .key(vec![number])
                .headers(headers.clone())
        })
        .map(|message| message.timestamp(now_millis() - fastrand::i64(0..1000)))
        .collect();
    let places = deliver(&producer, topic, &messages).await?;
    let metrics = producer.metrics();
    // One batch of 100 kB is refused; the limit is asked for, and its parts are below it.
    assert_eq!(metrics.splits, 1);
    let requests: u64 = metrics.brokers.values().map(|broker| broker.requests).sum();
    assert!((12..=15).contains(&requests), "{requests}");
    assert_eq!(
        (metrics.retries, metrics.failed_records, metrics.records),
        (0, 0, 100)
    );
    assert_eq!(metrics.buffer_used, 0);
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn one_too_large(kafka: &Kafka) -> Outcome {
    let topic = narrow_topic(kafka, "one-too-large")?;
    let client = kafka.client().await?;
    for idempotent in [true, false] {
        let builder = client.producer().idempotence(idempotent).max_in_flight(5);
        let producer = builder.linger(Duration::from_secs(60)).build()?;
        let mut deliveries = Vec::new();
        for number in 0..21 {
            let size = if number == 13 { 20_000 } else { 1000 };
            let record = Record::to(topic)
                .key(vec![number])
                .value(random_bytes(size));
            deliveries.push(producer.enqueue(record).await?);
        }
        producer.flush().await?;
        let mut arrived = Vec::new();
        for (number, delivery) in (0..).zip(deliveries) {
            match delivery.await {
                Ok(place) => arrived.push((place.offset().unwrap_or(-1), number)),
                Err(error) => {
                    assert_eq!(number, 13, "{error}");
                    assert_eq!(error.broker_code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
                    assert!(
                        !error.possibly_written() && !error.is_retriable(),
                        "{error}"
                    );
                    let text = error.to_string();
                    let limit = "has max.message.bytes = 10000";
                    assert!(text.contains(topic) && text.contains(limit), "{text}");
                }
            }
        }
        assert_eq!(arrived.len(), 20);
        assert!(arrived.is_sorted());
        let later = producer.enqueue(Record::to(topic).key(vec![99])).await?;
        producer.flush().await?;
        arrived.push((later.await?.offset().unwrap_or(-1), 99));
        let read = kafka.consume_all(topic)?;
        for (offset, number) in arrived {
            let found = read.iter().find(|record| record.offset == offset);
            assert_eq!(
                found.and_then(|record| record.key.clone()),
                Some(vec![number])
            );
        }
        assert_eq!(read.len(), if idempotent { 21 } else { 42 });
        assert_eq!(producer.metrics().buffer_used, 0);
    }
    Ok(())
}

async fn split_in_flight(kafka: &Kafka) -> Outcome {
    let topic = narrow_topic(kafka, "split-in-flight")?;
    let client = kafka.client().await?;
    // Batches of 4 to 25 kB follow each other closely, with every third too large.
    let builder = client.producer().batch_size(25_000).linger(Duration::ZERO);
    let producer = builder.build()?;
    let mut deliveries = Vec::new();
    let messages: Vec<_> = (0..600_u32)
        .map(|number| {
            let mut value = random_bytes(fastrand::usize(10..2000));
            value[..4].copy_from_slice(&number.to_be_bytes());
            Message::of(value)
        })
        .collect();
    for (number, message) in messages.iter().enumerate() {
        deliveries.push(producer.enqueue(message.record(topic)).await?);
        if number % 29 == 0 {
            tokio::task::yield_now().await;
        }
    }
    producer.flush().await?;
    let mut places = Vec::new();
    for delivery in deliveries {
        places.push(delivery.await?);
    }
    assert!(producer.metrics().splits > 0);
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn split_compressed(kafka: &Kafka) -> Outcome {
    let topic = narrow_topic(kafka, "split-compressed")?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .compression(Compression::Zstd(None));
    let producer = builder.linger(Duration::from_secs(60)).build()?;
    let messages: Vec<_> = (0..90).map(|_| Message::of(random_bytes(1000))).collect();
    let places = deliver(&producer, topic, &messages).await?;
    assert!(producer.metrics().splits > 0);
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_java_reads(kafka, topic, &messages, &places)
}
