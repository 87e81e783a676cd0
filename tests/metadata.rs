//! What is asked about topics, how often, and what that may create: on the embedded broker, by a connector of its own.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use ottla::{Client, Connecting, Connector, Endpoint, NewTopic, OffsetReset, Record, Transport};
use ottla_broker::{ApiKey, Cluster};
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(20);

/// Reaches the nodes by streams in memory: the port tells which.
struct InMemory {
    cluster: Arc<Cluster>,
    ports: Vec<u16>,
}

impl Connector for InMemory {
    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let place = self.ports.iter().position(|port| *port == endpoint.port());
        let stream = self.cluster.connect(place.unwrap() as i32 + 1);
        Box::pin(async move { Ok(Transport::new(stream)) })
    }
}

async fn in_memory(cluster: Cluster) -> (Arc<Cluster>, Client) {
    let cluster = Arc::new(cluster);
    let port = |server: &str| server.rsplit(':').next().unwrap().parse().unwrap();
    let ports = cluster.bootstrap_servers().split(',').map(port).collect();
    let connector = InMemory {
        cluster: cluster.clone(),
        ports,
    };
    let client = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .connector(connector);
    let client = client.connect().await.unwrap();
    (cluster, client)
}

/// The topics that each request for metadata named, in order.
fn asked(cluster: &Cluster) -> Vec<Vec<String>> {
    let seen = cluster.requests_seen().into_iter();
    seen.filter(|request| request.api == ApiKey::Metadata)
        .map(|request| request.topics)
        .collect()
}

#[tokio::test]
async fn an_idle_client_with_a_leaderless_partition_asks_seldom_and_sends_soon_after_its_election()
{
    let cluster = Cluster::builder().nodes(2).replication_factor(2);
    let (cluster, client) = in_memory(cluster.start().await.unwrap()).await;
    let name = |number: usize| format!("topic-{number}");
    let all = (0..1000).map(|number| NewTopic::new(name(number)).partitions(1).replication(2));
    let lonely = NewTopic::new("lonely").partitions(2).replication(1);
    client
        .admin()
        .create_topics(all.chain([lonely]))
        .await
        .unwrap();
    let producer = client.producer().build().unwrap();
    for number in 0..1000 {
        producer.prepare(&name(number)).await.unwrap();
    }
    producer.prepare("lonely").await.unwrap();
    let leader = cluster.leader("lonely", 0).unwrap();
    cluster.node(leader).crash().await;
    // Whatever is asked because of the crash itself.
    let sent = producer.send(Record::to("topic-7").value("elsewhere"));
    timeout(SOON, sent).await.unwrap().unwrap();
    assert_eq!(cluster.leader("lonely", 0), None);
    sleep(Duration::from_secs(1)).await;

    let before = asked(&cluster).len();
    sleep(Duration::from_secs(6)).await;
    let idle = asked(&cluster).split_off(before);
    assert!(idle.len() <= 7, "{} requests", idle.len());
    assert!(idle.iter().all(|topics| *topics == ["lonely"]), "{idle:?}");

    let record = Record::to("lonely").partition(0).value("waits");
    let waiting = producer.enqueue(record).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_done());
    cluster.node(leader).restart().await.unwrap();
    let elected = Instant::now();
    timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(
        elected.elapsed() < Duration::from_secs(1),
        "{:?}",
        elected.elapsed()
    );
}

#[tokio::test]
async fn first_sends_ask_for_their_topics_alone_and_together() {
    let cluster = Cluster::builder().auto_create_topics(true);
    let (cluster, client) = in_memory(cluster.start().await.unwrap()).await;
    let producer = client.producer().build().unwrap();
    let begin = asked(&cluster).len();
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..50 {
        let producer = producer.clone();
        sends.spawn(async move {
            let topic = format!("topic-{number}");
            producer.send(Record::to(&topic).value("first")).await
        });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap().unwrap();
    }
    let asked = asked(&cluster).split_off(begin);
    let names: usize = asked.iter().map(Vec::len).sum();
    assert!(asked.len() <= 10, "{} requests", asked.len());
    assert!(names <= 60, "{names} names");
}

#[tokio::test]
async fn a_deleted_topic_stays_deleted_whatever_is_asked_about_others() {
    let cluster = Cluster::builder()
        .auto_create_topics(true)
        .topic("other", 1);
    let cluster = cluster.start().await.unwrap();
    let client = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .metadata_max_age(Duration::from_millis(100));
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().unwrap();
    for topic in ["gone", "other"] {
        producer
            .send(Record::to(topic).value("first"))
            .await
            .unwrap();
    }
    let mut consumer = client
        .consumer("g")
        .offset_reset(OffsetReset::Earliest)
        .subscribe(["gone", "other"])
        .build()
        .await
        .unwrap();
    for _ in 0..2 {
        timeout(SOON, consumer.recv())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    client.admin().delete_topics(["gone"]).await.unwrap();
    let deleted = Instant::now();
    while deleted.elapsed() < Duration::from_secs(2) {
        producer
            .send(Record::to("other").value("more"))
            .await
            .unwrap();
        let _ = timeout(Duration::from_millis(50), consumer.recv()).await;
        let topics = cluster.topics();
        assert!(topics.iter().all(|(name, _)| name != "gone"), "{topics:?}");
    }
    // To send to it is to want it again.
    let sent = producer.send(Record::to("gone").value("again"));
    timeout(SOON, sent).await.unwrap().unwrap();
    assert_eq!(cluster.log("gone", 0).len(), 1);
}
