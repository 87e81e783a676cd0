//! ottla, the client of this repository.

use crate::arrivals::Arrivals;
use crate::observe::Observer;
use crate::peer::{Peer, Pool, Stopwatch, group};
use crate::tally::Tally;
use anyhow::{Context, bail, ensure};
use ottla::{Client, Compression, Consumer, OffsetReset, Record, TopicPartition};
use peers::figures::Outcome;
use peers::work::Work;
use std::time::{Duration, Instant};

pub(crate) struct Ottla;

async fn connect(work: &Work) -> anyhow::Result<Client> {
    Ok(Client::connect(&work.brokers).await?)
}

fn compression(work: &Work) -> anyhow::Result<Compression> {
    Ok(match work.compression.as_str() {
        "none" => Compression::None,
        "gzip" => Compression::Gzip(None),
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4(None),
        "zstd" => Compression::Zstd(None),
        other => bail!("unknown compression {other}"),
    })
}

impl Peer for Ottla {
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let producer = connect(work)
            .await?
            .producer()
            .idempotence(!work.no_idempotence)
            .linger(Duration::from_millis(work.linger_ms))
            .batch_size(work.batch_size)
            .buffer_memory(work.buffer)
            .compression(compression(work)?)
            .build()?;
        let mut deliveries = Observer::new();
        for i in 0..work.records {
            let key = work.key(i);
            let mut record = Record::to(work.topic.as_str()).value(&pool.get(i)[..]);
            if let Some(key) = &key {
                record = record.key(&key[..]);
            }
            if let Some(partition) = work.partition(i) {
                record = record.partition(partition);
            }
            deliveries.watch(producer.enqueue(record).await?);
        }
        producer.flush().await?;
        let acknowledged = deliveries.finish().await?;
        ensure!(acknowledged == work.records, "acknowledged {acknowledged}");
        let metrics = producer.metrics();
        let records_per_batch = Some(metrics.records as f64 / metrics.batches as f64);
        Ok(Outcome {
            records_per_batch,
            ..Outcome::records(acknowledged)
        })
    }

    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let client = connect(work).await?;
        let producer = client
            .producer()
            .idempotence(!work.no_idempotence)
            .linger(Duration::ZERO)
            .build()?;
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let record = Record::to(work.topic.as_str())
                .value(&pool.get(i)[..])
                .partition(0);
            producer.send(record).await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    async fn fetch(work: &Work) -> anyhow::Result<Outcome> {
        let mut consumer = consumer(work).await?;
        let mut tally = Tally::new(work);
        while !tally.is_done() {
            if work.recv {
                let record = consumer.recv().await?.context("the consumer ended")?;
                tally.add(record.partition(), record.offset(), length(record.value()));
            } else {
                let records = consumer.poll().await?.context("the consumer ended")?;
                for record in &records {
                    tally.add(record.partition(), record.offset(), length(record.value()));
                }
            }
            tally.hold().await;
        }
        tally.outcome()
    }

    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let client = connect(work).await?;
        let producer = client.producer().linger(Duration::ZERO).build()?;
        let mut consumer = consumer(work).await?;
        let mut arrivals = Arrivals::new(work, async move |reporter| {
            while let Some(record) = consumer.recv().await? {
                reporter.arrived(record.offset())?;
            }
            Ok(())
        })?;
        for i in 0..work.records {
            let record = Record::to(work.topic.as_str())
                .value(&pool.get(i)[..])
                .partition(0);
            let start = arrivals.start().await;
            let delivery = producer.enqueue(record).await?;
            arrivals.next(start).await?;
            delivery.await?;
        }
        Ok(arrivals.outcome())
    }

    async fn group_start(work: &Work) -> anyhow::Result<Outcome> {
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            let mut consumer = connect(work)
                .await?
                .consumer(group(i))
                .offset_reset(OffsetReset::Earliest)
                .subscribe([work.topic.as_str()])
                .build()
                .await?;
            consumer.recv().await?.context("the consumer ended")?;
            stopwatch.record(start)?;
            consumer.close(Duration::from_secs(10)).await?;
        }
        Ok(stopwatch.outcome())
    }
}

/// Reads every partition from its beginning.
async fn consumer(work: &Work) -> anyhow::Result<Consumer> {
    let partitions = 0..work.partitions;
    Ok(connect(work)
        .await?
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .buffer_memory(work.buffer)
        .assign(partitions.map(|partition| TopicPartition::new(work.topic.as_str(), partition)))
        .build()
        .await?)
}

fn length(value: Option<&[u8]>) -> usize {
    value.map_or(0, <[u8]>::len)
}
