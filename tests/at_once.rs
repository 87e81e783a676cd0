//! With `linger.ms=0` a record is sent at once: by its caller when nothing else is on the way, else by
//! the sender, and never out of turn.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../benches/support/broker.rs"]
#[allow(
    dead_code,
    clippy::indexing_slicing,
    reason = "a panic ends a test as well as anything"
)]
mod broker;

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use ottla::{Client, Producer, Record};

use self::broker::Seen;

async fn producer(partitions: i32) -> (Producer, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let address = broker::start_seen(partitions, Arc::clone(&seen)).unwrap();
    let client = Client::connect(&address.to_string()).await.unwrap();
    let producer = client.producer().linger(Duration::ZERO).build().unwrap();
    producer.prepare("topic").await.unwrap();
    (producer, seen)
}

fn record(partition: i32) -> Record<'static> {
    Record::to("topic").value("value").partition(partition)
}

/// One thread, so that no task runs unless this one waits.
#[tokio::test]
async fn a_lone_record_is_written_before_the_call_returns() {
    let (producer, seen) = producer(1).await;
    // The first one waits for the connection and the producer's id.
    producer.send(record(0)).await.unwrap();
    for sent in 1..100 {
        let delivery = producer.try_enqueue(record(0)).unwrap();
        let began = Instant::now();
        while seen.batches.load(Ordering::Relaxed) == sent {
            assert!(began.elapsed() < Duration::from_secs(10), "not written");
            std::thread::sleep(Duration::from_micros(100));
        }
        let metadata = delivery.await.unwrap();
        assert_eq!(metadata.offset(), Some(sent as i64));
    }
    assert_eq!(seen.disorder.load(Ordering::Relaxed), 0);
}

/// Sends the next record from where the last one's acknowledgement wakes its waiter, which nothing can be sooner than.
struct NextAtOnce {
    producer: Producer,
    seen: Arc<Seen>,
    written: Mutex<Option<bool>>,
}

impl Wake for NextAtOnce {
    fn wake(self: Arc<Self>) {
        let before = self.seen.batches.load(Ordering::Relaxed);
        let _delivery = self.producer.try_enqueue(record(0)).unwrap();
        let began = Instant::now();
        let is_written = || self.seen.batches.load(Ordering::Relaxed) > before;
        // The runtime's only thread is here: the sender cannot be who writes.
        while !is_written() && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_micros(100));
        }
        *self.written.lock().unwrap() = Some(is_written());
    }
}

#[tokio::test]
async fn who_sends_when_the_last_record_is_acknowledged_finds_nothing_on_the_way() {
    let (producer, seen) = producer(1).await;
    producer.send(record(0)).await.unwrap();
    let delivery = producer.try_enqueue(record(0)).unwrap();
    let next = Arc::new(NextAtOnce {
        producer,
        seen,
        written: Mutex::new(None),
    });
    let waker = Waker::from(Arc::clone(&next));
    let mut acknowledged = pin!(delivery.into_future());
    let polled = acknowledged.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let written = async {
        loop {
            if let Some(written) = *next.written.lock().unwrap() {
                return written;
            }
            tokio::task::yield_now().await;
        }
    };
    let written = tokio::time::timeout(Duration::from_secs(20), written).await;
    assert_eq!(written, Ok(true), "not written by its caller");
}

/// The same from a thread that knows no runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lone_record_may_come_from_outside_the_runtime() {
    let (producer, seen) = producer(1).await;
    producer.send(record(0)).await.unwrap();
    let outside = producer.clone();
    let deliveries = std::thread::spawn(move || {
        let enqueue = |_| {
            std::thread::sleep(Duration::from_millis(1));
            outside.try_enqueue(record(0)).unwrap()
        };
        (0..100).map(enqueue).collect::<Vec<_>>()
    });
    for (sent, delivery) in (1..).zip(deliveries.join().unwrap()) {
        assert_eq!(delivery.await.unwrap().offset(), Some(sent));
    }
    assert_eq!(seen.disorder.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn records_gather_while_one_is_on_the_way() {
    let (producer, seen) = producer(1).await;
    producer.send(record(0)).await.unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..1000 {
        deliveries.push(producer.enqueue(record(0)).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let batches = seen.batches.load(Ordering::Relaxed);
    assert!(batches < 500, "{batches} batches for 1000 records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_record_is_out_of_turn_whoever_sends() {
    const TASKS: usize = 8;
    const RECORDS: usize = 2000;
    let (producer, seen) = producer(3).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for i in 0..RECORDS {
                    let partition = (i % 3) as i32;
                    let delivery = producer.enqueue(record(partition)).await.unwrap();
                    // Some wait for each acknowledgement, some do not, some stay away for a while.
                    match task % 3 {
                        0 => offsets.push((partition, delivery.await.unwrap().offset().unwrap())),
                        1 if i % 64 == 0 => tokio::time::sleep(Duration::from_millis(1)).await,
                        _ => {}
                    }
                }
                offsets
            })
        })
        .collect();
    for task in tasks {
        let offsets = task.await.unwrap();
        for partition in 0..3 {
            let own = offsets.iter().filter(|(p, _)| *p == partition);
            assert!(own.is_sorted_by(|a, b| a.1 < b.1), "out of order");
        }
    }
    producer.flush().await.unwrap();
    let metrics = producer.metrics();
    assert_eq!(metrics.records, (TASKS * RECORDS) as u64);
    assert_eq!((metrics.retries, metrics.failed_records), (0, 0));
    assert_eq!(seen.disorder.load(Ordering::Relaxed), 0);
}
