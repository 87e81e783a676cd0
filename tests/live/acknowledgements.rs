//! What a broker's answer means: acks, throttle, records refused one by one, and the figures that sum it up.

use std::time::Duration;

use ottla::{Acks, Compression, Delivery, Error, ErrorCode, Producer, Record};
use tokio::time::Instant;

use super::support::{
    Kafka, Message, Outcome, Suite, assert_java_reads, deliver, in_flight, now_millis, until,
    within,
};

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "acknowledgements::every_acks_writes_and_tells_what_it_knows",
        acks,
    );
    suite.shared(
        "acknowledgements::a_throttling_broker_is_left_alone",
        throttle,
    );
    suite.shared("acknowledgements::a_refused_record_fails_alone", refused);
    suite.shared(
        "acknowledgements::a_refused_record_fails_alone_without_idempotence",
        plain,
    );
    suite.shared(
        "acknowledgements::order_holds_while_records_are_refused",
        refused_in_flight,
    );
    suite.shared(
        "acknowledgements::a_record_of_the_far_future_is_refused",
        far_future,
    );
    suite.shared("acknowledgements::metrics_count_what_happened", metrics);
}

async fn acks(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    for (acks, name) in [(Acks::None, "0"), (Acks::Leader, "1"), (Acks::All, "all")] {
        let topic = format!("acks-{name}");
        kafka.topic(&topic, 3, &[])?;
        let builder = client
            .producer()
            .idempotence(false)
            .acks(acks)
            .batch_size(2000);
        let producer = builder.build()?;
        let messages = Message::numbered(2000);
        let places = deliver(&producer, &topic, &messages).await?;
        let metrics = producer.metrics();
        assert_eq!((metrics.records, metrics.buffer_used), (2000, 0));
        if acks == Acks::None {
            assert!(places.iter().all(|place| place.offset().is_none()));
            // Nobody tells when they are in the log; written they are.
            let arrived = || {
                kafka
                    .consume_all(&topic)
                    .is_ok_and(|read| read.len() == 2000)
            };
            until("the records arrive", arrived).await?;
        } else {
            assert_java_reads(kafka, &topic, &messages, &places)?;
        }
    }
    Ok(())
}

async fn throttle(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("throttle", 1, &[])?;
    let bootstrap = kafka.bootstrap();
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--alter",
        "--entity-type",
        "clients",
    ];
    let quota = [
        "--entity-name",
        "throttled",
        "--add-config",
        "producer_byte_rate=10000",
    ];
    let output = kafka.tool(
        "kafka.admin.ConfigCommand",
        &[&arguments[..], &quota[..]].concat(),
    )?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let builder = ottla::Client::builder()
        .bootstrap_servers(&bootstrap)
        .client_id("throttled");
    // Shorter than the throttle: what waits because of it must not time out.
    let request_timeout = Duration::from_millis(600);
    let client = builder.connect().await?;
    let producer = client.producer().request_timeout(request_timeout).build()?;
    let broker = || {
        producer
            .metrics()
            .brokers
            .get(&1)
            .cloned()
            .unwrap_or_default()
    };
    let value = vec![b'x'; 40_000];
    let mut sent = 0;
    // The broker may hear of the quota a moment after the tool has set it.
    let until_throttled = async {
        while broker().throttled.is_zero() {
            producer.send(Record::to(topic).value(&value)).await?;
            sent += 1;
        }
        Ok::<_, Error>(())
    };
    within(Duration::from_secs(20), "a throttle", until_throttled).await??;
    let (answered, throttled) = (Instant::now(), broker().throttled);
    println!("throttled for {throttled:?}");
    assert!(throttled > request_timeout, "{throttled:?}");
    assert_eq!(broker().requests, sent);
    let next = producer
        .enqueue(Record::to(topic).value("after the throttle"))
        .await?;
    until("the next request", || broker().requests == sent + 1).await?;
    let waited = answered.elapsed();
    assert!(waited > throttled * 9 / 10, "{waited:?}");
    next.await?;
    let metrics = producer.metrics();
    assert_eq!((metrics.retries, metrics.failed_records), (0, 0));
    assert_eq!(u64::try_from(kafka.consume_all(topic)?.len())?, sent + 1);
    Ok(())
}

/// Enqueues records, of which those without a key are refused by a compacted topic; sends them by `flush`.
async fn enqueue_with_gaps(
    producer: &Producer,
    topic: &str,
    keyless: &[u32],
    count: u32,
) -> Result<Vec<Delivery>, Error> {
    let mut deliveries = Vec::new();
    for number in 0..count {
        let record = Record::to(topic)
            .partition(0)
            .value(number.to_be_bytes().to_vec());
        let has_key = !keyless.contains(&number);
        let record = if has_key {
            record.key(number.to_be_bytes().to_vec())
        } else {
            record
        };
        deliveries.push(producer.enqueue(record).await?);
        if number % 37 == 36 {
            tokio::task::yield_now().await;
        }
    }
    producer.flush().await?;
    Ok(deliveries)
}

/// The keyless were refused, all others are in the log, once and in order.
async fn assert_only_gaps(
    kafka: &Kafka,
    topic: &str,
    keyless: &[u32],
    deliveries: Vec<Delivery>,
) -> Outcome {
    let read = kafka.consume_all(topic)?;
    let mut places = Vec::new();
    for (number, delivery) in (0_u32..).zip(deliveries) {
        match delivery.await {
            Ok(place) if !keyless.contains(&number) => {
                places.push((place.offset().unwrap_or(-1), number.to_be_bytes().to_vec()));
            }
            Err(error) if keyless.contains(&number) => {
                assert_eq!(
                    error.broker_code(),
                    Some(ErrorCode::INVALID_RECORD),
                    "{error}"
                );
                assert!(
                    !error.possibly_written() && !error.is_retriable(),
                    "{error}"
                );
                // In the broker's own words.
                assert!(error.to_string().contains("key"), "{error}");
            }
            other => return Err(format!("record {number}: {other:?}").into()),
        }
    }
    let read: Vec<_> = read
        .into_iter()
        .map(|record| (record.offset, record.value.unwrap_or_default()))
        .collect();
    assert_eq!(read.len(), places.len(), "records in the log");
    assert_eq!(read, places);
    Ok(())
}

async fn refused(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("refused", 1, &[("cleanup.policy", "compact")])?;
    let client = kafka.client().await?;
    let producer = client.producer().linger(Duration::from_secs(60)).build()?;
    let keyless = [3, 7, 8, 99];
    let deliveries = enqueue_with_gaps(&producer, topic, &keyless, 100).await?;
    let metrics = producer.metrics();
    assert_eq!(
        (metrics.records, metrics.failed_records, metrics.buffer_used),
        (96, 4, 0)
    );
    assert_only_gaps(kafka, topic, &keyless, deliveries).await?;
    // A batch of which nothing is left, and the producer goes on.
    let alone = producer.enqueue(Record::to(topic).value("no key")).await?;
    producer.flush().await?;
    let error = within(Duration::from_secs(5), "the refusal", alone)
        .await?
        .err();
    let code = error.as_ref().and_then(Error::broker_code);
    assert_eq!(code, Some(ErrorCode::INVALID_RECORD));
    let last = producer.enqueue(Record::to(topic).key("k")).await?;
    producer.flush().await?;
    assert_eq!(last.await?.offset(), Some(96));
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn plain(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("refused-plain", 1, &[("cleanup.policy", "compact")])?;
    let builder = kafka.client().await?.producer().idempotence(false);
    let builder = builder.compression(Compression::Gzip(None));
    let producer = builder.linger(Duration::from_secs(60)).build()?;
    let keyless = [0, 50, 51];
    let deliveries = enqueue_with_gaps(&producer, topic, &keyless, 100).await?;
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_only_gaps(kafka, topic, &keyless, deliveries).await
}

async fn refused_in_flight(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("refused-in-flight", 1, &[("cleanup.policy", "compact")])?;
    let client = kafka.client().await?;
    // Many small batches, five of them in flight, some with a record to refuse.
    let builder = client.producer().linger(Duration::ZERO).batch_size(600);
    let producer = builder.retry_backoff(Duration::from_millis(10)).build()?;
    let keyless: Vec<u32> = (0..1500).filter(|number| number % 71 == 70).collect();
    let deliveries = enqueue_with_gaps(&producer, topic, &keyless, 1500).await?;
    assert_eq!(producer.metrics().buffer_used, 0);
    assert_only_gaps(kafka, topic, &keyless, deliveries).await
}

async fn far_future(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("far-future", 1, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().linger(Duration::from_secs(60)).build()?;
    let mut deliveries = Vec::new();
    for number in 0..3 {
        // A broker takes what is at most an hour ahead of its clock.
        let ahead = if number == 1 { 48 * 3_600_000 } else { 0 };
        let record = Record::to(topic)
            .key(vec![number])
            .timestamp_millis(now_millis() + ahead);
        deliveries.push(producer.enqueue(record).await?);
    }
    producer.flush().await?;
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(delivery.await.map(|place| place.offset()));
    }
    let error = outcomes.remove(1).err().ok_or("accepted")?;
    assert_eq!(
        error.broker_code(),
        Some(ErrorCode::INVALID_TIMESTAMP),
        "{error}"
    );
    assert!(!error.possibly_written());
    assert!(
        matches!(outcomes[..], [Ok(Some(0)), Ok(Some(1))]),
        "{outcomes:?}"
    );
    assert_eq!(kafka.consume_all(topic)?.len(), 2);
    Ok(())
}

async fn metrics(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("metrics", 2, &[])?;
    let client = kafka.client().await?;
    let producer = client
        .producer()
        .linger(Duration::from_secs(60))
        .batch_size(10_000)
        .build()?;
    assert_eq!(producer.metrics(), ottla::ProducerMetrics::default());
    let messages: Vec<_> = (0..100)
        .map(|number| Message::of(vec![b'x'; 100]).partition(number % 2))
        .collect();
    for message in &messages {
        drop(producer.enqueue(message.record(topic)).await?);
    }
    assert!(producer.metrics().buffer_used >= 100 * 100);
    producer.flush().await?;
    in_flight(&producer, 0).await?;
    let metrics = producer.metrics();
    assert_eq!((metrics.records, metrics.failed_records), (100, 0));
    assert_eq!(
        (metrics.batches, metrics.retries, metrics.splits),
        (2, 0, 0)
    );
    assert_eq!(metrics.records_per_batch(), Some(50.0));
    assert_eq!(metrics.compression_ratio(), Some(1.0));
    assert!(
        (10_000..12_500).contains(&metrics.plain_bytes),
        "{}",
        metrics.plain_bytes
    );
    assert!(
        (0.5..0.65).contains(&metrics.batch_fill),
        "{}",
        metrics.batch_fill
    );
    assert_eq!((metrics.buffer_used, metrics.buffer_waits), (0, 0));
    assert_eq!(metrics.delivery_latency.count, 2);
    let broker = metrics.brokers.get(&1).ok_or("no figures of broker 1")?;
    assert_eq!((broker.in_flight, broker.bytes), (0, metrics.sent_bytes));
    assert_eq!(broker.request_latency.count, broker.requests);
    assert!(broker.requests <= 2 && broker.throttled.is_zero());
    assert!(broker.request_latency.p50 <= broker.request_latency.max);
    Ok(())
}
