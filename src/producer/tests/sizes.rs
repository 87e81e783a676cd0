//! Batches and records that are larger than their topic takes.

use super::*;
use crate::config::Compression;

/// What the topic takes.
const LARGEST: usize = 100_000;
/// Records of a batch of three megabytes.
const RECORDS: usize = 3000;

async fn large_batches(broker: &Broker) -> Producer {
    let set = |o: &mut ProducerOptions| {
        o.batch_size = Some(4 << 20);
        o.max_request_size = Some(5 << 20);
        o.buffer_memory = Some(64 << 20);
        o.linger = Some(Duration::from_secs(1));
    };
    producer(broker, set).await
}

async fn send_three_megabytes(producer: &Producer) {
    let value = "x".repeat(1000);
    let mut deliveries = Vec::new();
    for _ in 0..RECORDS {
        deliveries.push(producer.enqueue(record(&value)).await.unwrap());
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let offset = delivery.await.unwrap().offset().unwrap();
        assert_eq!(offset % RECORDS as i64, number as i64);
    }
}

#[tokio::test(start_paused = true)]
async fn batch_far_above_the_topics_limit_is_halved_once_a_size_and_what_passed_is_remembered() {
    let broker = Broker::start();
    broker.limit(LARGEST, false);
    let producer = large_batches(&broker).await;
    send_three_megabytes(&producer).await;
    assert_eq!(broker.too_large(), 5, "3000, 1500, 750, 375, 188 kB");
    let (requests, bytes) = (
        broker.requests().len(),
        broker.requests().iter().sum::<usize>(),
    );
    assert!(requests <= 5 + 40, "{requests}");
    assert!(bytes < 10_000_000, "{bytes}");
    send_three_megabytes(&producer).await;
    assert_eq!(broker.too_large(), 5, "later batches are closed below it");
}

#[tokio::test(start_paused = true)]
async fn limit_that_may_be_read_is_asked_for_and_one_batch_alone_is_refused() {
    let broker = Broker::start();
    broker.limit(LARGEST, true);
    let producer = large_batches(&broker).await;
    for _ in 0..2 {
        send_three_megabytes(&producer).await;
    }
    assert_eq!(broker.too_large(), 1);
    let requests = broker.requests();
    let fill = requests
        .iter()
        .filter(|len| **len > LARGEST * 9 / 10)
        .count();
    assert!(fill >= 2 * (RECORDS * 1000 / LARGEST) - 2, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn size_is_tried_again_after_metadata_max_age() {
    let broker = Broker::start();
    broker.limit(LARGEST, true);
    let producer = large_batches(&broker).await;
    send_three_megabytes(&producer).await;
    broker.limit(usize::MAX, true);
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_secs(301)).await;
    }
    let before = broker.requests().len();
    send_three_megabytes(&producer).await;
    assert_eq!(broker.requests().len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn record_that_the_topic_does_not_take_fails_with_its_size_and_the_limit() {
    for compression in [Compression::None, Compression::Gzip(None)] {
        for (tells, limit) in [
            (true, "max.message.bytes = 100000"),
            (false, "could not read"),
        ] {
            let broker = Broker::start();
            broker.limit(LARGEST, tells);
            let producer = producer(&broker, |o| o.set_compression(compression)).await;
            let value: String = (0..200_000).map(|_| fastrand::alphanumeric()).collect();
            let error = producer.send(record(&value)).await.unwrap_err();
            let text = error.to_string();
            assert!(!error.possibly_written() && !error.is_retriable(), "{text}");
            for part in [
                "MESSAGE_TOO_LARGE",
                "t-0",
                "the record takes ",
                limit,
                "raise it",
            ] {
                assert!(text.contains(part), "{part:?} in {text}");
            }
            let is_compressed = compression != Compression::None;
            assert_eq!(text.contains("after compression"), is_compressed, "{text}");
            producer.send(record("smaller")).await.unwrap();
            let sequences: Vec<_> = broker.seen().iter().map(|seen| seen.sequence).collect();
            assert_eq!(sequences, [0, 0], "no epoch is spent");
        }
    }
}
