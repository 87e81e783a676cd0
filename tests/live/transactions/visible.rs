//! What is committed is there for everybody, whole and in order; what is aborted or dropped is not.

use std::time::Instant;

use libtest_mimic::Failed;
use ottla::{Client, GroupMetadata, OffsetReset, Record, TransactionalProducer};
use tokio::time::timeout;

use super::super::support::{Kafka, Outcome, SOON, all_of, eventually, java_describes};
use super::{begin, commit, committed, enqueue, in_turn, producer};

const TOPIC: &str = "transactions-visible";

/// So many values that nobody else sends.
fn values(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{name} {n}: {}", "x".repeat(80)))
        .collect()
}

pub(super) async fn transactions(kafka: &Kafka) -> Outcome {
    kafka.topic(TOPIC, 3, &[])?;
    let client = kafka.client().await?;
    let producer = client
        .producer()
        // A transaction of a thousand records has many batches a partition.
        .batch_size(4096)
        .transactional_id(TOPIC)
        .build()?;
    let mut kept = Vec::new();
    for round in 0..3 {
        for (size, count) in [("one", 1), ("few", 7), ("many", 1000)] {
            let sent = values(&format!("{size} of round {round}"), count);
            let transaction = begin(&producer).await?;
            enqueue(&transaction, TOPIC, 3, &sent).await?;
            commit(transaction).await??;
            kept.push(sent);
        }
        not_kept(&producer, round).await?;
        assert_eq!(
            committed(kafka, &client, TOPIC, 3).await?,
            in_turn(&kept, 3),
            "after a transaction that was dropped"
        );
    }
    producer.close(SOON).await?;
    Ok(())
}

/// Transactions that are aborted before they are sent, when they have arrived, and by being dropped.
async fn not_kept(producer: &TransactionalProducer, round: usize) -> Outcome {
    let aborted = begin(producer).await?;
    enqueue(
        &aborted,
        TOPIC,
        3,
        &values(&format!("aborted {round}"), 300),
    )
    .await?;
    timeout(SOON, aborted.abort()).await??;
    let arrived = begin(producer).await?;
    arrived
        .send(Record::to(TOPIC).partition(1).value("arrived, and aborted"))
        .await?;
    timeout(SOON, arrived.abort()).await??;
    let dropped = begin(producer).await?;
    enqueue(&dropped, TOPIC, 3, &values(&format!("dropped {round}"), 5)).await?;
    dropped
        .send(Record::to(TOPIC).partition(2).value("arrived, and dropped"))
        .await?;
    drop(dropped);
    // It begins when the one before has ended.
    timeout(SOON, begin(producer).await?.abort()).await??;
    Ok(())
}

/// The offset of the group's first partition, as it is committed.
async fn offset_of(client: &Client, group: &str) -> Result<Option<i64>, Failed> {
    let listed = client.admin().list_group_offsets(group).await?;
    match listed.into_iter().next() {
        Some((_, offset)) => Ok(Some(offset?.offset)),
        None => Ok(None),
    }
}

pub(super) async fn offsets(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("transactions-offsets", 1, &[])?;
    let (group, out) = (topic, kafka.topic("transactions-offsets-out", 1, &[])?);
    let client = kafka.client().await?;
    let plain = client.producer().build()?;
    for n in 0..10 {
        plain
            .send(Record::to(topic).value(n.to_string().as_str()))
            .await?;
    }
    let mut consumer = client
        .consumer(group)
        .auto_commit(false)
        .offset_reset(OffsetReset::Earliest)
        .subscribe([topic])
        .build()
        .await?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 0);
    let producer = producer(&client, topic)?;
    let at = |offset: i64| [(all_of(topic, 1).remove(0), offset)];
    let metadata: GroupMetadata = consumer.handle().group_metadata()?;

    let aborted = begin(&producer).await?;
    aborted.send(Record::to(out).value("aborted")).await?;
    timeout(SOON, aborted.send_offsets(&metadata, at(7))).await??;
    timeout(SOON, aborted.abort()).await??;
    for round in [3, 5] {
        let kept = begin(&producer).await?;
        let value = round.to_string();
        drop(kept.enqueue(Record::to(out).value(&value)).await?);
        timeout(SOON, kept.send_offsets(&metadata, at(round))).await??;
        commit(kept).await??;
        // The aborted one's marker was written before this one's.
        eventually(
            "the offset",
            async || matches!(offset_of(&client, group).await, Ok(Some(offset)) if offset == round),
        )
        .await?;
    }
    // Nothing but offsets.
    let only = begin(&producer).await?;
    timeout(SOON, only.send_offsets(&metadata, at(6))).await??;
    commit(only).await??;
    eventually("the last offset", async || {
        matches!(offset_of(&client, group).await, Ok(Some(6)))
    })
    .await?;
    let java = java_describes(kafka, group)?;
    let line = java
        .lines()
        .find(|line| line.contains(topic) && line.contains(" 6 "));
    assert!(line.is_some(), "{java}");
    assert_eq!(committed(kafka, &client, out, 1).await?, [["3", "5"]]);

    // A member that is none any more commits nothing by a transaction.
    consumer.close(SOON).await?;
    let zombie = begin(&producer).await?;
    zombie.send(Record::to(out).value("zombie")).await?;
    let refused = timeout(SOON, zombie.send_offsets(&metadata, at(9))).await?;
    let error = refused
        .err()
        .ok_or("offsets of a member that has left were taken")?;
    assert!(!error.is_fatal(), "{error}");
    assert!(commit(zombie).await?.is_err());
    let next = begin(&producer).await?;
    next.send(Record::to(out).value("next")).await?;
    commit(next).await??;
    assert_eq!(
        committed(kafka, &client, out, 1).await?,
        [["3", "5", "next"]]
    );
    assert_eq!(offset_of(&client, group).await?, Some(6));
    producer.close(SOON).await?;
    Ok(())
}

pub(super) async fn many(kafka: &Kafka) -> Outcome {
    const TRANSACTIONS: usize = 200;
    let topic = kafka.topic("transactions-many", 3, &[])?;
    let client = kafka.client().await?;
    let producer = producer(&client, topic)?;
    let mut sent = Vec::new();
    let began = Instant::now();
    for n in 0..TRANSACTIONS {
        let records: Vec<_> = (0..5).map(|record| format!("{n} {record}")).collect();
        let transaction = begin(&producer).await?;
        enqueue(&transaction, topic, 3, &records).await?;
        commit(transaction).await??;
        sent.push(records);
    }
    println!(
        "{:?} a transaction",
        began.elapsed() / u32::try_from(TRANSACTIONS)?
    );
    assert_eq!(
        committed(kafka, &client, topic, 3).await?,
        in_turn(&sent, 3)
    );
    producer.close(SOON).await?;
    Ok(())
}
