//! What goes out in which request, and what is told and counted of the answers.

use super::broker::{Seen, Told};
use super::*;
use crate::error::ErrorCode;
use crate::types::BrokerId;

/// The attempts that a failed delivery tells of.
fn attempts(error: &Error) -> u32 {
    match error {
        Error::Delivery { attempts, .. } => *attempts,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn error_tells_how_often_its_batch_was_sent() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    broker.tell(Told::code(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let error = producer.send(record("v")).await.unwrap_err();
    assert_eq!(attempts(&error), 1);
    for code in [
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ] {
        broker.tell(Told::code(code));
    }
    let error = producer.send(record("v")).await.unwrap_err();
    assert_eq!(attempts(&error), 3);
}

#[tokio::test(start_paused = true)]
async fn error_tells_how_often_its_batch_was_sent_when_no_retry_is_left() {
    let broker = Broker::start();
    let producer = producer(&broker, |o| o.retries = Some(1)).await;
    for _ in 0..2 {
        broker.tell(Told::code(ErrorCode::NOT_ENOUGH_REPLICAS));
    }
    let error = producer.send(record("v")).await.unwrap_err();
    assert_eq!(attempts(&error), 2);
}

/// Five records in one batch, of which the broker refuses some after a first attempt with another code.
async fn refused(first: ErrorCode, rejected: Vec<i32>) -> (Arc<Broker>, Producer, Vec<Error>) {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    broker.tell(Told::code(first));
    broker.tell(Told {
        code: ErrorCode::INVALID_RECORD,
        rejected,
    });
    let mut deliveries = Vec::new();
    for _ in 0..5 {
        deliveries.push(producer.enqueue(record("v")).await.unwrap());
    }
    let mut errors = Vec::new();
    for delivery in deliveries {
        errors.extend(delivery.await.err());
    }
    (broker, producer, errors)
}

#[tokio::test(start_paused = true)]
async fn refusal_of_some_records_is_no_split_and_tells_of_every_attempt() {
    let (broker, producer, errors) = refused(ErrorCode::NOT_ENOUGH_REPLICAS, vec![3]).await;
    assert_eq!(errors.len(), 1);
    assert_eq!(attempts(&errors[0]), 2);
    assert!(!errors[0].possibly_written());
    let records: Vec<_> = broker.seen().iter().map(|seen| seen.records).collect();
    assert_eq!(records, [5, 5, 3, 1]);
    assert_eq!(producer.metrics().splits, 0);
}

#[tokio::test(start_paused = true)]
async fn refused_record_that_an_earlier_attempt_may_have_written_says_so() {
    let (_broker, _producer, errors) = refused(ErrorCode::REQUEST_TIMED_OUT, vec![3]).await;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].possibly_written());
}

#[tokio::test(start_paused = true)]
async fn refusal_of_records_that_were_not_sent_fails_the_batch() {
    for rejected in [vec![5], vec![-1, 77], vec![i32::MAX]] {
        let (broker, _producer, errors) = refused(ErrorCode::NOT_ENOUGH_REPLICAS, rejected).await;
        assert_eq!(errors.len(), 5);
        assert_eq!(broker.seen().len(), 2, "it is not sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn only_answers_count_as_latency_and_only_what_was_written_as_requests() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    producer.send(record("v")).await.unwrap();
    broker.silence();
    let delivery = producer.enqueue(record("v")).await.unwrap();
    assert!(delivery.await.unwrap_err().possibly_written());
    let metrics = producer.metrics();
    let sent = &metrics.brokers[&0];
    assert_eq!(sent.request_latency.count, 1);
    let written = broker.seen().len() as u64;
    assert_eq!(sent.requests + sent.in_flight as u64, written);
}

#[tokio::test(start_paused = true)]
async fn no_request_is_larger_than_max_request_size() {
    let broker = Broker::start();
    let set = |o: &mut ProducerOptions| {
        o.max_request_size = Some(100_000);
        o.batch_size = Some(1000);
    };
    let producer = producer(&broker, set).await;
    let value = "x".repeat(60_000);
    let mut deliveries = Vec::new();
    for number in 0..6 {
        let record = Record::to("t").partition(number % 2).value(&value);
        deliveries.push(producer.enqueue(record).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let requests = broker.requests();
    assert!(requests.iter().all(|len| *len <= 100_000), "{requests:?}");
    let first = |partition| {
        broker
            .seen()
            .into_iter()
            .find(|seen| seen.partition == partition)
    };
    let expected = |partition| Seen {
        partition,
        sequence: 0,
        records: 1,
    };
    assert_eq!([first(0), first(1)], [0, 1].map(|p| Some(expected(p))));
}

#[tokio::test(start_paused = true)]
async fn queues_made_from_old_metadata_learn_their_leaders() {
    let broker = Broker::start();
    let cluster = broker.cluster().await;
    let deadline = tokio::time::Instant::now() + SOON;
    let topic = cluster.topic("t", deadline).await.unwrap();
    let settings = ProducerOptions::default()
        .check(cluster.settings())
        .unwrap();
    let producer = Producer::start(cluster, settings).unwrap();
    let mut old = (*topic).clone();
    for partition in &mut old.partitions {
        partition.leader = Some(BrokerId(9));
    }
    let queues = producer.inner().adopt(&old);
    // No time passes: nothing is asked of the broker for that.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for queue in &queues.queues {
        assert_eq!(queue.look(|queue| queue.leader()), Some(BrokerId(0)));
    }
}
