//! What a member's calls hand out, how they end, and which uses are refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla::{Error, ErrorCode, TopicPartition};
use tokio::time::timeout;

use super::{SOON, filled, member, number, take};
use crate::live::support::{Kafka, Outcome};

pub(super) async fn stream(kafka: &Kafka) -> Outcome {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_core::Stream;

    let (topic, client) = filled(kafka, "group-stream", 1, 0..700).await?;
    let mut consumer = member(&client, topic, topic).build().await?;
    let handle = consumer.handle();
    let mut numbers = Vec::new();
    {
        let mut stream = consumer.stream();
        loop {
            let next = poll_fn(|context| Pin::new(&mut stream).poll_next(context));
            match timeout(SOON, next).await? {
                Some(record) => numbers.push(number(&record?)),
                None => break,
            }
            if numbers.len() == 700 {
                handle.stop();
            }
        }
    }
    assert_eq!(numbers, (0..700).collect::<Vec<_>>());
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn wrong_uses(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let refusals: BTreeMap<&str, Error> = [
        (
            "an empty group",
            client.consumer("").build().await.unwrap_err(),
        ),
        (
            "a name",
            client
                .consumer("g")
                .subscribe(["no topic"])
                .build()
                .await
                .unwrap_err(),
        ),
        (
            "both",
            client
                .consumer("g")
                .subscribe(["t"])
                .assign([TopicPartition::new("t", 0)])
                .build()
                .await
                .unwrap_err(),
        ),
    ]
    .into();
    assert!(refusals["an empty group"].to_string().contains("group.id"));
    assert!(matches!(refusals["a name"], Error::InvalidTopic { .. }));
    assert!(refusals["both"].to_string().contains("another consumer"));
    let standalone = client.standalone_consumer().build().await?;
    let error = standalone.commit_positions().await.unwrap_err();
    assert!(
        error.to_string().contains("client.consumer(group)"),
        "{error}"
    );
    let began = Instant::now();
    standalone.close(SOON).await?;
    client.consumer("g").build().await?.close(SOON).await?;
    assert!(began.elapsed() < Duration::from_secs(5));
    Ok(())
}

pub(super) async fn ended(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-ended", 1, 0..1).await?;
    let mut consumer = member(&client, topic, topic).build().await?;
    take(&mut consumer, 1).await?;
    client.close();
    for _ in 0..5 {
        let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        let error = timeout(SOON, consumer.poll())
            .await?
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    // Nothing can be committed any more; it ends all the same.
    let _ = timeout(SOON, consumer.close(SOON)).await?;
    Ok(())
}

pub(super) async fn short_session(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let builder = client.consumer("group-short-session").subscribe(["t"]);
    let builder = builder
        .session_timeout(Duration::from_secs(5))
        .heartbeat_interval(Duration::from_secs(1));
    let mut consumer = builder.build().await?;
    let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
    assert_eq!(
        error.broker_code(),
        Some(ErrorCode::INVALID_SESSION_TIMEOUT)
    );
    let told = error.to_string();
    for part in [
        "session.timeout.ms = 5000",
        "group.min.session.timeout.ms = 6000",
        "group.max.session.timeout.ms = 1800000",
    ] {
        assert!(told.contains(part), "{told}");
    }
    consumer.close(SOON).await?;
    Ok(())
}
