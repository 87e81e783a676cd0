//! krafka: pure Rust, async.

use crate::observe::Observer;
use crate::peer::{Peer, Pool, Stopwatch};
use anyhow::{Context, bail, ensure};
use krafka::consumer::AutoOffsetReset;
use krafka::producer::Acks;
use krafka::{Compression, Kafka, Record};
use peers::figures::Outcome;
use peers::work::Work;
use std::time::{Duration, Instant};

pub(crate) struct Krafka;

async fn connect(work: &Work) -> anyhow::Result<Kafka> {
    Ok(Kafka::builder(&work.brokers)
        .client_id("peers")
        .connect()
        .await?)
}

fn compression(work: &Work) -> anyhow::Result<Compression> {
    Ok(match work.compression.as_str() {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => bail!("unknown compression {other}"),
    })
}

impl Peer for Krafka {
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = connect(work)
            .await?
            .producer()
            .acks(Acks::All)
            .idempotent(!work.no_idempotence)
            .linger(Duration::from_millis(work.linger_ms))
            .batch_size(work.batch_size)
            .buffer_memory(work.buffer)
            .compression(compression(work)?)
            .build()
            .await?;
        let mut deliveries = Observer::new();
        for i in 0..work.records {
            let mut record = Record::new(work.topic.as_str(), pool.get(i).clone());
            if let Some(key) = work.key(i) {
                record = record.key(key.to_vec());
            }
            if let Some(partition) = work.partition(i) {
                record = record.partition(partition);
            }
            deliveries.watch(producer.enqueue(record).await?);
        }
        producer.flush().await?;
        let acknowledged = deliveries.finish().await?;
        ensure!(acknowledged == work.records, "acknowledged {acknowledged}");
        Ok(Outcome::records(acknowledged))
    }

    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let kafka = connect(work).await?;
        let producer = kafka
            .producer()
            .acks(Acks::All)
            .idempotent(!work.no_idempotence)
            .linger(Duration::ZERO)
            .build()
            .await?;
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let record = Record::new(work.topic.as_str(), pool.get(i).clone()).partition(0);
            let _metadata = producer.send(record).await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    async fn consume(work: &Work) -> anyhow::Result<Outcome> {
        let consumer = connect(work)
            .await?
            .consumer(format!("g-{}", std::process::id()))
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .enable_auto_commit(false)
            .build()
            .await?;
        consumer.subscribe([work.topic.as_str()]).await?;
        let (mut records, mut bytes) = (0, 0);
        while records < work.records {
            let batch = if work.recv {
                vec![consumer.recv().await?.context("the consumer ended")?]
            } else {
                consumer.poll(Duration::from_millis(500)).await?
            };
            for record in batch {
                bytes += record.value.as_ref().map_or(0, |value| value.len());
                records += 1;
            }
        }
        ensure!(bytes > 0, "records without values");
        Ok(Outcome::records(records))
    }
}
