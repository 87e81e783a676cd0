//! Topics that are not known yet, that are made anew, and whose partitions lose their leaders.

use tokio::time::timeout;

use super::*;
use crate::error::ErrorCode;

/// The producer has heard of what the broker tells from now on.
async fn refreshed(producer: &Producer) {
    let cluster = &producer.inner().cluster;
    let mut changes = cluster.changes();
    cluster.request_refresh();
    timeout(SOON, changes.changed()).await.unwrap().unwrap();
    // The watcher hears of it at the same time; no time passes until it has.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn try_enqueue_begins_the_look_up_so_that_a_later_call_succeeds() {
    let broker = Broker::start();
    let cluster = broker.cluster().await;
    let settings = ProducerOptions::default()
        .check(cluster.settings())
        .unwrap();
    let producer = Producer::start(cluster, settings).unwrap();
    let error = producer.try_enqueue(record("v")).unwrap_err().error;
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error}");
    assert!(error.is_retriable());
    let again = async {
        loop {
            if let Ok(delivery) = producer.try_enqueue(record("v")) {
                return delivery.await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, again).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn try_enqueue_tells_a_refusal_as_soon_as_it_is_known() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    let refused = || producer.try_enqueue(Record::to("denied").value("v")).err();
    let told = async {
        loop {
            let error = refused().unwrap().error;
            if error.broker_code().is_some() {
                return error;
            }
            assert!(matches!(error, Error::UnknownTopic { .. }), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let error = timeout(SOON, told).await.unwrap();
    let code = error.broker_code();
    assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let text = error.to_string();
    assert!(
        text.contains("grant") && text.contains("topic denied"),
        "{text}"
    );
    let waited = producer.prepare("denied").await.unwrap_err();
    assert_eq!(waited.to_string(), text);
}

/// Sends records without a key; tells which partitions they went to.
async fn partitions_used(producer: &Producer) -> Vec<i32> {
    let mut used = Vec::new();
    for _ in 0..20 {
        let sent = producer.send(Record::to("t").value("v"));
        used.push(timeout(SOON, sent).await.unwrap().unwrap().partition());
    }
    used.sort_unstable();
    used.dedup();
    used
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_go_only_to_partitions_that_have_a_leader() {
    for partitioner in ["default", "round_robin"] {
        let broker = Broker::start();
        broker.lead(&[None, Some(0), None, None]);
        let set = |o: &mut ProducerOptions| {
            let name = "partitioner.class";
            o.set(name, partitioner).unwrap();
        };
        let producer = producer(&broker, set).await;
        assert_eq!(partitions_used(&producer).await, [1], "{partitioner}");
        // The one that was sticky until now.
        broker.lead(&[None, None, None, Some(0)]);
        refreshed(&producer).await;
        assert_eq!(partitions_used(&producer).await, [3], "{partitioner}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_for_a_partition_that_a_topic_made_anew_lacks_fail_at_once() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    let to = |partition| Record::to("t").partition(partition).value("v");
    producer.send(to(1)).await.unwrap();
    broker.make_anew(&[Some(0)]);
    let began = tokio::time::Instant::now();
    let (lost, kept) = (producer.enqueue(to(1)).await, producer.enqueue(to(0)).await);
    let error = timeout(SOON, lost.unwrap()).await.unwrap().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!error.possibly_written());
    let text = error.to_string();
    assert!(
        text.contains("t-1 is gone") && text.contains("1 partitions"),
        "{text}"
    );
    timeout(SOON, kept.unwrap()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_topic_ids_records_for_a_partition_that_is_missing_for_long_fail_and_others_do_not()
{
    for comes_back in [false, true] {
        let broker = Broker::start();
        broker.make_anew_without_id(&[Some(0), Some(0)]);
        let producer = producer(&broker, |_| ()).await;
        let to = |partition| Record::to("t").partition(partition).value("v");
        producer.send(to(1)).await.unwrap();
        broker.make_anew_without_id(&[Some(0)]);
        let began = tokio::time::Instant::now();
        let (lost, kept) = (producer.enqueue(to(1)).await, producer.enqueue(to(0)).await);
        timeout(SOON, kept.unwrap()).await.unwrap().unwrap();
        if comes_back {
            // What it was told by was a broker that lagged behind.
            tokio::time::sleep(Duration::from_secs(9)).await;
            broker.make_anew_without_id(&[Some(0), Some(0)]);
            timeout(SOON, lost.unwrap()).await.unwrap().unwrap();
            continue;
        }
        let error = timeout(SOON, lost.unwrap()).await.unwrap().unwrap_err();
        let after = began.elapsed();
        let expected = Duration::from_secs(10)..Duration::from_secs(15);
        assert!(expected.contains(&after), "{after:?}");
        let text = error.to_string();
        assert!(text.contains("t-1 is gone"), "{text}");
    }
}
