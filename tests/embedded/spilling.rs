//! Records kept on disk while the cluster is away: none is lost, none passes another of its partition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::spill::{FullBuffer, Reason, Sent, SpillBuilder, SpillSync, SpillingProducer};
use ottla::{Client, Error, Record};
use ottla_broker::{ApiKey, Cluster, Fault};
use tokio::time::timeout;

use crate::{SOON, until};

const PARTITIONS: i32 = 3;

/// A directory of this test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("spilling-{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.0.join("topics/t")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|name| name == "batches");
        let mut segments: Vec<_> = paths.filter(is_segment).collect();
        segments.sort();
        segments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("t", PARTITIONS);
    builder.auto_create_topics(false).start().await.unwrap()
}

fn client(cluster: &Cluster) -> Client {
    let builder = Client::builder().bootstrap_servers(cluster.bootstrap_servers());
    builder.connect_lazily().unwrap()
}

/// A producer that gives a record two seconds.
fn impatient(client: &Client, folder: &Folder) -> SpillBuilder {
    let producer = client.producer().request_timeout(Duration::from_secs(1));
    let producer = producer.delivery_timeout(Duration::from_secs(2));
    producer.max_block(SOON).spill(&folder.0)
}

/// One that gives it two minutes, unless no server answers at all.
fn patient(client: &Client, folder: &Folder) -> SpillBuilder {
    client.producer().max_block(SOON).spill(&folder.0)
}

fn key(number: usize) -> String {
    format!("key {}", number % 7)
}

fn numbered(number: usize) -> Record<'static> {
    Record::to("t").key(key(number)).value(number.to_string())
}

/// The numbers of each key in the log, each where it stands first.
fn logged(cluster: &Cluster) -> BTreeMap<String, Vec<usize>> {
    let mut logged: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for record in cluster.log("t", partition) {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            let number = text(record.value.as_deref()).parse().unwrap();
            let of_key = logged.entry(text(record.key.as_deref())).or_default();
            if !of_key.contains(&number) {
                of_key.push(number);
            }
        }
    }
    logged
}

fn count(cluster: &Cluster) -> usize {
    logged(cluster).values().map(Vec::len).sum()
}

/// Each key's records are all there, in the order of their numbers.
fn assert_all_in_order(cluster: &Cluster, all: usize) {
    let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for number in 0..all {
        expected.entry(key(number)).or_default().push(number);
    }
    assert_eq!(logged(cluster), expected);
}

/// Nothing is on disk, and new records go to the cluster.
async fn emptied(producer: &SpillingProducer) {
    until("all that was spilled is delivered", || {
        let metrics = producer.metrics();
        metrics.waiting == 0 && metrics.spilling_topics == 0
    })
    .await;
}

#[tokio::test]
async fn a_program_that_starts_while_the_cluster_is_away_spills_and_sends_it_all_later() {
    let (folder, cluster) = (Folder::new("starts"), cluster().await);
    cluster.node(1).crash().await;
    let producer = patient(&client(&cluster), &folder).open().await.unwrap();
    for number in 0..50 {
        let sent = timeout(SOON, producer.send(numbered(number)))
            .await
            .unwrap();
        assert!(sent.unwrap().is_spilled());
    }
    let metrics = producer.metrics();
    assert_eq!(
        (metrics.spilled, metrics.waiting, metrics.replayed),
        (50, 50, 0)
    );
    cluster.node(1).restart().await.unwrap();
    emptied(&producer).await;
    assert_all_in_order(&cluster, 50);
    assert_eq!(producer.metrics().replayed, 50);
    let sent = timeout(SOON, producer.send(numbered(50))).await.unwrap();
    assert!(matches!(sent, Ok(Sent::Acknowledged(_))), "{sent:?}");
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn an_outage_under_load_loses_nothing_and_keeps_the_order_of_each_partition() {
    const PART: usize = 1500;
    let (folder, cluster) = (Folder::new("outage"), cluster().await);
    let builder = impatient(&client(&cluster), &folder).accept_second_copies(true);
    let producer = builder.open().await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..4 * PART {
        match number / PART {
            1 if number % PART == 0 => cluster.node(1).crash().await,
            2 if number % PART == 0 => {
                until("records are spilled", || producer.metrics().spilled > 0).await;
            }
            3 if number % PART == 0 => cluster.node(1).restart().await.unwrap(),
            _ => {}
        }
        let enqueued = timeout(SOON, producer.enqueue(numbered(number))).await;
        deliveries.push(enqueued.unwrap().unwrap());
    }
    let mut spilled = 0;
    for delivery in deliveries {
        let sent = timeout(SOON, delivery).await.unwrap().unwrap();
        spilled += usize::from(sent.is_spilled());
    }
    assert!(spilled >= PART, "{spilled}");
    emptied(&producer).await;
    assert_all_in_order(&cluster, 4 * PART);
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn the_next_process_sends_what_the_last_one_spilled_before_its_own_records() {
    let (folder, cluster) = (Folder::new("restart"), cluster().await);
    cluster.node(1).crash().await;
    let mut next = 0;
    for _ in 0..3 {
        let client = client(&cluster);
        let producer = patient(&client, &folder).open().await.unwrap();
        for number in next..next + 20 {
            let sent = timeout(SOON, producer.send(numbered(number)))
                .await
                .unwrap();
            assert!(sent.unwrap().is_spilled());
        }
        next += 20;
        timeout(SOON, producer.close(Duration::ZERO))
            .await
            .unwrap()
            .unwrap();
    }
    cluster.node(1).restart().await.unwrap();
    let producer = patient(&client(&cluster), &folder).open().await.unwrap();
    for number in next..next + 20 {
        timeout(SOON, producer.send(numbered(number)))
            .await
            .unwrap()
            .unwrap();
    }
    emptied(&producer).await;
    assert_all_in_order(&cluster, next + 20);
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn what_is_still_in_memory_when_a_producer_is_closed_is_spilled() {
    let (folder, cluster) = (Folder::new("closing"), cluster().await);
    let client = client(&cluster);
    let builder = patient(&client, &folder).accept_second_copies(true);
    let producer = builder.open().await.unwrap();
    timeout(SOON, producer.send(numbered(0)))
        .await
        .unwrap()
        .unwrap();
    cluster.node(1).crash().await;
    let mut deliveries = Vec::new();
    for number in 1..200 {
        deliveries.push(producer.enqueue(numbered(number)).await.unwrap());
    }
    timeout(SOON, producer.close(Duration::from_millis(100)))
        .await
        .unwrap()
        .unwrap();
    for delivery in deliveries {
        assert!(timeout(SOON, delivery).await.unwrap().unwrap().is_spilled());
    }
    let refused = producer.send(numbered(200)).await.unwrap_err();
    assert!(matches!(refused.error, Error::Closed { .. }));
    cluster.node(1).restart().await.unwrap();
    let producer = impatient(&client, &folder)
        .accept_second_copies(true)
        .open()
        .await
        .unwrap();
    emptied(&producer).await;
    assert_all_in_order(&cluster, 200);
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_producer_at_a_time() {
    let (folder, cluster) = (Folder::new("lock"), cluster().await);
    let client = client(&cluster);
    let producer = patient(&client, &folder).open().await.unwrap();
    let second = patient(&client, &folder).open().await.unwrap_err();
    assert!(matches!(&second, Error::SpillLocked { .. }), "{second}");
    producer.close(SOON).await.unwrap();
    let third = patient(&client, &folder).open().await.unwrap();
    third.close(SOON).await.unwrap();
}

#[tokio::test]
async fn what_is_not_for_want_of_a_cluster_comes_back_with_its_error() {
    let (folder, cluster) = (Folder::new("refused"), cluster().await);
    let client = client(&cluster);
    let producer = client
        .producer()
        .max_block(Duration::from_secs(2))
        .spill(&folder.0);
    let producer = producer.open().await.unwrap();
    timeout(SOON, producer.send(numbered(0)))
        .await
        .unwrap()
        .unwrap();
    let missing = Record::to("missing")
        .key("k")
        .value("v")
        .timestamp_millis(7);
    let refused = timeout(SOON, producer.send(missing.clone()))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&refused.error, Error::UnknownTopic { .. }),
        "{refused}"
    );
    assert_eq!(refused.record, missing);
    let large = Record::to("t").value(vec![0; 2 << 20]);
    let refused = producer.send(large).await.unwrap_err();
    assert!(
        matches!(&refused.error, Error::RecordTooLarge { .. }),
        "{refused}"
    );
    assert_eq!(producer.metrics().spilled, 0);
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn what_may_have_been_written_is_sent_again_only_where_a_second_copy_is_accepted() {
    for accepted in [false, true] {
        let (folder, cluster) = (Folder::new(&format!("copies-{accepted}")), cluster().await);
        // The broker writes, and its answer is never seen.
        let fault = Fault::disconnect_after().on(ApiKey::Produce).always();
        let fault = cluster.faults().add(fault);
        let builder = impatient(&client(&cluster), &folder).accept_second_copies(accepted);
        let producer = builder.open().await.unwrap();
        let sent = timeout(SOON, producer.send(numbered(0))).await.unwrap();
        cluster.faults().remove(fault);
        if accepted {
            assert!(sent.unwrap().is_spilled());
        } else {
            let not_sent = sent.unwrap_err();
            assert!(not_sent.error.possibly_written(), "{not_sent}");
            assert_eq!(not_sent.record.get_value(), Some(&b"0"[..]));
        }
        emptied(&producer).await;
        assert_eq!(producer.metrics().replayed, u64::from(accepted));
        assert_eq!(count(&cluster), 1);
        producer.close(SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_buffer_spills_at_once_where_the_application_wants_that() {
    let (folder, cluster) = (Folder::new("full"), cluster().await);
    let client = client(&cluster);
    let small = client
        .producer()
        .batch_size(4096)
        .max_request_size(4096)
        .buffer_memory(32 << 10);
    let builder = small.max_block(Duration::from_secs(600)).spill(&folder.0);
    let builder = builder
        .full_buffer(FullBuffer::Spill)
        .accept_second_copies(true);
    let producer = builder.open().await.unwrap();
    timeout(SOON, producer.send(numbered(0)))
        .await
        .unwrap()
        .unwrap();
    cluster.node(1).freeze();
    let mut deliveries = Vec::new();
    for number in 1..2000 {
        let enqueued = timeout(SOON, producer.enqueue(numbered(number))).await;
        deliveries.push(enqueued.unwrap().unwrap());
    }
    for delivery in deliveries {
        assert!(timeout(SOON, delivery).await.unwrap().unwrap().is_spilled());
    }
    cluster.node(1).thaw();
    emptied(&producer).await;
    assert_all_in_order(&cluster, 2000);
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn damage_costs_one_batch_is_told_and_the_rest_is_sent() {
    let (folder, cluster) = (Folder::new("damage"), cluster().await);
    cluster.node(1).crash().await;
    let first = client(&cluster);
    let builder = patient(&first, &folder).sync(SpillSync::EachRecord);
    let producer = builder.open().await.unwrap();
    for number in 0..30 {
        timeout(SOON, producer.send(numbered(number)))
            .await
            .unwrap()
            .unwrap();
    }
    timeout(SOON, producer.close(Duration::ZERO))
        .await
        .unwrap()
        .unwrap();
    let segments = folder.segments();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    let keys = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, four)| four == b"key ");
    let middle = keys.map(|(at, _)| at).nth(15).unwrap();
    bytes[middle] ^= 4;
    std::fs::write(&segments[0], bytes).unwrap();
    cluster.node(1).restart().await.unwrap();

    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let builder = patient(&client(&cluster), &folder)
        .on_set_aside(move |set_aside| heard.lock().unwrap().push(set_aside.clone()));
    let producer = builder.open().await.unwrap();
    emptied(&producer).await;
    assert_eq!(count(&cluster), 29);
    assert!(logged(&cluster).values().all(|numbers| numbers.is_sorted()));
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].records, &*told[0].topic), (Some(1), "t"));
    assert!(matches!(told[0].reason, Reason::Damaged { .. }));
    assert!(told[0].file.as_ref().unwrap().exists());
    assert_eq!(producer.metrics().set_aside, 1);
    producer.close(SOON).await.unwrap();
}

/// Two records for a partition that the topic does not have, between others: spilled, and the cluster is back.
async fn with_a_partition_too_many(cluster: &Cluster, builder: SpillBuilder) -> SpillingProducer {
    cluster.node(1).crash().await;
    let producer = builder.open().await.unwrap();
    let nowhere = |number| numbered(number).partition(PARTITIONS + 4);
    for record in [
        numbered(0),
        nowhere(1),
        numbered(1),
        nowhere(2),
        numbered(2),
    ] {
        let sent = timeout(SOON, producer.send(record)).await.unwrap();
        assert!(sent.unwrap().is_spilled());
    }
    cluster.node(1).restart().await.unwrap();
    producer
}

#[tokio::test]
async fn a_record_for_a_partition_that_its_topic_lacks_is_set_aside_and_the_others_are_sent() {
    let (folder, cluster) = (Folder::new("lacking"), cluster().await);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let client = client(&cluster);
    let producer = client.producer().max_block(Duration::from_secs(1));
    let builder = producer
        .spill(&folder.0)
        .on_set_aside(move |set_aside| heard.lock().unwrap().push(set_aside.clone()));
    let producer = with_a_partition_too_many(&cluster, builder).await;
    emptied(&producer).await;
    assert_all_in_order(&cluster, 3);
    let metrics = producer.metrics();
    assert_eq!((metrics.set_aside, metrics.replayed), (2, 3));
    for set_aside in told.lock().unwrap().iter() {
        let refused = matches!(
            &set_aside.reason,
            Reason::Refused(Error::UnknownTopic { .. })
        );
        assert!(refused, "{set_aside:?}");
        assert!(set_aside.file.as_ref().unwrap().exists());
    }
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_set_aside_stays_on_disk_until_it_can() {
    let (folder, cluster) = (Folder::new("no-room"), cluster().await);
    let client = client(&cluster);
    let producer = client.producer().max_block(Duration::from_secs(1));
    // No folder of that name can be made.
    std::fs::create_dir_all(&folder.0).unwrap();
    let in_the_way = folder.0.join("set-aside");
    std::fs::write(&in_the_way, "").unwrap();
    let producer = with_a_partition_too_many(&cluster, producer.spill(&folder.0)).await;
    until("it is told that the disk does not take it", || {
        let trouble = producer.metrics().trouble;
        matches!(trouble.get("t"), Some(Error::Spill { .. }))
    })
    .await;
    let metrics = producer.metrics();
    assert!(
        metrics.set_aside == 0 && metrics.waiting >= 2,
        "{metrics:?}"
    );
    std::fs::remove_file(&in_the_way).unwrap();
    emptied(&producer).await;
    assert_all_in_order(&cluster, 3);
    assert_eq!(producer.metrics().set_aside, 2);
    producer.close(SOON).await.unwrap();
}
