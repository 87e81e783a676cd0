//! Every delivery is resolved once the producer, or its runtime, is gone.

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::broker::Told;
use super::*;
use crate::config::Compression;
use crate::error::ErrorCode;

#[test]
fn close_resolves_what_is_being_compressed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = Broker::start();
        let producer = producer(&broker, |o| o.set_compression(Compression::Gzip(None))).await;
        producer
            .send(record("a broker, an identity"))
            .await
            .unwrap();
        // The one thread that compresses has other work.
        let (free, busy) = oneshot::channel::<()>();
        let working = tokio::task::spawn_blocking(move || {
            let _ = busy.blocking_recv();
        });
        let value = "x".repeat(60_000);
        let delivery = producer.enqueue(record(&value)).await.unwrap();
        let flushing = tokio::spawn({
            let producer = producer.clone();
            async move { producer.flush().await }
        });
        let queue = producer
            .inner()
            .accumulator
            .all_queues()
            .into_iter()
            .next()
            .unwrap();
        let compressing = async {
            while queue.look(|queue| queue.backlog() > 0 || queue.has_open()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, compressing).await.unwrap();
        let closed = timeout(SOON, producer.close(Duration::ZERO)).await.unwrap();
        assert!(closed.is_err());
        let error = timeout(SOON, delivery).await.unwrap().unwrap_err();
        assert!(!error.possibly_written());
        timeout(SOON, flushing).await.unwrap().unwrap().unwrap();
        drop(free);
        working.await.unwrap();
        let memory_back = async {
            while producer.metrics().buffer_used > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, memory_back).await.unwrap();
        assert_eq!(broker.seen().len(), 1, "nothing is written after close");
    });
}

#[tokio::test(start_paused = true)]
async fn flush_and_close_tell_how_many_records_failed_since_the_last_one() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    producer.send(record("v")).await.unwrap();
    let all_well = producer.flush().await.unwrap();
    assert_eq!(all_well.failed(), 0);
    all_well.into_result().unwrap();
    broker.tell(Told::code(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    for _ in 0..3 {
        // Nobody looks at these.
        drop(producer.enqueue(record("v")).await.unwrap());
    }
    let flushed = producer.flush().await.unwrap();
    assert_eq!((flushed.failed(), flushed.possibly_written()), (3, 0));
    let error = flushed.into_result().unwrap_err();
    let code = error.broker_code();
    assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(producer.flush().await.unwrap().failed(), 0);
    broker.silence();
    drop(producer.enqueue(record("v")).await.unwrap());
    let limit = Duration::from_secs(1);
    match producer.close(limit).await {
        Err(Error::Undelivered {
            failed: 1,
            limit: told,
        }) => assert_eq!(told, limit),
        other => panic!("{other:?}"),
    }
    assert_eq!(producer.close(limit).await.unwrap().failed(), 0);
}

#[tokio::test(start_paused = true)]
async fn producer_that_may_not_be_idempotent_says_what_to_change() {
    let broker = Broker::start();
    broker.refuse_identity(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    let producer = producer(&broker, |_| ()).await;
    let error = producer.send(record("v")).await.unwrap_err();
    assert!(error.is_fatal() && !error.possibly_written());
    let text = error.to_string();
    for part in ["IdempotentWrite", "enable.idempotence=false"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn last_error_that_a_late_record_tells_is_the_last_one() {
    let broker = Broker::start();
    broker.freeze_after_identity(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    let producer = producer(&broker, |_| ()).await;
    let error = producer.send(record("v")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("delivery.timeout.ms") && text.contains("no answer"),
        "{text}"
    );
    assert!(!text.contains("COORDINATOR_LOAD_IN_PROGRESS"), "{text}");
}

#[test]
fn runtime_that_ends_before_its_first_turn_resolves_every_delivery() {
    let living = tokio::runtime::Runtime::new().unwrap();
    let broker = living.block_on(async { Broker::start() });
    let cluster = living.block_on(broker.cluster());
    let settings = ProducerOptions::default()
        .check(cluster.settings())
        .unwrap();
    let idle = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let entered = idle.enter();
    let producer = Producer::start(cluster, settings).unwrap();
    drop(entered);
    living.block_on(producer.prepare("t")).unwrap();
    let delivery = producer.try_enqueue(record("never sent")).unwrap();
    drop(idle);
    let error = living.block_on(async { timeout(SOON, delivery).await });
    assert!(!error.unwrap().unwrap_err().possibly_written());
}

#[tokio::test(start_paused = true)]
async fn close_wakes_who_waits_for_a_topic() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.enqueue(Record::to("missing").value("v")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    producer.close(Duration::ZERO).await.unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::Closed { .. }), "{refused}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn close_wakes_who_waits_for_memory_before_it_waits_for_deliveries() {
    let broker = Broker::start();
    let small = |o: &mut ProducerOptions| {
        o.buffer_memory = Some(1 << 17);
        o.batch_size = Some(1 << 14);
    };
    let producer = producer(&broker, small).await;
    broker.silence();
    let value = "x".repeat(60_000);
    let _first = producer.enqueue(record(&value)).await.unwrap();
    let _second = producer.enqueue(record(&value)).await.unwrap();
    let waiting = tokio::spawn({
        let producer = producer.clone();
        let value = value.clone();
        async move { producer.enqueue(record(&value)).await.err() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let closing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(Duration::from_secs(10)).await }
    });
    let began = Instant::now();
    let refused = waiting.await.unwrap().unwrap();
    assert!(matches!(refused, Error::Closed { .. }), "{refused}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(closing.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_partition_or_prepares_a_topic_is_woken_too() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.enqueue(record("v").partition(9)).await.err() }
    });
    let preparing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.prepare("missing").await.err() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    producer.close(Duration::ZERO).await.unwrap();
    for task in [waiting, preparing] {
        let refused = task.await.unwrap().unwrap();
        assert!(matches!(refused, Error::Closed { .. }), "{refused}");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}
