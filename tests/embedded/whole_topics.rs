//! A subscription without a group.

use std::time::Duration;

use ottla::{Client, NewPartitions, NewTopic, OffsetReset, Record};
use ottla_broker::Cluster;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn without_a_group_a_subscription_reads_what_is_there_and_what_appears() {
    let cluster = Cluster::builder()
        .topic("t", 2)
        .auto_create_topics(false)
        .start()
        .await
        .unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client.producer().build().unwrap();
    let send = async |topic: &str, partition| {
        let record = Record::to(topic).partition(partition).value("x");
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    };
    send("t", 0).await;
    let reading = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .metadata_max_age(Duration::from_millis(300));
    let mut consumer = reading
        .connect()
        .await
        .unwrap()
        .standalone_consumer()
        .offset_reset(OffsetReset::Latest)
        .subscribe(["t", "late"])
        .build()
        .await
        .unwrap();
    let handle = consumer.handle();
    let ready = tokio::spawn(async move { handle.ready().await });
    while consumer.assignment().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!ready.is_finished(), "a topic is missing");
    let more = [NewPartitions::new("t", 3)];
    client.admin().create_partitions(more).await.unwrap();
    send("t", 2).await;
    let topic = NewTopic::new("late").partitions(1);
    client.admin().create_topics([topic]).await.unwrap();
    send("late", 0).await;
    let mut places = Vec::new();
    for _ in 0..2 {
        let record = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let record = record.unwrap();
        let place = (
            record.topic().to_owned(),
            record.partition(),
            record.offset(),
        );
        places.push(place);
    }
    places.sort();
    assert_eq!(places, [("late".to_owned(), 0, 0), ("t".to_owned(), 2, 0)]);
    timeout(SOON, ready).await.unwrap().unwrap().unwrap();
    consumer.subscribe(["late"]).unwrap();
    while consumer.assignment().len() > 1 {
        tokio::task::yield_now().await;
    }
}
