//! rskafka: pure Rust, async, one partition at a time. It has no accumulator, no partitioner, no
//! idempotence and no groups; its user batches by hand, as here, so it shows what plain encoding
//! costs rather than what a full client does.

use crate::arrivals::Arrivals;
use crate::peer::{Peer, Pool, Stopwatch};
use crate::tally::Tally;
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

    async fn fetch(work: &Work) -> anyhow::Result<Outcome> {
        let mut tasks = FuturesUnordered::new();
        for (partition, client) in (0..).zip(partitions(work, work.partitions).await?) {
            let tally = Tally::new(work);
            tasks.push(tokio::spawn(read_to_end(partition, client, tally)));
        }
        let mut whole = Tally::new(work);
        while let Some(tally) = tasks.next().await {
            whole.merge(tally??);
        }
        whole.outcome()
    }

    async fn end_to_end(work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
        let partition = partitions(work, 1).await?.remove(0);
        let reader = partitions(work, 1).await?.remove(0);
        let mut arrivals = Arrivals::new(work, async move |reporter| {
            let mut offset = 0;
            loop {
                let (fetched, _) = reader.fetch_records(offset, 1..1 << 20, 500).await?;
                for fetched in fetched {
                    reporter.arrived(fetched.offset)?;
                    offset = fetched.offset + 1;
                }
            }
        })?;
        for i in 0..work.records {
            let records = vec![record(work, pool, i)];
            let start = arrivals.start().await;
            let sent = partition.produce(records, Compression::NoCompression);
            let (sent, arrived) = tokio::join!(sent, arrivals.next(start));
            sent?;
            arrived?;
        }
        Ok(arrivals.outcome())
    }

    async fn group_start(_: &Work) -> anyhow::Result<Outcome> {
        bail!("rskafka has no groups")
    }
}

async fn read_to_end(
    partition: i32,
    client: Arc<PartitionClient>,
    mut tally: Tally,
) -> anyhow::Result<Tally> {
    let end = client.get_offset(OffsetAt::Latest).await?;
    let mut offset = 0;
    while offset < end {
        let (fetched, _) = client.fetch_records(offset, 1..1 << 20, 500).await?;
        for fetched in fetched {
            offset = fetched.offset + 1;
            let bytes = fetched.record.value.map_or(0, |value| value.len());
            tally.add(partition, fetched.offset, bytes);
        }
    }
    Ok(tally)
}
