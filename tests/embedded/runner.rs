//! A runner calls its handler in order, again where it fails, and commits what is finished.

mod chaos;
mod failures;
mod moves;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::runner::{Order, Pace, Runner, RunnerBuilder};
use ottla::{Client, ConsumerRecord, Error, OffsetReset, Record, TopicPartition};
use ottla_broker::Cluster;
use tokio::sync::Notify;

use crate::{SOON, all_of, until};

async fn cluster(partitions: i32) -> (Cluster, Client) {
    let cluster = Cluster::builder()
        .topic("t", partitions)
        .topic("t-dlt", 1)
        .start()
        .await
        .unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    (cluster, client)
}

/// Records of so many keys in turn, each numbered among its key's.
async fn fill(client: &Client, records: usize, keys: usize) {
    let producer = client.producer().build().unwrap();
    for number in 0..records {
        let (key, value) = ((number % keys).to_string(), (number / keys).to_string());
        let record = Record::to("t").key(&key).value(&value);
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();
}

fn runner(client: &Client) -> RunnerBuilder {
    let consumer = client
        .consumer("g")
        .subscribe(["t"])
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(50))
        .auto_commit_interval(Duration::from_millis(100));
    Runner::builder(consumer).backoff(Duration::from_millis(2), Duration::from_millis(10))
}

fn place(record: &ConsumerRecord) -> (i32, i64) {
    (record.partition(), record.offset())
}

async fn committed(client: &Client, partitions: i32) -> Vec<Option<i64>> {
    let reader = client.consumer("g").build().await.unwrap();
    let all = reader.committed(all_of("t", partitions)).await.unwrap();
    all.into_iter()
        .map(|found| found.map(|found| found.offset))
        .collect()
}

fn ends(cluster: &Cluster, partitions: i32) -> Vec<Option<i64>> {
    let ends = (0..partitions).map(|partition| cluster.log("t", partition).len() as i64);
    ends.map(|end| (end > 0).then_some(end)).collect()
}

#[tokio::test]
async fn one_keys_records_go_one_after_another_and_many_keys_side_by_side() {
    let (cluster, client) = cluster(2).await;
    fill(&client, 600, 30).await;
    let seen: Arc<Mutex<BTreeMap<Vec<u8>, Vec<i64>>>> = Arc::default();
    let (now, most, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let counts = (seen.clone(), now.clone(), most.clone(), done.clone());
    let running = runner(&client)
        .start(move |record: ConsumerRecord, _| {
            let (seen, now, most, done) = counts.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let number: i64 = record.value_as::<&str>()?.parse().unwrap();
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(number as u64 % 3)).await;
                let key = record.key().unwrap().to_vec();
                seen.lock().unwrap().entry(key).or_default().push(number);
                now.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            }
        })
        .await
        .unwrap();
    until("all are handled", || done.load(Ordering::SeqCst) == 600).await;
    let account = running.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (600, 0));
    assert!(account.error.is_none(), "{account:?}");
    assert!(
        most.load(Ordering::SeqCst) > 2,
        "more at a time than partitions"
    );
    assert_eq!(committed(&client, 2).await, ends(&cluster, 2));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 30);
    for (key, numbers) in &*seen {
        assert_eq!(*numbers, (0..20).collect::<Vec<_>>(), "{key:?}");
    }
}

#[tokio::test]
async fn by_partition_there_are_as_many_handlers_as_partitions() {
    let (_cluster, client) = cluster(3).await;
    fill(&client, 300, 30).await;
    let seen: Arc<Mutex<BTreeMap<i32, Vec<i64>>>> = Arc::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (seen.clone(), now.clone(), most.clone());
    let running = runner(&client)
        .order(Order::Partition)
        .start(move |record: ConsumerRecord, _| {
            let (seen, now, most) = counts.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let (partition, offset) = place(&record);
                seen.lock()
                    .unwrap()
                    .entry(partition)
                    .or_default()
                    .push(offset);
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            }
        })
        .await
        .unwrap();
    until("all are handled", || running.metrics().handled == 300).await;
    assert!(most.load(Ordering::SeqCst) <= 3);
    for offsets in seen.lock().unwrap().values() {
        assert!(offsets.is_sorted());
    }
    drop(running);
}

#[tokio::test]
async fn a_partition_with_too_much_unfinished_is_told_of_and_goes_on_when_that_ends() {
    let (_cluster, client) = cluster(2).await;
    let producer = client.producer().build().unwrap();
    for number in 0..600 {
        let record = Record::to("t").partition(number % 2).value("v");
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let running = runner(&client)
        .max_unfinished(20)
        .start(move |record: ConsumerRecord, _| {
            let waits = waits.clone();
            async move {
                if place(&record) == (0, 0) {
                    waits.notified().await;
                }
                Ok::<_, Error>(())
            }
        })
        .await
        .unwrap();
    let held_up = || running.metrics().held_up == [TopicPartition::new("t", 0)];
    until("one is held up", held_up).await;
    let more = Record::to("t").partition(1).value("v");
    producer.send(more).await.unwrap();
    until("the other goes on", || running.metrics().handled >= 301).await;
    go.notify_waiters();
    until("all are handled", || running.metrics().handled == 601).await;
    let metrics = running.metrics();
    assert_eq!(
        (metrics.held_up.len(), metrics.oldest, metrics.held_bytes),
        (0, None, 0)
    );
}

#[tokio::test]
async fn a_runner_pauses_and_keeps_its_pace() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 100, 10).await;
    let running = runner(&client)
        .pace(Pace::new(10, Duration::from_secs(3600)))
        .start(|_, _| async { Ok::<_, Error>(()) })
        .await
        .unwrap();
    until("a period's are handled", || running.metrics().handled == 10).await;
    running
        .set_pace(Some(Pace::new(15, Duration::from_secs(3600))))
        .unwrap();
    until("and five more", || running.metrics().handled == 15).await;
    let error = running.set_pace(Some(Pace::new(0, SOON))).unwrap_err();
    assert!(error.to_string().contains("pause"), "{error}");
    running.pause();
    running.set_pace(None).unwrap();
    assert!(running.is_paused());
    assert_eq!(running.metrics().handled, 15);
    running.resume();
    until("all the rest", || running.metrics().handled == 100).await;
    let account = running.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (100, 0));
}

#[tokio::test]
async fn with_a_pace_what_waits_to_be_tried_again_stops_nothing_else() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 5, 5).await;
    let long = Duration::from_secs(3600);
    let running = runner(&client)
        .pace(Pace::new(1, Duration::from_millis(20)))
        .backoff(long, long)
        .start(|record: ConsumerRecord, _| async move {
            match record.offset() {
                0 => Err("not yet"),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
    until("all others are handled", || running.metrics().handled == 4).await;
    assert_eq!(running.metrics().waiting_to_retry, 1);
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_what_to_do() {
    let (_cluster, client) = cluster(1).await;
    let producer = client
        .producer()
        .max_block(Duration::from_millis(200))
        .build()
        .unwrap();
    let nothing = |_: ConsumerRecord, _| async { Ok::<_, Error>(()) };
    let alone = Runner::builder(client.standalone_consumer().subscribe(["t"]));
    let error = alone.start(nothing).await.unwrap_err();
    assert!(
        error.to_string().contains("client.consumer(group)"),
        "{error}"
    );
    let error = runner(&client)
        .max_handlers(0)
        .start(nothing)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("max_handlers"), "{error}");
    let wrong = runner(&client)
        .dead_letters(&producer)
        .dead_letter_topic(|topic| format!("{topic}/dead"));
    let error = wrong.start(nothing).await.unwrap_err();
    assert!(matches!(error, Error::InvalidTopic { .. }), "{error}");
}
