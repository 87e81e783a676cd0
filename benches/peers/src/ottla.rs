//! ottla, the client of this repository.

use crate::observe::Observer;
use crate::peer::{Peer, Pool, Stopwatch};
use anyhow::{bail, ensure};
use ottla::{Client, Compression, Record};
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

    async fn consume(_: &Work) -> anyhow::Result<Outcome> {
        bail!("ottla has no consumer yet")
    }
}
