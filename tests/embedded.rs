//! What ottla promises, tried on the embedded broker: in milliseconds, and without Java.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use ottla::{Client, OffsetReset, Record, TopicPartition};
use ottla_broker::Cluster;
use tokio::time::timeout;

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(20);

fn all_of(topic: &str, partitions: i32) -> Vec<TopicPartition> {
    let all = 0..partitions;
    all.map(|partition| TopicPartition::new(topic, partition))
        .collect()
}

#[tokio::test]
async fn what_is_sent_is_read_back_in_order() {
    let cluster = Cluster::builder()
        .nodes(3)
        .topic("t", 6)
        .start()
        .await
        .unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client.producer().build().unwrap();
    let mut deliveries = Vec::new();
    for number in 0..10_000 {
        let value = format!("value {number}");
        let record = Record::to("t").partition(number % 6).key("k").value(&value);
        deliveries.push(producer.enqueue(record).await.unwrap());
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let metadata = timeout(SOON, delivery).await.unwrap().unwrap();
        assert_eq!(metadata.offset(), Some(number as i64 / 6));
    }
    let mut consumer = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of("t", 6))
        .build()
        .await
        .unwrap();
    let mut next = [0_i64; 6];
    for _ in 0..10_000 {
        let record = timeout(SOON, consumer.recv())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let partition = record.partition() as usize;
        assert_eq!(record.offset(), next[partition]);
        let number = next[partition] * 6 + partition as i64;
        assert_eq!(
            record.value().unwrap(),
            format!("value {number}").as_bytes()
        );
        next[partition] += 1;
    }
}

async fn member(client: &Client, group: &str) -> ottla::Consumer {
    client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .subscribe(["t"])
        .build()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_group_shares_its_partitions_and_goes_on_where_it_committed() {
    let cluster = Cluster::builder()
        .nodes(3)
        .topic("t", 4)
        .start()
        .await
        .unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client.producer().build().unwrap();
    for number in 0..400 {
        let value = number.to_string();
        let record = Record::to("t").partition(number % 4).value(&value);
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();

    let (mut one, mut other) = (member(&client, "g").await, member(&client, "g").await);
    let shared = async {
        while one.assignment().len() != 2 || other.assignment().len() != 2 {
            // Polling is what keeps members alive and lets them take part in a rebalance.
            let pause = Duration::from_millis(20);
            let _ = timeout(pause, one.recv()).await;
            let _ = timeout(pause, other.recv()).await;
        }
    };
    timeout(SOON, shared).await.unwrap();
    one.close(SOON).await.unwrap();
    other.close(SOON).await.unwrap();

    let mut third = member(&client, "g").await;
    let record = Record::to("t").partition(0).value("the last");
    producer.send(record).await.unwrap();
    let mut values = Vec::new();
    while values.last().is_none_or(|value| value != "the last") {
        let record = timeout(SOON, third.recv()).await.unwrap().unwrap().unwrap();
        let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
        values.push(value);
    }
    third.commit_positions().await.unwrap();
    let committed = third.committed(all_of("t", 1)).await.unwrap();
    println!("{} records for the third, {committed:?}", values.len());
    assert_eq!(committed.len(), 1);
    third.close(SOON).await.unwrap();
}
