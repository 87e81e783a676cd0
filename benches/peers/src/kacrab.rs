//! kacrab: pure Rust, async, configured by Kafka's own property names; its consumer hands out what a `poll` brings, never
//! a single record.

use crate::arrivals::Arrivals;
use crate::observe::Observer;
use crate::peer::{Peer, Pool, Stopwatch, group};
use crate::tally::Tally;
use anyhow::ensure;
use kacrab::common::TopicPartition;
use kacrab::consumer::Consumer;
use kacrab::producer::{Producer, ProducerRecord};
use peers::figures::Outcome;
use peers::work::Work;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct Kacrab;

/// How long a consumer waits for records before it is asked again.
const POLL: Duration = Duration::from_millis(500);

/// What is not named is as by default: the partitioner, and five requests in flight.
async fn producer(work: &Work, linger_ms: u64) -> anyhow::Result<Producer> {
    let producer = Producer::builder()
        .set("bootstrap.servers", work.brokers.as_str())
        .set("client.id", "peers")
        .set("acks", "all")
        .set("enable.idempotence", (!work.no_idempotence).to_string())
        .set("linger.ms", linger_ms.to_string())
        .set("batch.size", work.batch_size.to_string())
        .set("buffer.memory", work.buffer.to_string())
        .set("compression.type", work.compression.as_str())
        .build()
        .await?;
    // `send` never waits for metadata: all that is sent before the first answer would go into a queue that the buffer's
    // bound does not hold for.
    producer.partitions_for(&work.topic).await?;
    Ok(producer)
}

/// Of `group`, or of none.
async fn consumer(work: &Work, group: Option<String>) -> anyhow::Result<Consumer> {
    let mut properties = vec![
        ("bootstrap.servers", work.brokers.clone()),
        ("client.id", "peers".to_string()),
        ("auto.offset.reset", "earliest".to_string()),
    ];
    properties.extend(group.map(|group| ("group.id", group)));
    Ok(Consumer::from_map(properties).await?)
}

/// Reads every partition from its beginning.
async fn reader(work: &Work) -> anyhow::Result<Consumer> {
    let mut consumer = consumer(work, None).await?;
    let partitions = 0..work.partitions;
    consumer.assign(partitions.map(|partition| TopicPartition::new(&work.topic, partition)))?;
    Ok(consumer)
}

impl Peer for Kacrab {
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = producer(work, work.linger_ms).await?;
        let topic: Arc<str> = work.topic.as_str().into();
        let mut deliveries = Observer::new();
        for i in 0..work.records {
            let topic = topic.clone();
            let mut record = match work.partition(i) {
                Some(partition) => ProducerRecord::new(topic, partition),
                None => ProducerRecord::unassigned(topic),
            };
            record = record.value(pool.get(i).clone());
            if let Some(key) = work.key(i) {
                record = record.key(key.to_vec());
            }
            deliveries.watch(producer.send(record)?);
        }
        producer.flush().await?;
        let acknowledged = deliveries.finish().await?;
        ensure!(acknowledged == work.records, "acknowledged {acknowledged}");
        Ok(Outcome::records(acknowledged))
    }

    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = producer(work, 0).await?;
        let topic: Arc<str> = work.topic.as_str().into();
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let record = ProducerRecord::new(topic.clone(), 0).value(pool.get(i).clone());
            producer.send(record)?.await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    async fn fetch(work: &Work) -> anyhow::Result<Outcome> {
        let mut consumer = reader(work).await?;
        let mut tally = Tally::new(work);
        while !tally.is_done() {
            for record in &consumer.poll(POLL).await? {
                let bytes = record.value.as_ref().map_or(0, |value| value.len());
                tally.add(record.partition, record.offset, bytes);
            }
            tally.hold().await;
        }
        tally.outcome()
    }

    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = producer(work, 0).await?;
        let topic: Arc<str> = work.topic.as_str().into();
        let mut consumer = reader(work).await?;
        let mut arrivals = Arrivals::new(work, async move |reporter| {
            loop {
                for record in &consumer.poll(POLL).await? {
                    reporter.arrived(record.offset)?;
                }
            }
        })?;
        for i in 0..work.records {
            let record = ProducerRecord::new(topic.clone(), 0).value(pool.get(i).clone());
            let start = arrivals.start().await;
            let delivery = producer.send(record)?;
            arrivals.next(start).await?;
            delivery.await?;
        }
        Ok(arrivals.outcome())
    }

    async fn group_start(work: &Work) -> anyhow::Result<Outcome> {
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let mut consumer = consumer(work, Some(group(i))).await?;
            consumer.subscribe([work.topic.as_str()])?;
            while consumer.poll(POLL).await?.is_empty() {}
            stopwatch.record(start)?;
            consumer.close().await;
        }
        Ok(stopwatch.outcome())
    }
}
