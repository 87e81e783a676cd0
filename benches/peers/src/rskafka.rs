//! rskafka: pure Rust, async, one partition at a time. It has no accumulator, no partitioner, no
//! idempotence and no groups; its user batches by hand, as here, so it shows what plain encoding
//! costs rather than what a full client does.

use crate::peer::{Peer, Pool, Stopwatch};
use anyhow::{bail, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use peers::figures::Outcome;
use peers::work::Work;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Rskafka;

/// What a record takes in a batch beside its value, about.
const OVERHEAD: usize = 10;

/// Requests in flight for each partition.
const IN_FLIGHT: usize = 5;

async fn partitions(work: &Work, count: i32) -> anyhow::Result<Vec<Arc<PartitionClient>>> {
    let brokers = work.brokers.split(',').map(str::to_string).collect();
    let client = ClientBuilder::new(brokers).build().await?;
    let mut partitions = Vec::new();
    for partition in 0..count {
        let client = client
            .partition_client(work.topic.clone(), partition, UnknownTopicHandling::Retry)
            .await?;
        partitions.push(Arc::new(client));
    }
    Ok(partitions)
}

fn compression(work: &Work) -> anyhow::Result<Compression> {
    Ok(match work.compression.as_str() {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => bail!("unknown compression {other}"),
    })
}

fn record(work: &Work, pool: &Pool, i: u64) -> Record {
    Record {
        key: work.key(i).map(|key| key.to_vec()),
        value: Some(pool.get(i).to_vec()),
        headers: Default::default(),
        timestamp: chrono::Utc::now(),
    }
}

impl Peer for Rskafka {
    async fn produce(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let compression = compression(work)?;
        let partitions = partitions(work, work.partitions).await?;
        let mut turns = partitions.iter().cycle();
        let batch = (work.batch_size / (work.size + OVERHEAD)).max(1) as u64;
        let mut in_flight = FuturesUnordered::new();
        let (mut sent, mut acknowledged) = (0, 0);
        while let (true, Some(partition)) = (sent < work.records, turns.next()) {
            let end = work.records.min(sent + batch);
            let records: Vec<_> = (sent..end).map(|i| record(work, pool, i)).collect();
            sent = end;
            let partition = partition.clone();
            in_flight.push(tokio::spawn(async move {
                partition.produce(records, compression).await
            }));
            if in_flight.len() >= IN_FLIGHT * partitions.len()
                && let Some(answer) = in_flight.next().await
            {
                acknowledged += answer??.len() as u64;
            }
        }
        while let Some(answer) = in_flight.next().await {
            acknowledged += answer??.len() as u64;
        }
        ensure!(acknowledged == work.records, "acknowledged {acknowledged}");
        Ok(Outcome::records(acknowledged))
    }

    async fn latency(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let partitions = partitions(work, 1).await?;
        let mut stopwatch = Stopwatch::new(work)?;
        for i in 0..work.records {
            let start = Instant::now();
            partitions[0]
                .produce(vec![record(work, pool, i)], Compression::NoCompression)
                .await?;
            stopwatch.record(start)?;
        }
        Ok(stopwatch.outcome())
    }

    /// Every partition to its end, whatever `work.records` says.
    async fn consume(work: &Work) -> anyhow::Result<Outcome> {
        let mut tasks = Vec::new();
        for partition in partitions(work, work.partitions).await? {
            tasks.push(tokio::spawn(read_to_end(partition)));
        }
        let (mut records, mut bytes) = (0, 0);
        for task in tasks {
            let (n, b) = task.await??;
            records += n;
            bytes += b;
        }
        ensure!(bytes > 0, "records without values");
        Ok(Outcome::records(records))
    }
}

/// Counts a partition's records and the bytes of their values.
async fn read_to_end(partition: Arc<PartitionClient>) -> anyhow::Result<(u64, usize)> {
    let end = partition.get_offset(OffsetAt::Latest).await?;
    let (mut offset, mut records, mut bytes) = (0, 0, 0);
    while offset < end {
        let (fetched, _) = partition.fetch_records(offset, 1..1 << 20, 500).await?;
        for fetched in fetched {
            offset = fetched.offset + 1;
            records += 1;
            bytes += fetched.record.value.map_or(0, |value| value.len());
        }
    }
    Ok((records, bytes))
}
