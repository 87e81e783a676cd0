//! rdkafka: bindings to librdkafka (C).

use crate::peer::{Peer, Pool, Stopwatch};
use anyhow::ensure;
use peers::figures::Outcome;
use peers::work::Work;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{
    BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(crate) struct Rdkafka;

#[derive(Clone, Default)]
struct Deliveries {
    acknowledged: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() {
            &self.acknowledged
        } else {
            &self.failed
        };
        count.fetch_add(1, Relaxed);
    }
}

fn config(work: &Work) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &work.brokers);
    config
}

fn producer_config(work: &Work) -> ClientConfig {
    let mut config = config(work);
    config
        .set("acks", "all")
        .set("enable.idempotence", (!work.no_idempotence).to_string())
        .set("linger.ms", work.linger_ms.to_string())
        .set("batch.size", work.batch_size.to_string())
        .set("compression.type", &work.compression)
        .set("partitioner", "murmur2_random")
        .set(
            "queue.buffering.max.kbytes",
            (work.buffer / 1024).to_string(),
        )
        // The limits that count records must not be reached before those that count bytes.
        .set("queue.buffering.max.messages", "10000000")
        .set("batch.num.messages", "1000000");
    config
}

impl Peer for Rdkafka {
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let deliveries = Deliveries::default();
        let producer: ThreadedProducer<_> =
            producer_config(work).create_with_context(deliveries.clone())?;
        for i in 0..work.records {
            let key = work.key(i);
            let mut record = BaseRecord::<[u8], [u8]>::to(&work.topic).payload(pool.get(i));
            if let Some(key) = &key {
                record = record.key(key);
            }
            if let Some(partition) = work.partition(i) {
                record = record.partition(partition);
            }
            // A full queue is an error, not a wait.
            while let Err((error, back)) = producer.send(record) {
                ensure!(
                    matches!(
                        error,
                        KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
                    ),
                    error
                );
                record = back;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        producer.flush(Duration::from_secs(60))?;
        let (acknowledged, failed) = (
            deliveries.acknowledged.load(Relaxed),
            deliveries.failed.load(Relaxed),
        );
        ensure!(
            acknowledged == work.records,
            "acknowledged {acknowledged}, failed {failed}"
        );
        Ok(Outcome::records(acknowledged))
    }

    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer: FutureProducer = producer_config(work)
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            .create()?;
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let record = FutureRecord::<[u8], [u8]>::to(&work.topic)
                .payload(pool.get(i))
                .partition(0);
            producer
                .send(record, Duration::from_secs(5))
                .await
                .map_err(|(error, _)| error)?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    async fn consume(work: &Work) -> anyhow::Result<Outcome> {
        let consumer: StreamConsumer = config(work)
            .set("group.id", format!("g-{}", std::process::id()))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()?;
        consumer.subscribe(&[&work.topic])?;
        let (mut records, mut bytes) = (0, 0);
        while records < work.records {
            bytes += consumer.recv().await?.payload().map_or(0, <[u8]>::len);
            records += 1;
        }
        ensure!(bytes > 0, "records without values");
        Ok(Outcome::records(records))
    }
}
