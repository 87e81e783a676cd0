//! What ottla promises, tried on the embedded broker: in milliseconds, and without Java.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod embedded {
    mod admin_transactions;
    mod blocked;
    mod pausing;
    mod retries;
    mod runner;
    mod spilling;
    mod transactions;
    mod whole_topics;
}

use std::time::Duration;

use ottla::{Acks, Client, OffsetReset, Record, TopicPartition};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(20);

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn all_of(topic: &str, partitions: i32) -> Vec<TopicPartition> {
    let all = 0..partitions;
    all.map(|partition| TopicPartition::new(topic, partition))
        .collect()
}

#[tokio::test]
async fn unacknowledged_records_follow_a_leader_that_moves() {
    let cluster = Cluster::builder()
        .nodes(2)
        .topic("t", 1)
        .start()
        .await
        .unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client
        .producer()
        .acks(Acks::None)
        .idempotence(false)
        .linger(Duration::ZERO)
        .build()
        .unwrap();
    let written = || cluster.log("t", 0).len();
    for _ in 0..2 {
        let before = written();
        let arrives = async {
            while written() == before {
                producer.send(Record::to("t").value("v")).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Long before metadata.max.age.ms.
        timeout(SOON, arrives).await.unwrap();
        let other = 3 - cluster.leader("t", 0).unwrap();
        cluster.move_leader("t", 0, other).unwrap();
    }
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
    let offset = committed[0].as_ref().unwrap().offset;
    assert_eq!(offset, cluster.log("t", 0).len() as i64);
    let group = &cluster.groups()[0];
    assert_eq!(
        (&*group.name, group.state, group.members.len()),
        ("g", "Stable", 1)
    );
    third.close(SOON).await.unwrap();
}

fn values(cluster: &Cluster, partition: i32) -> Vec<String> {
    let log = cluster.log("t", partition);
    let value = |record: ottla_broker::LogRecord| record.value.unwrap().to_vec();
    log.into_iter()
        .map(|record| String::from_utf8(value(record)).unwrap())
        .collect()
}

/// Sends records 0 to 99 one after the other: they must be in the log once each, in order.
async fn sends_a_hundred(cluster: &Cluster) {
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client.producer().linger(Duration::ZERO);
    let producer = producer
        .retry_backoff(Duration::from_millis(5))
        .build()
        .unwrap();
    for number in 0..100 {
        let value = number.to_string();
        let record = Record::to("t").partition(0).value(&value);
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    }
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(values(cluster, 0), expected);
}

#[tokio::test]
async fn every_record_is_in_the_log_once_whatever_goes_wrong() {
    for fault in [
        Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS),
        Fault::error_after(ErrorCode::REQUEST_TIMED_OUT),
        Fault::error_after(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        Fault::disconnect(),
        Fault::disconnect_after(),
        Fault::cut_answer(),
        Fault::delay(Duration::from_millis(5)),
        Fault::throttle(Duration::from_millis(5)),
    ] {
        let cluster = Cluster::builder()
            .nodes(2)
            .topic("t", 1)
            .start()
            .await
            .unwrap();
        let id = cluster
            .faults()
            .add(fault.clone().on(ApiKey::Produce).every(20));
        sends_a_hundred(&cluster).await;
        assert!(cluster.faults().hits(id) >= 5, "{fault:?}");
    }
}

#[tokio::test]
async fn leaders_move_and_nodes_crash_without_a_loss() {
    let cluster = Cluster::builder()
        .nodes(3)
        .replication_factor(3)
        .topic("t", 1);
    let cluster = cluster.start().await.unwrap();
    let breaks = async {
        for round in 0..3 {
            let leader = cluster.leader("t", 0).unwrap();
            let node = cluster.node(leader);
            match round {
                0 => cluster.move_leader("t", 0, leader % 3 + 1).unwrap(),
                1 => node.crash().await,
                _ => node.restart().await.unwrap(),
            }
            // On, when some more records are there.
            while cluster.log("t", 0).len() < 30 * (round + 1) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(breaks, sends_a_hundred(&cluster));
}

/// What a consumer of topic `t` is told first.
async fn told(mut consumer: ottla::Consumer) -> ottla::Error {
    timeout(SOON, consumer.recv()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_refused_topic_is_told_to_whoever_reads_it_in_whichever_way() {
    let cluster = Cluster::builder().topic("t", 1).start().await.unwrap();
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let refusal = Fault::error(code).on(ApiKey::Metadata).topic("t").always();
    let refusal = cluster.faults().add(refusal);
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let assigned = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of("t", 1));
    for error in [
        told(assigned.build().await.unwrap()).await,
        told(member(&client, "g").await).await,
    ] {
        let expected = ottla::ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        assert_eq!(error.broker_code(), Some(expected), "{error}");
        assert!(error.to_string().contains("topic t"), "{error}");
    }
    assert!(cluster.faults().hits(refusal) > 0);

    // The application goes on where the refusal ends.
    let mut consumer = member(&client, "h").await;
    assert!(timeout(SOON, consumer.recv()).await.unwrap().is_err());
    cluster.faults().remove(refusal);
    let producer = client.producer().build().unwrap();
    let record = Record::to("t").value("allowed");
    timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    let record = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.unwrap().value().unwrap(), b"allowed");
}

#[tokio::test]
async fn a_missing_topic_is_told_to_those_who_ask_for_that_and_read_once_it_is_there() {
    let cluster = Cluster::builder().auto_create_topics(false);
    let cluster = cluster.start().await.unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let reading = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .fail_on_missing_topics(true)
        .assign(all_of("t", 1));
    let mut consumer = reading.build().await.unwrap();
    let error = timeout(SOON, consumer.recv()).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, ottla::Error::UnknownTopic { what, .. } if &**what == "topic t"),
        "{error}"
    );
    assert!(error.is_retriable());
    let topic = ottla::NewTopic::new("t").partitions(1);
    client.admin().create_topics([topic]).await.unwrap();
    let producer = client.producer().build().unwrap();
    let record = Record::to("t").value("late");
    timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    let record = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.unwrap().value().unwrap(), b"late");
}

#[tokio::test]
async fn a_partition_that_appears_in_a_topic_being_read_is_read_from_its_first_record() {
    let cluster = Cluster::builder().topic("t", 1).start().await.unwrap();
    let reading = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .metadata_max_age(Duration::from_millis(500));
    let reading = reading.connect().await.unwrap();
    let mut consumer = reading
        .consumer("g")
        .offset_reset(OffsetReset::Latest)
        .subscribe(["t"])
        .build()
        .await
        .unwrap();
    // It reads: it is somewhere.
    let position = async {
        let first = &all_of("t", 1)[0];
        while consumer.position(first).ok().flatten().is_none() {
            let _ = timeout(Duration::from_millis(20), consumer.recv()).await;
        }
    };
    timeout(SOON, position).await.unwrap();

    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let more = [ottla::NewPartitions::new("t", 2)];
    client.admin().create_partitions(more).await.unwrap();
    let producer = client.producer().build().unwrap();
    for number in 0..100 {
        let value = number.to_string();
        let record = Record::to("t").partition(1).value(&value);
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    }
    for number in 0..100 {
        let record = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let record = record.unwrap();
        assert_eq!((record.partition(), record.offset()), (1, number));
    }
}

#[tokio::test]
async fn a_producers_slow_requests_hold_up_no_other_producer_of_the_client() {
    let cluster = Cluster::builder().topic("bulk", 1).topic("quick", 1);
    let cluster = cluster.start().await.unwrap();
    let slow = Fault::delay(Duration::from_secs(3)).on(ApiKey::Produce);
    let slow = cluster.faults().add(slow.topic("bulk"));
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let bulk = client.producer();
    let bulk = bulk
        .request_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let quick = client.producer().build().unwrap();
    for producer in [&bulk, &quick] {
        producer
            .send(Record::to("quick").value("connected"))
            .await
            .unwrap();
    }
    // The bulk producer's requests wait, and time out, on connections that nobody else uses.
    let waiting = bulk
        .enqueue(Record::to("bulk").value("large"))
        .await
        .unwrap();
    while cluster.faults().hits(slow) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in 0..20 {
        let value = number.to_string();
        let sent = quick.send(Record::to("quick").value(&value));
        timeout(Duration::from_millis(900), sent)
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(quick.metrics().retries, 0);
    cluster.faults().remove(slow);
    timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(bulk.metrics().retries > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_fill_and_nobody_starves_while_hundreds_wait_for_memory() {
    const TASKS: usize = 600;
    const EACH: usize = 15;
    const MEMORY: usize = 150_000;
    let cluster = Cluster::builder().topic("t", 4).start().await.unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let builder = client.producer().buffer_memory(MEMORY).batch_size(16_384);
    let producer = builder.build().unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let value = vec![b'v'; 1000];
                for number in 0..EACH {
                    let key = format!("{task} {number}");
                    let record = Record::to("t").key(&key).value(&value);
                    timeout(SOON, producer.send(record)).await.unwrap().unwrap();
                    assert!(producer.metrics().buffer_used <= MEMORY);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let metrics = producer.metrics();
    assert_eq!(metrics.records, (TASKS * EACH) as u64);
    assert!(metrics.buffer_waits > 0 && metrics.buffer_used == 0);
    assert!(metrics.batch_fill >= 0.3, "{metrics:?}");
}

#[tokio::test]
async fn one_who_only_tries_gets_memory_back_without_waiting_for_linger() {
    let cluster = Cluster::builder().topic("t", 4).start().await.unwrap();
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let builder = client.producer().buffer_memory(100_000).batch_size(32_768);
    let producer = builder.linger(Duration::from_secs(60)).build().unwrap();
    producer.prepare("t").await.unwrap();
    let value = vec![b'v'; 1000];
    let mut accepted = 0;
    let all = async {
        while accepted < 1000 {
            let record = Record::to("t").partition(accepted % 4).value(&value);
            match producer.try_enqueue(record) {
                Ok(_) => accepted += 1,
                Err(refused) => {
                    assert!(refused.error.is_retriable(), "{refused}");
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    timeout(SOON, all).await.unwrap();
    timeout(SOON, producer.flush()).await.unwrap().unwrap();
    assert_eq!(producer.metrics().records, 1000);
}

#[tokio::test]
async fn a_batch_above_the_largest_answer_is_named_and_holds_up_no_other_partition() {
    let cluster = Cluster::builder().topic("t", 2).start().await.unwrap();
    let client = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .max_response_bytes(65_536);
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().unwrap();
    let send = async |partition: i32, value: &[u8]| {
        let record = Record::to("t").partition(partition).value(value);
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    };
    send(0, &[0; 200_000]).await;
    send(0, b"small").await;
    for number in 0..100 {
        send(1, &[number]).await;
    }
    let mut consumer = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of("t", 2))
        .build()
        .await
        .unwrap();
    let (mut read, mut told) = (0, Vec::new());
    while read < 100 || told.is_empty() {
        match timeout(SOON, consumer.recv()).await.unwrap() {
            Ok(record) => {
                assert_eq!(record.unwrap().partition(), 1);
                read += 1;
            }
            Err(error) => told.push(error),
        }
    }
    let [
        ottla::Error::TooLargeToRead {
            partition,
            offset: 0,
            next_offset: 1,
            size: 200_000..,
            setting: "receive.message.max.bytes",
            limit: 65_536,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(partition.partition(), 0);
    consumer.seek(partition, 1).unwrap();
    let record = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.unwrap().value().unwrap(), b"small");
}
