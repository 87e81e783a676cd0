//! Transactions seen and ended from outside, as Java's tool sees them.

use std::time::Duration;

use ottla::{
    ActiveProducer, Admin, Client, Error, ErrorCode, Record, TopicPartition, TransactionFilter,
    TransactionState, TransactionalProducer,
};
use tokio::time::timeout;

use super::support::{Kafka, Outcome, SOON, Suite, all_of, codes, eventually, printed};

pub(crate) fn promises(suite: &mut Suite) {
    let told = "admin_transactions::an_open_transaction_is_told_of_as_java_tells_it";
    suite.shared(told, open_one);
    let fenced =
        "admin_transactions::a_fenced_producer_commits_nothing_and_what_it_wrote_is_never_read";
    suite.shared(fenced, fence);
    let aborted =
        "admin_transactions::a_transaction_aborted_in_a_partition_no_longer_holds_up_its_readers";
    suite.shared(aborted, abort);
}

fn producer(client: &Client, id: &str) -> Result<TransactionalProducer, Error> {
    client.producer().transactional_id(id).build()
}

async fn producers_of(
    admin: &Admin,
    partition: &TopicPartition,
) -> Result<Vec<ActiveProducer>, Error> {
    let told = admin.describe_producers([partition.clone()]).await?;
    told.into_iter().next().unwrap()
}

async fn open_one(kafka: &Kafka) -> Outcome {
    let (topic, id) = (kafka.topic("admin-txn-open", 2, &[])?, "admin-txn-open-id");
    let client = kafka.client().await?;
    let admin = client.admin();
    let producer = producer(&client, id)?;
    let transaction = producer.begin().await?;
    let record = Record::to(topic).partition(1).value("v");
    transaction.send(record).await?;

    let described = admin.describe_transactions([id, "admin-txn-none"]).await?;
    let unknown = ErrorCode::TRANSACTIONAL_ID_NOT_FOUND;
    assert_eq!(codes(&described), [ErrorCode::NONE, unknown]);
    let described = described.into_iter().next().unwrap()?;
    assert_eq!(&*described.transactional_id, id);
    assert_eq!(described.state, TransactionState::Ongoing);
    assert_eq!(described.coordinator, 1);
    assert_eq!(described.timeout, Duration::from_secs(60));
    assert!(described.started.is_some());
    let both = all_of(topic, 2);
    assert_eq!(described.partitions, both[1..]);

    let filters = [
        (TransactionFilter::all(), true),
        (
            TransactionFilter::all().state(TransactionState::Ongoing),
            true,
        ),
        (
            TransactionFilter::all().state(TransactionState::Dead),
            false,
        ),
        (
            TransactionFilter::all().producer_id(described.producer_id),
            true,
        ),
        (TransactionFilter::all().producer_id(i64::MAX), false),
        (TransactionFilter::all().longer_than(Duration::ZERO), true),
        (
            TransactionFilter::all().longer_than(Duration::from_secs(3600)),
            false,
        ),
    ];
    for (filter, expected) in filters {
        let listed = admin.list_transactions(filter.clone()).await?;
        let found = listed.iter().find(|one| &*one.transactional_id == id);
        assert_eq!(found.is_some(), expected, "{filter:?}: {listed:?}");
        if let Some(found) = found {
            assert_eq!(found.producer_id, described.producer_id);
            assert_eq!(found.state, TransactionState::Ongoing);
            assert_eq!(found.coordinator, 1);
        }
    }

    let none = TopicPartition::new("admin-txn-no-topic", 0);
    let asked = [both[0].clone(), both[1].clone(), none];
    let active = admin.describe_producers(asked).await?;
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes(&active), [ErrorCode::NONE, ErrorCode::NONE, unknown]);
    assert!(active[0].as_ref().unwrap().is_empty());
    let [active] = active[1].as_ref().unwrap()[..] else {
        return Err(format!("{active:?}").into());
    };
    assert_eq!(active.producer_id, described.producer_id);
    assert_eq!(active.producer_epoch, i32::from(described.producer_epoch));
    assert_eq!(
        (active.transaction_start, active.last_sequence),
        (Some(0), 0)
    );

    let servers = &kafka.bootstrap();
    let arguments = ["--bootstrap-server", servers, "describe"];
    let arguments = [&arguments[..], &["--transactional-id", id]].concat();
    let java = kafka.tool("org.apache.kafka.tools.TransactionsCommand", &arguments)?;
    let java = printed(&java.stdout);
    let line = java.lines().find(|line| line.contains(id));
    let words: Vec<_> = line.ok_or(&*java)?.split_whitespace().collect();
    for word in [
        id,
        "Ongoing",
        &described.producer_id.to_string(),
        &described.producer_epoch.to_string(),
        &format!("{topic}-1"),
    ] {
        assert!(words.contains(&word), "{word}: {java}");
    }

    transaction.commit().await?;
    let ended = async || {
        let told = admin.describe_transactions([id]).await;
        let told = told.ok().and_then(|mut told| told.remove(0).ok());
        told.is_some_and(|told| {
            told.state == TransactionState::CompleteCommit && told.partitions.is_empty()
        })
    };
    eventually("the commit is told of", ended).await?;
    assert_eq!(
        producers_of(&admin, &both[1]).await?[0].transaction_start,
        None
    );
    producer.close(SOON).await?;
    Ok(())
}

async fn fence(kafka: &Kafka) -> Outcome {
    let (topic, id) = (
        kafka.topic("admin-txn-fence", 1, &[])?,
        "admin-txn-fence-id",
    );
    let client = kafka.client().await?;
    let admin = client.admin();
    let fenced = producer(&client, id)?;
    let transaction = fenced.begin().await?;
    transaction
        .send(Record::to(topic).value("never read"))
        .await?;
    let before = admin.describe_transactions([id]).await?.remove(0)?;

    assert_eq!(
        codes(&admin.fence_producers([id]).await?),
        [ErrorCode::NONE]
    );
    let after = admin.describe_transactions([id]).await?.remove(0)?;
    assert_eq!(
        (after.state, after.started),
        (TransactionState::Empty, None)
    );
    let identity = |told: &ottla::TransactionDescription| (told.producer_id, told.producer_epoch);
    assert!(identity(&after) > identity(&before), "{before:?} {after:?}");
    let refused = timeout(SOON, transaction.commit()).await?.unwrap_err();
    assert!(refused.is_fatal(), "{refused}");
    fenced.close(SOON).await?;

    let next = producer(&client, id)?;
    let transaction = next.begin().await?;
    transaction.send(Record::to(topic).value("read")).await?;
    transaction.commit().await?;
    next.close(SOON).await?;
    let read = kafka.consume_committed(topic)?;
    let values: Vec<_> = read.iter().map(|record| record.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"read"[..])]);
    Ok(())
}

async fn abort(kafka: &Kafka) -> Outcome {
    let (topic, id) = (
        kafka.topic("admin-txn-abort", 1, &[])?,
        "admin-txn-abort-id",
    );
    let client = kafka.client().await?;
    let admin = client.admin();
    let hanging = producer(&client, id)?;
    let transaction = hanging.begin().await?;
    transaction
        .send(Record::to(topic).value("never read"))
        .await?;
    let plain = client.producer().build()?;
    plain.send(Record::to(topic).value("held up")).await?;
    let stable =
        || -> Result<i64, kafka_cluster::Error> { Ok(kafka.stable_offsets(topic)?[0].end) };
    assert_eq!(stable()?, 0);

    let partition = TopicPartition::new(topic, 0);
    let open = producers_of(&admin, &partition).await?;
    let open = open.into_iter().find(|one| one.transaction_start.is_some());
    let open = open.ok_or("no open transaction")?;
    admin.abort_transaction(&partition, &open).await?;
    for one in producers_of(&admin, &partition).await? {
        assert_eq!(one.transaction_start, None);
    }
    let freed = async || matches!((stable(), kafka.offsets(topic)), (Ok(stable), Ok(all)) if stable == all[0].end);
    eventually("readers of committed records go on", freed).await?;
    let read = kafka.consume_committed(topic)?;
    let values: Vec<_> = read.iter().map(|record| record.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"held up"[..])]);

    // The coordinator knows nothing of it, and ends its transaction as ever.
    timeout(SOON, transaction.abort()).await??;
    hanging.close(SOON).await?;
    plain.close(SOON).await?;
    Ok(())
}
