//! Futures and producers that are dropped, runtimes that end, flushes, connections that idle.

use std::time::Duration;

use ottla::{Client, Delivery, Error, Producer, Record};
use tokio::time::{Instant, timeout};

use super::support::{
    Kafka, Message, Outcome, Suite, assert_all_honest, assert_java_reads, deliver, poll_once,
    runtime, until, within,
};

pub(crate) fn promises(suite: &mut Suite) {
    suite.exclusive(
        "lifetime::a_dropped_producer_waits_for_a_broker_that_hangs",
        dropped_frozen,
    );
    suite.shared(
        "lifetime::a_dropped_send_is_sent_once_or_not_at_all",
        dropped_send,
    );
    suite.shared(
        "lifetime::dropped_deliveries_are_sent_all_the_same",
        dropped_deliveries,
    );
    suite.shared(
        "lifetime::a_dropped_producer_delivers_what_it_accepted",
        dropped_producer,
    );
    suite.blocking(
        "lifetime::a_runtime_that_ends_resolves_every_delivery",
        runtime_ends,
    );
    suite.blocking(
        "lifetime::a_runtime_that_ends_wakes_those_who_wait",
        runtime_wakes,
    );
    suite.blocking(
        "lifetime::a_current_thread_runtime_is_enough",
        current_thread,
    );
    suite.shared(
        "lifetime::flush_waits_for_what_was_accepted_and_not_for_linger",
        flush,
    );
    suite.shared(
        "lifetime::idle_connections_close_and_open_again_without_noise",
        idle,
    );
}

async fn dropped_frozen(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("dropped-frozen", 2, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    producer.prepare(topic).await?;
    kafka.freeze().await?;
    let mut deliveries = Vec::new();
    let messages = Message::numbered(50);
    for message in &messages {
        deliveries.push(producer.enqueue(message.record(topic)).await?);
    }
    // Neither blocks nor panics, and forgets nothing.
    let began = Instant::now();
    drop(producer);
    assert!(began.elapsed() < Duration::from_millis(100));
    kafka.thaw()?;
    let mut places = Vec::new();
    for delivery in deliveries {
        places.push(within(Duration::from_secs(20), "the delivery", delivery).await??);
    }
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn dropped_send(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("dropped-send", 1, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    // Dropped while the topic is still unknown: not sent.
    assert!(
        poll_once(producer.send(Record::to(topic).value("early")))
            .await
            .is_none()
    );
    producer.prepare(topic).await?;
    // Dropped before it was accepted, while the acknowledgement is on its way, or not at all.
    let mut acknowledged = Vec::new();
    for number in 0..60_u8 {
        let sending = producer.send(Record::to(topic).key(vec![number]));
        let sent = match number % 3 {
            0 => poll_once(sending).await,
            1 => timeout(Duration::from_millis(6), sending).await.ok(),
            _ => Some(sending.await),
        };
        if let Some(place) = sent {
            acknowledged.push((vec![number], place?.offset().unwrap_or(-1)));
        }
    }
    producer.flush().await?;
    let read: Vec<_> = kafka
        .consume_all(topic)?
        .into_iter()
        .map(|record| (record.key.unwrap_or_default(), record.offset))
        .collect();
    assert!(
        read.is_sorted_by(|a, b| a.0 < b.0),
        "twice, or out of order: {read:?}"
    );
    assert!(
        acknowledged.iter().all(|record| read.contains(record)),
        "{acknowledged:?} {read:?}"
    );
    println!("{} acknowledged, {} sent", acknowledged.len(), read.len());
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn dropped_deliveries(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("dropped-deliveries", 2, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    let messages = Message::numbered(1000);
    for message in &messages {
        drop(producer.enqueue(message.record(topic)).await?);
    }
    producer.flush().await?;
    assert_eq!(producer.metrics().records, 1000);
    assert_eq!(kafka.consume_all(topic)?.len(), 1000);
    Ok(())
}

async fn dropped_producer(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("dropped-producer", 3, &[])?;
    let client = kafka.client().await?;
    // Longer than the test: what the last handle leaves behind does not linger.
    let producer = client.producer().linger(Duration::from_secs(60)).build()?;
    let clone = producer.clone();
    let messages = Message::numbered(2000);
    let mut deliveries = Vec::new();
    for message in &messages {
        deliveries.push(producer.enqueue(message.record(topic)).await?);
    }
    drop(producer);
    // One handle is left, and with it the producer.
    assert!(
        timeout(Duration::from_millis(100), &mut deliveries[0])
            .await
            .is_err()
    );
    let last = clone.enqueue(Record::to(topic).value("last")).await?;
    drop((clone, client));
    let mut places = Vec::new();
    for delivery in deliveries.into_iter().chain([last]) {
        places.push(within(Duration::from_secs(10), "the delivery", delivery).await??);
    }
    let messages: Vec<_> = messages.into_iter().chain([Message::of("last")]).collect();
    assert_java_reads(kafka, topic, &messages, &places)
}

fn runtime_ends(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("runtime-ends", 3, &[])?;
    let (own, other) = (runtime()?, runtime()?);
    let (producer, deliveries) = own.block_on(async {
        // Full batches are on their way, the others linger.
        let builder = kafka
            .client()
            .await?
            .producer()
            .linger(Duration::from_secs(60));
        let producer = builder.batch_size(4000).build()?;
        let mut deliveries = Vec::new();
        for number in 0..2000_u32 {
            let key = number.to_be_bytes().to_vec();
            let delivery = producer.enqueue(Record::to(topic).key(key.clone())).await?;
            deliveries.push((key, delivery));
        }
        let arriving = || producer.metrics().records > 0;
        until("full batches arrive", arriving).await?;
        Ok::<_, libtest_mimic::Failed>((producer, deliveries))
    })?;
    own.shutdown_timeout(Duration::from_secs(5));
    other.block_on(async {
        let waiting = async {
            while !deliveries.iter().all(|(_, delivery)| delivery.is_done()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within(Duration::from_secs(5), "every delivery", waiting).await?;
        let arrived = assert_all_honest(kafka, topic, deliveries).await?;
        println!("{arrived} of 2000 arrived before the runtime ended");
        let sending = producer.send(Record::to(topic).value("late"));
        let refused = within(Duration::from_secs(5), "a late send", sending).await?;
        assert!(
            matches!(refused, Err(Error::RuntimeEnded { .. })),
            "{refused:?}"
        );
        let refused = producer
            .try_enqueue(Record::to(topic))
            .err()
            .map(|refused| refused.error);
        assert!(
            matches!(refused, Some(Error::RuntimeEnded { .. })),
            "{refused:?}"
        );
        let closing = producer.close(Duration::from_secs(1));
        within(Duration::from_secs(5), "a late close", closing).await??;
        drop(producer);
        Ok(())
    })
}

fn runtime_wakes(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("runtime-wakes", 1, &[])?;
    let (own, other) = (runtime()?, runtime()?);
    let producer: Producer = own.block_on(async {
        let builder = kafka
            .client()
            .await?
            .producer()
            .linger(Duration::from_secs(60));
        let producer = builder.buffer_memory(8000).batch_size(1000).build()?;
        producer.prepare(topic).await?;
        Ok::<_, Error>(producer)
    })?;
    // They wait for a topic, a partition, a delivery and a flush, on a runtime that goes on.
    let delivery = producer
        .try_enqueue(Record::to(topic).value("lingers"))
        .map_err(|e| e.error)?;
    let spawn = |record: Record<'static>| {
        let producer = producer.clone();
        other.spawn(async move { producer.send(record).await.map(drop) })
    };
    let waiting = [
        ("a topic", spawn(Record::to("runtime-wakes-unknown"))),
        ("a partition", spawn(Record::to(topic).partition(7))),
        (
            "a delivery",
            other.spawn(async move { delivery.await.map(drop) }),
        ),
    ];
    other.block_on(async {
        let asleep = Duration::from_millis(300);
        tokio::time::sleep(asleep).await;
        for (what, task) in &waiting {
            assert!(!task.is_finished(), "{what} was not waited for");
        }
    });
    own.shutdown_timeout(Duration::from_secs(5));
    other.block_on(async {
        for (what, task) in waiting {
            let outcome = within(Duration::from_secs(5), what, task).await??;
            match outcome.err().ok_or("delivered")? {
                Error::RuntimeEnded { .. } | Error::Delivery { .. } => {}
                error => return Err(format!("waiting for {what}: {error:?}").into()),
            }
        }
        Ok(())
    })
}

fn current_thread(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("current-thread", 3, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let producer = kafka.client().await?.producer().batch_size(8000).build()?;
        let messages = Message::numbered(20_000);
        let delivering = deliver(&producer, topic, &messages);
        let places = within(Duration::from_secs(20), "20,000 deliveries", delivering).await??;
        producer.close(Duration::from_secs(5)).await?;
        assert_java_reads(kafka, topic, &messages, &places)
    })
}

async fn flush(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("flush", 4, &[])?;
    let compacted = kafka.topic("flush-compacted", 1, &[("cleanup.policy", "compact")])?;
    let client = kafka.client().await?;
    let builder = client.producer().linger(Duration::from_secs(60));
    let producer = builder.build()?;
    // Nothing to wait for.
    within(Duration::from_secs(1), "an empty flush", producer.flush()).await??;
    for _ in 0..3 {
        // Without a key, which a compacted topic refuses.
        let failing = producer.enqueue(Record::to(compacted).value("v")).await?;
        let mut deliveries = Vec::new();
        for number in 0..1000 {
            deliveries.push(
                producer
                    .enqueue(Record::to(topic).partition(number % 4))
                    .await?,
            );
        }
        assert!(!deliveries[0].is_done() && !failing.is_done());
        // A record that fails does not fail the flush.
        within(Duration::from_secs(10), "flush", producer.flush()).await??;
        assert!(deliveries.iter().all(Delivery::is_done) && failing.is_done());
        assert!(failing.await.is_err());
    }
    assert_eq!(kafka.consume_all(topic)?.len(), 3000);
    Ok(())
}

async fn idle(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("idle", 1, &[])?;
    let servers = kafka.proxy.address();
    let builder = Client::builder().bootstrap_servers(&servers);
    let client = builder
        .connections_max_idle(Duration::from_millis(300))
        .connect()
        .await?;
    let producer = client.producer().build()?;
    for round in 1..=3 {
        producer.send(Record::to(topic).value("v")).await?;
        assert!(kafka.proxy.open() > 0);
        until("idle connections close", || kafka.proxy.open() == 0).await?;
        assert!(
            kafka.proxy.opened() >= round,
            "no connection was opened again"
        );
    }
    let opened = kafka.proxy.opened();
    // Nobody opens one for nothing.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((kafka.proxy.open(), kafka.proxy.opened()), (0, opened));
    drop(client);

    // Closed by the other side: the same.
    let client = Client::connect(&servers).await?;
    let own = client.producer().build()?;
    for _ in 0..3 {
        own.send(Record::to(topic).value("v")).await?;
        // A producer whose connection ended asks for newer metadata: one more may be open by then.
        let before = kafka.proxy.opened();
        kafka.proxy.cut();
        let closed = || {
            let opened = kafka.proxy.opened();
            opened.saturating_sub(kafka.proxy.open()) >= before
        };
        until("the cut connections close", closed).await?;
    }
    for producer in [&producer, &own] {
        let metrics = producer.metrics();
        assert_eq!(
            (metrics.records, metrics.failed_records, metrics.retries),
            (3, 0, 0)
        );
    }
    assert_eq!(kafka.consume_all(topic)?.len(), 6);
    Ok(())
}
