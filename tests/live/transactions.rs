//! Our transactions on real Kafka: what was committed is read by everybody, and nothing else ever is.

mod fenced;
mod moved;
mod visible;

use kafka_cluster::Version;
use libtest_mimic::Failed;
use ottla::{Client, IsolationLevel, OffsetReset, Record, Transaction, TransactionalProducer};
use tokio::time::timeout;

use super::support::{By, Outcome, SOON, Suite, all_of, by_place, read_to, until};

pub(crate) fn older_brokers(suite: &mut Suite) {
    for (version, told) in [(Version::V2_5_0, "2_5_0"), (Version::V3_9_1, "3_9_1")] {
        let name = |what: &str| format!("transactions::kafka_{told}_{what}");
        suite.on(
            version,
            &name("shows_what_was_committed"),
            visible::transactions,
        );
        suite.on(
            version,
            &name("commits_offsets_with_records"),
            visible::offsets,
        );
        suite.on(version, &name("fences_javas_and_ours"), fenced::by_another);
        suite.on(
            version,
            &name("ends_what_is_open_too_long"),
            fenced::by_time,
        );
    }
}

pub(crate) fn promises(suite: &mut Suite) {
    let visible = "transactions::java_and_ours_read_what_was_committed_in_order_and_nothing_else";
    suite.shared(visible, visible::transactions);
    let offsets = "transactions::offsets_are_committed_with_the_records_and_never_without";
    suite.shared(offsets, visible::offsets);
    let many = "transactions::many_small_ones_are_all_there_in_order";
    suite.shared(many, visible::many);
    let another = "transactions::whoever_begins_with_the_same_id_fences_java_or_ours";
    suite.shared(another, fenced::by_another);
    let late = "transactions::one_that_is_open_too_long_is_aborted_and_fences_its_producer";
    suite.shared(late, fenced::by_time);
    let moved = "transactions::a_killed_coordinator_loses_and_doubles_nothing";
    suite.alone(moved, moved::coordinator);
}

fn producer(client: &Client, id: &str) -> Result<TransactionalProducer, Failed> {
    Ok(client.producer().transactional_id(id).build()?)
}

async fn begin(producer: &TransactionalProducer) -> Result<Transaction, Failed> {
    Ok(timeout(SOON, producer.begin()).await??)
}

async fn commit(transaction: Transaction) -> Result<ottla::Result<()>, Failed> {
    Ok(timeout(SOON, transaction.commit()).await?)
}

/// The records go to the partitions of `topic` in turn.
async fn enqueue(
    transaction: &Transaction,
    topic: &str,
    partitions: i32,
    values: &[String],
) -> Outcome {
    for (partition, value) in (0..partitions).cycle().zip(values) {
        let record = Record::to(topic).partition(partition).value(value);
        drop(transaction.enqueue(record).await?);
    }
    Ok(())
}

/// Waits until no transaction is open, to the end of every partition.
async fn settled(kafka: &kafka_cluster::Cluster, topic: &str) -> Outcome {
    until("the transactions' ends", || {
        let ends = (kafka.offsets(topic), kafka.stable_offsets(topic));
        matches!(ends, (Ok(ends), Ok(stable)) if ends == stable)
    })
    .await
}

/// The values of a settled topic that Java's reader of what was committed sees, which are those that ours sees; by partition.
async fn committed(
    kafka: &kafka_cluster::Cluster,
    client: &Client,
    topic: &str,
    partitions: i32,
) -> Result<Vec<Vec<String>>, Failed> {
    settled(kafka, topic).await?;
    let java = by_place(kafka.consume_committed(topic)?);
    let mut consumer = client
        .standalone_consumer()
        .isolation(IsolationLevel::ReadCommitted)
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of(topic, partitions))
        .build()
        .await?;
    let ends = kafka.offsets(topic)?;
    let ours = read_to(&mut consumer, topic, &ends, By::Poll).await?;
    assert_eq!(by_place(ours), java);
    for partition in all_of(topic, partitions) {
        assert_eq!(consumer.lag(&partition)?, Some(0), "{partition}");
    }
    let mut values = vec![Vec::new(); usize::try_from(partitions)?];
    for record in java {
        let value = String::from_utf8(record.value.unwrap_or_default())?;
        values[usize::try_from(record.partition)?].push(value);
    }
    Ok(values)
}

/// What `committed` gives where these values were sent by `enqueue`.
fn in_turn(sent: &[Vec<String>], partitions: usize) -> Vec<Vec<String>> {
    let mut values = vec![Vec::new(); partitions];
    for transaction in sent {
        for (n, value) in transaction.iter().enumerate() {
            values[n % partitions].push(value.clone());
        }
    }
    values
}
