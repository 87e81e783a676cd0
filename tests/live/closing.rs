//! Closing a producer: in order, under load, and while its broker hangs.

use std::time::Duration;

use ottla::{Error, Record};
use tokio::time::Instant;

use super::support::{Kafka, Outcome, Suite, assert_all_honest, in_flight, until, within};

pub(crate) fn promises(suite: &mut Suite) {
    suite.exclusive(
        "closing::close_keeps_its_deadline_while_the_broker_hangs",
        close_deadline,
    );
    suite.shared(
        "closing::close_under_load_resolves_everything_accepted",
        close_under_load,
    );
    suite.shared(
        "closing::what_is_accepted_while_close_begins_is_delivered",
        close_race,
    );
    suite.shared("closing::a_closed_producer_takes_nothing_more", closed);
}

async fn close_deadline(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("close-deadline", 2, &[])?;
    let builder = kafka.client().await?.producer().linger(Duration::ZERO);
    let producer = builder.max_in_flight(1).build()?;
    producer
        .send(Record::to(topic).key("first").partition(0))
        .await?;
    in_flight(&producer, 0).await?;
    kafka.freeze().await?;
    let sent = producer
        .enqueue(Record::to(topic).key("sent").partition(0))
        .await?;
    in_flight(&producer, 1).await?;
    let queued = producer
        .enqueue(Record::to(topic).key("queued").partition(1))
        .await?;
    let deadline = Duration::from_secs(1);
    let began = Instant::now();
    let closing = within(deadline * 5, "close", producer.close(deadline)).await?;
    let took = began.elapsed();
    assert!(took >= deadline && took < deadline * 3 / 2, "{took:?}");
    match closing {
        Err(Error::Undelivered { failed, limit }) => assert_eq!((failed, limit), (2, deadline)),
        other => return Err(format!("{other:?}").into()),
    }
    // Resolved when `close` returns, each as honestly as can be.
    for (delivery, possibly) in [(sent, true), (queued, false)] {
        assert!(delivery.is_done());
        let error = delivery.await.err().ok_or("delivered by a frozen broker")?;
        assert!(matches!(error, Error::Delivery { .. }), "{error:?}");
        assert_eq!(error.possibly_written(), possibly, "{error}");
    }
    assert!(matches!(
        producer.send(Record::to(topic)).await,
        Err(Error::Closed { .. })
    ));
    kafka.thaw()?;
    let keys: Vec<_> = kafka
        .consume_all(topic)?
        .into_iter()
        .filter_map(|r| r.key)
        .collect();
    assert!(!keys.contains(&b"queued".to_vec()), "{keys:?}");
    Ok(())
}

async fn close_under_load(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("close-under-load", 6, &[])?;
    // So small that senders wait for room all the time.
    let builder = kafka.client().await?.producer().buffer_memory(100_000);
    let producer = builder.batch_size(4000).build()?;
    let tasks: Vec<_> = (0..4_u32)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut deliveries = Vec::new();
                for number in 0_u32.. {
                    let key = [task.to_be_bytes(), number.to_be_bytes()].concat();
                    let record = Record::to("close-under-load").key(key.clone());
                    match producer.enqueue(record).await {
                        Ok(delivery) => deliveries.push((key, delivery)),
                        Err(Error::Closed { .. }) => break,
                        Err(error) => return Err(error),
                    }
                }
                Ok(deliveries)
            })
        })
        .collect();
    until("the load is on", || producer.metrics().records > 5000).await?;
    let closing = producer.close(Duration::from_secs(20));
    within(Duration::from_secs(30), "close", closing).await??;
    let mut all = Vec::new();
    for task in tasks {
        all.extend(within(Duration::from_secs(5), "a sender", task).await???);
    }
    let accepted = all.len();
    let arrived = assert_all_honest(kafka, topic, all).await?;
    println!("{arrived} of {accepted} accepted records arrived");
    assert_eq!(arrived, accepted, "close had the time to deliver them all");
    assert_eq!(producer.metrics().buffer_used, 0);
    Ok(())
}

async fn close_race(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("close-race", 2, &[])?;
    let client = kafka.client().await?;
    for round in 0..60 {
        let producer = client.producer().linger(Duration::ZERO).build()?;
        producer.prepare(topic).await?;
        // Of real threads, so that some record is just being accepted when the door closes.
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let producer = producer.clone();
                std::thread::spawn(move || {
                    let mut deliveries = Vec::new();
                    while let Ok(delivery) = producer.try_enqueue(Record::to("close-race")) {
                        deliveries.push(delivery);
                        std::thread::yield_now();
                    }
                    deliveries
                })
            })
            .collect();
        until("the load is on", || producer.metrics().records > 0).await?;
        let closing = producer.close(Duration::from_secs(20));
        within(Duration::from_secs(30), "close", closing).await??;
        for sender in senders {
            for delivery in sender.join().map_err(|_| "a sender panicked")? {
                let outcome = within(Duration::from_secs(5), "the delivery", delivery).await?;
                outcome.map_err(|error| format!("round {round}: accepted, then: {error}"))?;
            }
        }
    }
    Ok(())
}

async fn closed(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("closed", 1, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let clone = producer.clone();
    producer.send(Record::to(topic).value("v")).await?;
    producer.close(Duration::from_secs(10)).await?;
    for producer in [&producer, &clone] {
        let record = || Record::to(topic).value("late");
        let refused = producer.try_enqueue(record()).err().ok_or("accepted")?;
        assert_eq!(refused.record, record());
        let errors = [
            Some(refused.error),
            producer.send(record()).await.err(),
            producer.enqueue(record()).await.err(),
            producer.enqueue(Record::to("never-heard-of")).await.err(),
            producer.flush().await.err(),
            producer.prepare(topic).await.err(),
        ];
        for error in errors {
            let error = error.ok_or("a closed producer still works")?;
            assert!(matches!(error, Error::Closed { .. }), "{error:?}");
            assert!(error.is_fatal() && !error.is_retriable() && !error.possibly_written());
        }
        // Again is no error.
        producer.close(Duration::ZERO).await?;
    }
    // The client is not closed with it.
    client
        .producer()
        .build()?
        .send(Record::to(topic).value("w"))
        .await?;
    assert_eq!(kafka.consume_all(topic)?.len(), 2);
    Ok(())
}
