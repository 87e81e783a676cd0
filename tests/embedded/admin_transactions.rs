//! Transactions seen and ended from outside, also while their coordinators and leaders move.

use std::time::Duration;

use ottla::{
    Admin, Client, Record, TopicPartition, Transaction, TransactionFilter, TransactionState,
    TransactionalProducer,
};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;

use super::super::SOON;

async fn begun() -> (Cluster, Admin, TransactionalProducer, Transaction) {
    let cluster = Cluster::builder()
        .nodes(2)
        .topic("t", 2)
        .start()
        .await
        .unwrap();
    let client = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .retry_backoff(Duration::from_millis(5))
        .retry_backoff_max(Duration::from_millis(20))
        .connect()
        .await
        .unwrap();
    let producer = client.producer().transactional_id("p").build().unwrap();
    let transaction = timeout(SOON, producer.begin()).await.unwrap().unwrap();
    let record = Record::to("t").partition(1).value("v");
    timeout(SOON, transaction.send(record))
        .await
        .unwrap()
        .unwrap();
    (cluster, client.admin().timeout(SOON), producer, transaction)
}

#[tokio::test]
async fn an_open_transaction_is_listed_and_described_while_the_brokers_move() {
    let (cluster, admin, _producer, _transaction) = begun().await;
    for (code, api) in [
        (
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ApiKey::ListTransactions,
        ),
        (ErrorCode::NOT_COORDINATOR, ApiKey::DescribeTransactions),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, ApiKey::DescribeProducers),
    ] {
        cluster.faults().add(Fault::error(code).on(api));
    }
    let ongoing = TransactionFilter::all().state(TransactionState::Ongoing);
    let listed = admin.list_transactions(ongoing).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(&*listed[0].transactional_id, "p");
    assert_eq!(
        Some(listed[0].coordinator),
        cluster.transaction_coordinator("p")
    );
    let aborting = TransactionFilter::all().state(TransactionState::PrepareAbort);
    assert_eq!(admin.list_transactions(aborting).await.unwrap(), []);

    let described = admin.describe_transactions(["p", "q"]).await.unwrap();
    let partition = TopicPartition::new("t", 1);
    let told = described[0].as_ref().unwrap();
    assert_eq!(told.state, TransactionState::Ongoing);
    assert_eq!(told.coordinator, listed[0].coordinator);
    assert_eq!(told.partitions, std::slice::from_ref(&partition));
    assert!(told.started.is_some());
    let unknown = described[1].as_ref().unwrap_err().broker_code();
    let not_found = ottla::ErrorCode::TRANSACTIONAL_ID_NOT_FOUND;
    assert_eq!(unknown, Some(not_found));

    let active = admin.describe_producers([partition]).await.unwrap();
    let active = active[0].as_ref().unwrap();
    assert_eq!(active.len(), 1, "{active:?}");
    assert_eq!(active[0].producer_id, told.producer_id);
    assert_eq!(active[0].transaction_start, Some(0));
}

#[tokio::test]
async fn fencing_waits_for_the_end_of_the_transaction_that_it_aborts() {
    let (cluster, admin, _producer, transaction) = begun().await;
    let concurrent = Fault::error(ErrorCode::CONCURRENT_TRANSACTIONS);
    let concurrent = cluster
        .faults()
        .add(concurrent.on(ApiKey::InitProducerId).times(3));
    for fenced in admin.fence_producers(["p"]).await.unwrap() {
        fenced.unwrap();
    }
    assert_eq!(cluster.faults().hits(concurrent), 3);
    let refused = timeout(SOON, transaction.commit()).await.unwrap();
    assert!(refused.unwrap_err().is_fatal());
    assert!(cluster.committed_log("t", 1).is_empty());
    let told = admin.describe_transactions(["p"]).await.unwrap().remove(0);
    assert_eq!(told.unwrap().state, TransactionState::Empty);
}

#[tokio::test]
async fn a_hanging_transaction_is_aborted_in_its_partition_wherever_that_is_led() {
    let (cluster, admin, _producer, _transaction) = begun().await;
    let partition = TopicPartition::new("t", 1);
    let open = admin.describe_producers([partition.clone()]).await.unwrap();
    let open = open[0].as_ref().unwrap()[0];
    let leader = cluster.leader("t", 1).unwrap();
    cluster.move_leader("t", 1, 3 - leader).unwrap();
    let moved = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.faults().add(moved.on(ApiKey::WriteTxnMarkers));
    admin.abort_transaction(&partition, &open).await.unwrap();
    let active = admin.describe_producers([partition]).await.unwrap();
    let active = active[0].as_ref().unwrap();
    assert!(active.iter().all(|one| one.transaction_start.is_none()));
    assert!(cluster.committed_log("t", 1).is_empty());
}
