//! The coordinator's broker is killed in the middle of transactions, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kafka_cluster::Cluster;
use libtest_mimic::Failed;
use ottla::{Client, TransactionalProducer};

use super::super::support::{Outcome, SOON};
use super::{committed, enqueue, in_turn, producer};

const TOPIC: &str = "transactions-moved";
/// After the coordinator has moved, and again after its broker is back.
const MORE: usize = 20;

/// The node that coordinates an id. Kafka: `partitionFor` of the id's `hashCode`.
fn coordinator_of(cluster: &Cluster, id: &str) -> Result<i32, Failed> {
    let step = |hash: i32, byte: u8| hash.wrapping_mul(31).wrapping_add(i32::from(byte));
    let hash = id.bytes().fold(0, step) & i32::MAX;
    // As `kafka-cluster` sets it.
    Ok(cluster.leader_of("__transaction_state", hash % 8)?)
}

/// Transaction number `n`, committed or aborted in turn; whether it was committed.
async fn one(
    producer: &TransactionalProducer,
    values: &[String],
    commit: bool,
) -> ottla::Result<bool> {
    let transaction = producer.begin().await?;
    let enqueued = enqueue(&transaction, TOPIC, 3, values).await;
    if !commit || enqueued.is_err() {
        transaction.abort().await?;
        return Ok(false);
    }
    transaction.commit().await.map(|()| true)
}

/// Transactions until told to end; those that were committed.
async fn run(
    producer: &TransactionalProducer,
    end: &AtomicBool,
) -> Result<Vec<Vec<String>>, Failed> {
    let mut kept = Vec::new();
    let mut n = 0;
    let mut left = MORE;
    while left > 0 {
        if end.load(Ordering::Relaxed) {
            left -= 1;
        }
        n += 1;
        let values: Vec<_> = (0..5).map(|record| format!("{n} {record}")).collect();
        match one(producer, &values, n % 4 != 0).await {
            Ok(true) => kept.push(values),
            Ok(false) => {}
            // Told as aborted, by which it must be; whether it was is never left open here.
            Err(error) if error.is_fatal() || error.possibly_written() => return Err(error.into()),
            Err(error) => println!("transaction {n}: {error}"),
        }
    }
    println!("{} of {n} transactions were committed", kept.len());
    Ok(kept)
}

/// Waits until another node than this one coordinates.
fn await_other(cluster: &Cluster, node: i32) -> Outcome {
    let end = Instant::now() + 2 * SOON;
    while coordinator_of(cluster, TOPIC)? == node {
        if Instant::now() > end {
            return Err(format!("node {node} coordinates after its end").into());
        }
    }
    Ok(())
}

pub(super) async fn coordinator() -> Outcome {
    let cluster = Cluster::builder().nodes(3).heap("256m").start()?;
    cluster.create_topic(TOPIC, 3, 3, &[])?;
    let client = Client::connect(&cluster.bootstrap()).await?;
    let producer = producer(&client, TOPIC)?;
    let end = Arc::new(AtomicBool::new(false));
    let running = tokio::spawn({
        let end = Arc::clone(&end);
        async move {
            let kept = run(&producer, &end).await;
            (producer, kept)
        }
    });
    let cluster_too = tokio::task::spawn_blocking(move || -> Result<Cluster, Failed> {
        cluster.wait_ready()?;
        let node = coordinator_of(&cluster, TOPIC)?;
        cluster.kill(node)?;
        await_other(&cluster, node)?;
        cluster.start(node)?;
        Ok(cluster)
    });
    let cluster = cluster_too.await??;
    end.store(true, Ordering::Relaxed);
    let (producer, kept) = running.await?;
    let kept = kept?;
    assert!(kept.len() >= MORE / 2, "{}", kept.len());
    producer.close(SOON).await?;
    assert_eq!(
        committed(&cluster, &client, TOPIC, 3).await?,
        in_turn(&kept, 3)
    );
    Ok(())
}
