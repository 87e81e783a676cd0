//! rdkafka: bindings to librdkafka (C).

use crate::arrivals::Arrivals;
use crate::peer::{Peer, Pool, Stopwatch, group};
use crate::tally::Tally;
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
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
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

/// For one record at a time.
fn prompt_producer(work: &Work) -> anyhow::Result<FutureProducer> {
    Ok(producer_config(work)
        .set("linger.ms", "0")
        .set("socket.nagle.disable", "true")
        .create()?)
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
        let producer = prompt_producer(work)?;
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

    async fn fetch(work: &Work) -> anyhow::Result<Outcome> {
        let consumer = consumer(work)?;
        let mut tally = Tally::new(work);
        while !tally.is_done() {
            let record = consumer.recv().await?;
            let bytes = record.payload().map_or(0, <[u8]>::len);
            tally.add(record.partition(), record.offset(), bytes);
            tally.hold().await;
        }
        tally.outcome()
    }

    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = prompt_producer(work)?;
        let consumer = consumer(work)?;
        let mut arrivals = Arrivals::new(work, async move |reporter| {
            loop {
                reporter.arrived(consumer.recv().await?.offset())?;
            }
        })?;
        for i in 0..work.records {
            let record = FutureRecord::<[u8], [u8]>::to(&work.topic)
                .payload(pool.get(i))
                .partition(0);
            let start = arrivals.start().await;
            let delivery = producer.send_result(record).map_err(|(error, _)| error)?;
            arrivals.next(start).await?;
            delivery.await?.map_err(|(error, _)| error)?;
        }
        Ok(arrivals.outcome())
    }

    async fn group_start(work: &Work) -> anyhow::Result<Outcome> {
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let consumer: StreamConsumer = config(work)
                .set("group.id", group(i))
                .set("auto.offset.reset", "earliest")
                .create()?;
            consumer.subscribe(&[&work.topic])?;
            consumer.recv().await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }
}

/// Reads every partition from its beginning.
fn consumer(work: &Work) -> anyhow::Result<StreamConsumer> {
    let consumer: StreamConsumer = config(work)
        // It will not be made without one.
        .set("group.id", group(0))
        .set("enable.auto.commit", "false")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..work.partitions {
        partitions.add_partition_offset(&work.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}
