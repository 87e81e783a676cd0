//! Deliveries that are given up, and whether the record may be in the log all the same.

use std::time::Duration;

use kafka_cluster::Version;
use ottla::{Delivery, Error, ErrorCode, Record};
use tokio::time::Instant;

use super::support::{Kafka, Message, Outcome, Suite, deliver, in_flight, until, within};

pub(crate) fn promises(suite: &mut Suite) {
    suite.exclusive(
        "timeouts::what_timed_out_in_the_queue_was_not_written",
        in_the_queue,
    );
    suite.exclusive(
        "timeouts::what_timed_out_in_flight_may_have_been_written",
        while_in_flight,
    );
    suite.exclusive(
        "timeouts::a_broker_that_comes_back_in_time_loses_nothing",
        comes_back,
    );
    suite.on(
        Version::V2_5_0,
        "timeouts::used_up_retries_fail_with_the_brokers_error",
        retries_used_up,
    );
    suite.on(
        Version::V2_5_0,
        "timeouts::too_few_replicas_fail_at_the_delivery_timeout",
        too_few_replicas,
    );
    suite.on(
        Version::V2_5_0,
        "timeouts::enough_replicas_in_time_let_the_record_through",
        enough_in_time,
    );
}

/// What a record that was given up tells.
struct GivenUp {
    possibly_written: bool,
    attempts: u32,
    cause: Error,
}

async fn given_up(delivery: Delivery) -> Result<GivenUp, String> {
    let target = delivery.target().clone();
    match delivery.await {
        Err(error @ Error::Delivery { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&target.to_string()), "{text}");
            let may_be = text.contains("it may be in the log all the same");
            assert_eq!(error.possibly_written(), may_be, "{text}");
            let Error::Delivery {
                possibly_written,
                attempts,
                cause,
                ..
            } = error
            else {
                unreachable!("it was one");
            };
            Ok(GivenUp {
                possibly_written,
                attempts,
                cause: (*cause).clone(),
            })
        }
        other => Err(format!("{other:?}")),
    }
}

async fn in_the_queue(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("timeout-in-the-queue", 1, &[])?;
    let limit = Duration::from_millis(1500);
    let builder = kafka
        .client()
        .await?
        .producer()
        .request_timeout(Duration::from_secs(1));
    let producer = builder
        .linger(Duration::ZERO)
        .delivery_timeout(limit)
        .build()?;
    // The topic is known, but there is no connection to send on yet.
    producer.prepare(topic).await?;
    kafka.freeze().await?;
    let began = Instant::now();
    let delivery = producer
        .enqueue(Record::to(topic).value("never sent"))
        .await?;
    let failed = within(limit * 2, "the delivery timeout", given_up(delivery)).await??;
    let took = began.elapsed();
    assert!(took >= limit && took < limit * 13 / 10, "{took:?}");
    assert!(matches!(failed.cause, Error::DeliveryTimeout { timeout, .. } if timeout == limit));
    assert!(!failed.possibly_written);
    assert_eq!((failed.attempts, producer.metrics().buffer_used), (0, 0));
    kafka.thaw()?;
    // No sequence was spent on it: the next one goes through without any ado.
    let place = producer.send(Record::to(topic).value("sent")).await?;
    assert_eq!(
        (place.offset(), producer.metrics().failed_records),
        (Some(0), 1)
    );
    assert_eq!(kafka.consume_all(topic)?.len(), 1);
    Ok(())
}

async fn while_in_flight(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("timeout-in-flight", 1, &[])?;
    let limit = Duration::from_millis(1500);
    let builder = kafka
        .client()
        .await?
        .producer()
        .request_timeout(limit)
        .max_in_flight(2);
    let producer = builder
        .linger(Duration::ZERO)
        .delivery_timeout(limit)
        .build()?;
    producer
        .send(Record::to(topic).value("the connection is open"))
        .await?;
    in_flight(&producer, 0).await?;
    kafka.freeze().await?;
    let mut deliveries = Vec::new();
    for number in 0..2 {
        let record = Record::to(topic).key(vec![number]);
        deliveries.push(producer.enqueue(record).await?);
        in_flight(&producer, usize::from(number) + 1).await?;
    }
    // No more than two may be in flight.
    let queued = producer.enqueue(Record::to(topic).key(vec![2])).await?;
    for delivery in deliveries {
        let failed = within(limit * 2, "the delivery timeout", given_up(delivery)).await??;
        assert!(
            matches!(failed.cause, Error::DeliveryTimeout { .. }),
            "{:?}",
            failed.cause
        );
        assert!(failed.possibly_written);
        assert_eq!(failed.attempts, 1);
    }
    let failed = within(limit * 2, "the delivery timeout", given_up(queued)).await??;
    assert!(!failed.possibly_written);
    kafka.thaw()?;
    // The broker may or may not have seen the first two; what comes after them is in the log once.
    let messages = Message::numbered(100);
    let places = deliver(&producer, topic, &messages).await?;
    let read = kafka.consume_all(topic)?;
    let possibly: Vec<_> = read
        .iter()
        .filter_map(|record| record.key.clone())
        .collect();
    println!("in the log all the same: {possibly:?}");
    assert!(
        [&[][..], &[vec![0]], &[vec![0], vec![1]]].contains(&&*possibly),
        "{possibly:?}"
    );
    assert_eq!(read.len(), 1 + possibly.len() + messages.len());
    for (place, message) in places.iter().zip(&messages) {
        let found = read
            .iter()
            .find(|record| Some(record.offset) == place.offset());
        assert_eq!(found.map(|record| &record.value), Some(&message.value));
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn comes_back(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("comes-back", 3, &[])?;
    let builder = kafka
        .client()
        .await?
        .producer()
        .request_timeout(Duration::from_millis(700));
    let producer = builder
        .linger(Duration::ZERO)
        .delivery_timeout(Duration::from_secs(60))
        .build()?;
    producer
        .send(Record::to(topic).value("the connection is open"))
        .await?;
    let mut deliveries = Vec::new();
    let messages = Message::numbered(300);
    for (number, message) in messages.iter().enumerate() {
        if number == 100 {
            kafka.freeze().await?;
        }
        deliveries.push(producer.enqueue(message.record(topic)).await?);
        tokio::task::yield_now().await;
    }
    until("the requests time out", || producer.metrics().retries > 0).await?;
    kafka.thaw()?;
    let mut expected: Vec<_> = Vec::new();
    for (delivery, message) in deliveries.into_iter().zip(messages) {
        let place = within(Duration::from_secs(30), "the delivery", delivery).await??;
        expected.push((
            place.partition(),
            place.offset().unwrap_or(-1),
            message.value,
        ));
    }
    expected.sort();
    let read = kafka.consume_all(topic)?;
    let opening = Some(&b"the connection is open"[..]);
    let found: Vec<_> = read
        .into_iter()
        .filter(|record| record.value.as_deref() != opening)
        .map(|record| (record.partition, record.offset, record.value))
        .collect();
    assert_eq!(found, expected, "each exactly once, where we were told");
    Ok(())
}

/// A topic that wants more replicas in sync than it has; later versions are content with all that there are.
fn starved_topic(kafka: &Kafka, name: &'static str) -> Result<&'static str, libtest_mimic::Failed> {
    kafka.topic(name, 1, &[("min.insync.replicas", "2")])
}

async fn retries_used_up(kafka: &Kafka) -> Outcome {
    let topic = starved_topic(kafka, "retries-used-up")?;
    let client = kafka.client().await?;
    for retries in [1, 3] {
        let builder = client
            .producer()
            .retries(retries)
            .retry_backoff(Duration::from_millis(20));
        let producer = builder.build()?;
        let delivery = producer.enqueue(Record::to(topic).value("v")).await?;
        let failed = within(Duration::from_secs(10), "the retries", given_up(delivery)).await??;
        assert_eq!(
            failed.cause.broker_code(),
            Some(ErrorCode::NOT_ENOUGH_REPLICAS)
        );
        assert!(failed.cause.is_retriable() && !failed.possibly_written);
        assert_eq!(failed.attempts, retries + 1);
        let metrics = producer.metrics();
        assert_eq!(
            (metrics.retries, metrics.failed_records),
            (u64::from(retries), 1)
        );
        assert_eq!((metrics.records, metrics.buffer_used), (0, 0));
    }
    // Which is no matter for those who do not ask for more than the leader.
    let builder = client
        .producer()
        .idempotence(false)
        .acks(ottla::Acks::Leader);
    assert_eq!(
        builder
            .build()?
            .send(Record::to(topic).value("v"))
            .await?
            .offset(),
        Some(0)
    );
    assert_eq!(kafka.consume_all(topic)?.len(), 1);
    Ok(())
}

async fn too_few_replicas(kafka: &Kafka) -> Outcome {
    let topic = starved_topic(kafka, "too-few-replicas")?;
    let limit = Duration::from_millis(1500);
    let builder = kafka
        .client()
        .await?
        .producer()
        .request_timeout(Duration::from_secs(1));
    // The timeout comes while the batch waits to be sent again.
    let wait = Duration::from_secs(5);
    let builder = builder.retry_backoff(wait).retry_backoff_max(wait);
    let producer = builder.delivery_timeout(limit).build()?;
    let began = Instant::now();
    let delivery = producer.enqueue(Record::to(topic).value("v")).await?;
    let failed = within(limit * 2, "the delivery timeout", given_up(delivery)).await??;
    let took = began.elapsed();
    assert!(took >= limit && took < limit * 13 / 10, "{took:?}");
    let Error::DeliveryTimeout { last: Some(_), .. } = failed.cause else {
        return Err(format!("{:?}", failed.cause).into());
    };
    assert_eq!(
        failed.cause.broker_code(),
        Some(ErrorCode::NOT_ENOUGH_REPLICAS)
    );
    assert!(!failed.possibly_written);
    assert_eq!(failed.attempts, 1);
    assert!(kafka.consume_all(topic)?.is_empty());
    Ok(())
}

async fn enough_in_time(kafka: &Kafka) -> Outcome {
    let topic = starved_topic(kafka, "enough-in-time")?;
    let producer = kafka
        .client()
        .await?
        .producer()
        .linger(Duration::ZERO)
        .build()?;
    let mut deliveries = Vec::new();
    for number in 0..10 {
        deliveries.push(
            producer
                .enqueue(Record::to(topic).key(vec![number]))
                .await?,
        );
        tokio::task::yield_now().await;
    }
    until("the broker refuses", || producer.metrics().retries > 1).await?;
    kafka.alter_config(topic, &[("min.insync.replicas", "1")])?;
    for (number, delivery) in (0..).zip(deliveries) {
        assert_eq!(delivery.await?.offset(), Some(number));
    }
    let keys: Vec<_> = kafka
        .consume_all(topic)?
        .into_iter()
        .filter_map(|r| r.key)
        .collect();
    assert_eq!(keys, (0..10).map(|number| vec![number]).collect::<Vec<_>>());
    Ok(())
}
