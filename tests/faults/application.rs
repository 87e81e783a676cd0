//! Faults of the application's making.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{Client, Error, Producer, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::world::{Live, Outcome, World, within};

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live(
            "application::a_partitioner_may_call_the_producer",
            calls_back,
        ),
        world.alone(
            "application::a_server_that_is_no_kafka_is_named",
            async |_| no_kafka().await,
        ),
    ]
}

/// Callbacks run with no lock held: this one sends a record of its own for each that it is asked about.
async fn calls_back(live: &Live) -> Outcome {
    let topic = "calls-back";
    live.topic(topic, 3)?;
    let own: Arc<Mutex<Option<Producer>>> = Arc::default();
    let slot = Arc::clone(&own);
    let producer = live.client(false).await?.producer();
    let producer = producer
        .linger(Duration::from_millis(1))
        .partitioner(move |_: &Record<'_>, partitions: u32| {
            let producer = slot
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()?;
            let inner = Record::to(topic).partition(2).value("from within");
            // It goes to the very queue that the outer record goes to.
            drop(producer.try_enqueue(inner).expect("there is room"));
            let _ = producer.metrics();
            Some(partitions - 1)
        })
        .build()?;
    producer.prepare(topic).await?;
    *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(producer.clone());
    let sending = async {
        let mut deliveries = Vec::new();
        for _ in 0..1000 {
            deliveries.push(
                producer
                    .enqueue(Record::to(topic).value("from without"))
                    .await?,
            );
        }
        producer.flush().await?;
        for delivery in deliveries {
            assert_eq!(delivery.await?.partition(), 2);
        }
        Ok::<_, Error>(())
    };
    within("sending", Duration::from_secs(20), sending).await??;
    // The producer would keep itself alive by its partitioner.
    own.lock().unwrap_or_else(PoisonError::into_inner).take();
    let read = live.consume_all(topic)?;
    let count = |value: &str| {
        read.iter()
            .filter(|record| record.value.as_deref() == Some(value.as_bytes()))
            .count()
    };
    assert_eq!(
        (count("from without"), count("from within"), read.len()),
        (1000, 1000, 2000)
    );
    live.delete_topic(topic)?;
    Ok(())
}

/// Something else listens: each is named, at once, and no length that it claims is believed.
async fn no_kafka() -> Outcome {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    const TLS_ALERT: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x16];
    const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.6\r\n";
    for (greeting, word) in [
        (HTTP, "HTTP"),
        (TLS_ALERT, "TLS"),
        (SSH, "SSH"),
        (b"", "TLS or SASL"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 64];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(greeting).await;
            }
        });
        let began = Instant::now();
        let connecting = Client::connect(&address);
        let error = within("connecting", Duration::from_secs(10), connecting).await?;
        let error = error.err().ok_or("connected to what is no Kafka")?;
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{error} after {:?}",
            began.elapsed()
        );
        let text = error.to_string();
        assert!(text.contains(word) && text.contains(&address), "{text}");
        assert!(
            greeting.is_empty() || matches!(error, Error::NotKafka { .. }),
            "{error:?}"
        );
        server.abort();
    }
    Ok(())
}
