//! krafka: pure Rust, async.

use crate::arrivals::Arrivals;
use crate::observe::Observer;
use crate::peer::{Peer, Pool, Stopwatch, group};
use crate::tally::Tally;
use anyhow::{Context, bail, ensure};
use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::producer::{Acks, Producer};
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

/// For one record at a time.
async fn prompt_producer(work: &Work) -> anyhow::Result<Producer> {
    Ok(connect(work)
        .await?
        .producer()
        .acks(Acks::All)
        .idempotent(!work.no_idempotence)
        .linger(Duration::ZERO)
        .build()
        .await?)
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
        let producer = prompt_producer(work).await?;
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let record = Record::new(work.topic.as_str(), pool.get(i).clone()).partition(0);
            let _metadata = producer.send(record).await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    async fn fetch(work: &Work) -> anyhow::Result<Outcome> {
        let consumer = consumer(work).await?;
        let mut tally = Tally::new(work);
        while !tally.is_done() {
            let records = if work.recv {
                vec![consumer.recv().await?.context("the consumer ended")?]
            } else {
                consumer.poll(Duration::from_millis(500)).await?
            };
            for record in records {
                let bytes = record.value.as_ref().map_or(0, |value| value.len());
                tally.add(record.partition, record.offset, bytes);
            }
            tally.hold().await;
        }
        tally.outcome()
    }

    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = prompt_producer(work).await?;
        let consumer = consumer(work).await?;
        let mut arrivals = Arrivals::new(work, async move |reporter| {
            while let Some(record) = consumer.recv().await? {
                reporter.arrived(record.offset)?;
            }
            Ok(())
        })?;
        for i in 0..work.records {
            let record = Record::new(work.topic.as_str(), pool.get(i).clone()).partition(0);
            let start = arrivals.start().await;
            let delivery = producer.enqueue(record).await?;
            arrivals.next(start).await?;
            let _metadata = delivery.await?;
        }
        Ok(arrivals.outcome())
    }

    async fn group_start(work: &Work) -> anyhow::Result<Outcome> {
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let consumer = connect(work)
                .await?
                .consumer(group(i))
                .auto_offset_reset(AutoOffsetReset::Earliest)
                .build()
                .await?;
            consumer.subscribe([work.topic.as_str()]).await?;
            let _record = consumer.recv().await?.context("the consumer ended")?;
            stopwatch.record(start)?;
            consumer.close().await?;
        }
        Ok(stopwatch.outcome())
    }
}

/// Reads every partition from its beginning.
async fn consumer(work: &Work) -> anyhow::Result<Consumer> {
    let consumer = connect(work)
        .await?
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await?;
    consumer
        .assign(&work.topic, (0..work.partitions).collect())
        .await?;
    Ok(consumer)
}
