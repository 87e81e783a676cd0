//! Transactions, by both protocols: what is promised of them, and what becomes of every call that goes wrong.

mod ends;

use std::time::Duration;

use ottla::{Acks, Client, Error, GroupMetadata, Record, Transaction, TransactionalProducer};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;

use super::super::{SOON, all_of};

/// The levels of `transaction.version` by which both protocols are spoken.
const PROTOCOLS: [i16; 2] = [0, 2];

/// The calls about a transaction of records and offsets, but for Produce; by the second protocol there are fewer.
fn calls(level: i16) -> Vec<ApiKey> {
    let mut calls = vec![
        ApiKey::InitProducerId,
        ApiKey::TxnOffsetCommit,
        ApiKey::EndTxn,
    ];
    if level < 2 {
        calls.extend([ApiKey::AddPartitionsToTxn, ApiKey::AddOffsetsToTxn]);
    }
    calls
}

async fn cluster(level: i16) -> (Cluster, Client) {
    let cluster = Cluster::builder()
        .nodes(2)
        .topic("t", 3)
        .transaction_version(level)
        .start()
        .await
        .unwrap();
    let client = Client::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .retry_backoff(Duration::from_millis(5))
        .retry_backoff_max(Duration::from_millis(20))
        .reconnect_backoff(Duration::from_millis(5))
        .reconnect_backoff_max(Duration::from_millis(20))
        .connect()
        .await
        .unwrap();
    (cluster, client)
}

fn producer(client: &Client) -> TransactionalProducer {
    client.producer().transactional_id("p").build().unwrap()
}

async fn begin(producer: &TransactionalProducer) -> Transaction {
    timeout(SOON, producer.begin()).await.unwrap().unwrap()
}

/// A transaction with these values, to the partitions of `t` in turn.
async fn sent(producer: &TransactionalProducer, values: &[&str]) -> Transaction {
    let transaction = begin(producer).await;
    for (partition, value) in (0..).zip(values) {
        let record = Record::to("t").partition(partition % 3).value(*value);
        drop(transaction.enqueue(record).await.unwrap());
    }
    transaction
}

async fn commit(transaction: Transaction) -> ottla::Result<()> {
    timeout(SOON, transaction.commit()).await.unwrap()
}

/// All of it: records, offsets, and the commit.
async fn whole(producer: &TransactionalProducer, value: &str, offset: i64) -> ottla::Result<()> {
    let begun = timeout(SOON, producer.begin()).await.unwrap()?;
    drop(
        begun
            .enqueue(Record::to("t").partition(0).value(value))
            .await?,
    );
    let offsets = [(all_of("t", 1).remove(0), offset)];
    let group = GroupMetadata::new("g");
    timeout(SOON, begun.send_offsets(&group, offsets))
        .await
        .unwrap()?;
    commit(begun).await
}

/// What readers of committed records see once the markers of what was ended are written, sorted.
async fn committed(cluster: &Cluster) -> Vec<String> {
    let is_ending = |state: &str| matches!(state, "PrepareCommit" | "PrepareAbort");
    let all_ended = async {
        while cluster.transactions().iter().any(|t| is_ending(t.state)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, all_ended).await.unwrap();
    let records = (0..3).flat_map(|partition| cluster.committed_log("t", partition));
    let mut values: Vec<_> = records
        .map(|record| String::from_utf8_lossy(&record.value.unwrap()).into_owned())
        .collect();
    values.sort();
    values
}

#[tokio::test]
async fn what_is_committed_is_visible_and_what_is_aborted_or_dropped_never() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        commit(sent(&producer, &["a", "b", "c", "d"]).await)
            .await
            .unwrap();
        let aborted = sent(&producer, &["x", "y"]).await;
        timeout(SOON, aborted.abort()).await.unwrap().unwrap();
        drop(sent(&producer, &["z"]).await);
        // Some of it has arrived when it is aborted.
        let half = sent(&producer, &["v"]).await;
        half.send(Record::to("t").value("w")).await.unwrap();
        timeout(SOON, half.abort()).await.unwrap().unwrap();
        commit(sent(&producer, &["e"]).await).await.unwrap();
        assert_eq!(
            committed(&cluster).await,
            ["a", "b", "c", "d", "e"],
            "level {level}"
        );
        drop(sent(&producer, &["u"]).await);
        producer.close(SOON).await.unwrap();
        assert!(cluster.transactions().iter().all(|t| t.state != "Ongoing"));
    }
}

#[tokio::test]
async fn a_transaction_may_be_shared_by_tasks_and_a_second_one_beside_it_is_refused() {
    let (cluster, client) = cluster(2).await;
    let producer = producer(&client);
    let transaction = std::sync::Arc::new(begin(&producer).await);
    let tasks: Vec<_> = ["a", "b", "c"]
        .map(|value| {
            let transaction = transaction.clone();
            tokio::spawn(async move {
                transaction
                    .send(Record::to("t").value(value))
                    .await
                    .unwrap();
            })
        })
        .into();
    let second = producer.begin().await;
    assert!(matches!(second, Err(Error::TransactionOpen { .. })));
    for task in tasks {
        task.await.unwrap();
    }
    commit(std::sync::Arc::into_inner(transaction).unwrap())
        .await
        .unwrap();
    assert_eq!(committed(&cluster).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_empty_transaction_costs_no_request() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        commit(begin(&producer).await).await.unwrap();
        let before = cluster.requests_seen().len();
        for _ in 0..3 {
            commit(begin(&producer).await).await.unwrap();
            begin(&producer).await.abort().await.unwrap();
        }
        let new = cluster.requests_seen().split_off(before);
        let about = |api| new.iter().filter(|seen| seen.api == api).count();
        assert_eq!(about(ApiKey::EndTxn) + about(ApiKey::InitProducerId), 0);
    }
}

#[tokio::test]
async fn whatever_can_be_asked_again_is_whether_or_not_it_was_done() {
    let codes = [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::CONCURRENT_TRANSACTIONS,
    ];
    for level in PROTOCOLS {
        for api in calls(level) {
            let mut faults: Vec<_> = codes.map(Fault::error).into();
            faults.extend([
                Fault::disconnect(),
                Fault::disconnect_after(),
                Fault::cut_answer(),
            ]);
            let (cluster, client) = cluster(level).await;
            for fault in faults {
                cluster.faults().add(fault.on(api));
            }
            let producer = producer(&client);
            whole(&producer, "a", 1).await.unwrap();
            whole(&producer, "b", 2).await.unwrap();
            assert_eq!(
                committed(&cluster).await,
                ["a", "b"],
                "{api:?} at level {level}"
            );
        }
    }
}

#[tokio::test]
async fn what_loses_a_transaction_leaves_the_producer_to_go_on() {
    let lost = [
        (ApiKey::Produce, ErrorCode::TRANSACTION_ABORTABLE),
        (ApiKey::Produce, ErrorCode::INVALID_PRODUCER_EPOCH),
        (ApiKey::Produce, ErrorCode::INVALID_TXN_STATE),
        (ApiKey::Produce, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        (ApiKey::TxnOffsetCommit, ErrorCode::TRANSACTION_ABORTABLE),
        (ApiKey::TxnOffsetCommit, ErrorCode::ILLEGAL_GENERATION),
        (ApiKey::TxnOffsetCommit, ErrorCode::UNKNOWN_MEMBER_ID),
        (
            ApiKey::TxnOffsetCommit,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ),
        (ApiKey::EndTxn, ErrorCode::TRANSACTION_ABORTABLE),
        (ApiKey::AddPartitionsToTxn, ErrorCode::TRANSACTION_ABORTABLE),
        (
            ApiKey::AddPartitionsToTxn,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ),
        (
            ApiKey::AddOffsetsToTxn,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ),
    ];
    for level in PROTOCOLS {
        for (api, code) in lost {
            let is_spoken = api == ApiKey::Produce || calls(level).contains(&api);
            if !is_spoken {
                continue;
            }
            let (cluster, client) = cluster(level).await;
            let producer = producer(&client);
            whole(&producer, "a", 1).await.unwrap();
            cluster.faults().add(Fault::error(code).on(api));
            let error = whole(&producer, "lost", 2).await.unwrap_err();
            let what = format!("{api:?} {code:?} at level {level}: {error}");
            assert!(matches!(error, Error::NotCommitted { .. }), "{what}");
            assert!(!error.is_fatal() && !error.possibly_written(), "{what}");
            whole(&producer, "b", 3).await.expect(&what);
            assert_eq!(committed(&cluster).await, ["a", "b"], "{what}");
        }
    }
}

#[tokio::test]
async fn what_ends_a_producer_is_told_by_every_later_call() {
    let ends = [
        ErrorCode::PRODUCER_FENCED,
        ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ];
    for level in PROTOCOLS {
        for api in calls(level) {
            for code in ends {
                let (cluster, client) = cluster(level).await;
                cluster.faults().add(Fault::error(code).on(api));
                let producer = producer(&client);
                let error = whole(&producer, "a", 1).await.unwrap_err();
                let what = format!("{api:?} {code:?} at level {level}: {error}");
                assert!(error.is_fatal() && !error.possibly_written(), "{what}");
                assert_eq!(
                    error.broker_code().map(|c| c.code()),
                    Some(code.code()),
                    "{what}"
                );
                let again = producer.begin().await.unwrap_err();
                assert!(again.is_fatal(), "{what}: {again}");
                assert!(committed(&cluster).await.is_empty(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn who_begins_with_the_same_id_fences_whoever_had_it() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let first = producer(&client);
        let open = sent(&first, &["x"]).await;
        open.send(Record::to("t").value("y")).await.unwrap();
        let second = producer(&client);
        commit(sent(&second, &["a"]).await).await.unwrap();
        let error = commit(open).await.unwrap_err();
        assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
        let fenced = match timeout(SOON, first.begin()).await.unwrap() {
            Ok(next) => {
                drop(next.enqueue(Record::to("t").value("z")).await);
                commit(next).await.unwrap_err()
            }
            Err(error) => error,
        };
        assert!(fenced.is_fatal(), "level {level}: {fenced}");
        commit(sent(&second, &["b"]).await).await.unwrap();
        assert_eq!(committed(&cluster).await, ["a", "b"], "level {level}");
    }
}

#[tokio::test]
async fn a_commit_whose_future_is_dropped_is_asked_for_until_it_is_answered() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        let transaction = sent(&producer, &["a", "b"]).await;
        for _ in 0..4 {
            cluster
                .faults()
                .add(Fault::disconnect_after().on(ApiKey::EndTxn));
        }
        {
            let mut commit = std::pin::pin!(transaction.commit());
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(commit.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        // Begins only when the fate of the last one is known.
        let next = sent(&producer, &["c"]).await;
        assert_eq!(committed(&cluster).await, ["a", "b"], "level {level}");
        commit(next).await.unwrap();
        assert_eq!(committed(&cluster).await, ["a", "b", "c"], "level {level}");
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_at_any_await_leaves_the_producer_to_go_on() {
    for level in PROTOCOLS {
        for polls in 0..12 {
            let (cluster, client) = cluster(level).await;
            let producer = producer(&client);
            {
                let mut all = std::pin::pin!(whole(&producer, "a", 1));
                let mut left = polls;
                let some = std::future::poll_fn(|cx| {
                    if left == 0 || all.as_mut().poll(cx).is_ready() {
                        return std::task::Poll::Ready(());
                    }
                    left -= 1;
                    std::task::Poll::Pending
                });
                timeout(SOON, some).await.unwrap();
            }
            whole(&producer, "b", 2).await.unwrap();
            let seen = committed(&cluster).await;
            assert!(
                seen == ["b"] || seen == ["a", "b"],
                "{polls} polls: {seen:?}"
            );
            assert!(cluster.transactions().iter().all(|t| t.state != "Ongoing"));
        }
    }
}

#[tokio::test]
async fn coordinators_that_move_are_followed() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        for round in 0..4 {
            let transaction = sent(&producer, &["a"]).await;
            let now = cluster.transaction_coordinator("p").unwrap();
            cluster.move_transaction_coordinator("p", 3 - now).unwrap();
            commit(transaction).await.unwrap();
            assert_eq!(committed(&cluster).await.len(), round + 1, "level {level}");
        }
    }
}

#[tokio::test]
async fn offsets_are_committed_with_the_records_and_not_by_a_consumer_that_commits_by_itself() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        let consumer = |auto| {
            let consumer = client
                .consumer("g")
                .auto_commit(auto)
                .assign(all_of("t", 1));
            async move { consumer.build().await.unwrap() }
        };
        let own = consumer(true).await.handle().group_metadata();
        let error = own.unwrap_err().to_string();
        assert!(error.contains("enable.auto.commit"), "{error}");
        let reader = consumer(false).await;
        let group = reader.handle().group_metadata().unwrap();
        let at = |offset: i64| [(all_of("t", 1).remove(0), offset)];
        let aborted = sent(&producer, &["x"]).await;
        aborted.send_offsets(&group, at(7)).await.unwrap();
        aborted.abort().await.unwrap();
        let kept = sent(&producer, &["a"]).await;
        kept.send_offsets(&group, at(3)).await.unwrap();
        commit(kept).await.unwrap();
        assert_eq!(committed(&cluster).await, ["a"]);
        let found = reader.handle().committed(all_of("t", 1)).await.unwrap();
        assert_eq!(
            found[0].as_ref().map(|o| o.offset),
            Some(3),
            "level {level}"
        );
        let negative = begin(&producer).await.send_offsets(&group, at(-1)).await;
        assert!(matches!(negative, Err(Error::Config { .. })));
    }
}

#[tokio::test]
async fn settings_that_contradict_transactions_are_refused_by_name() {
    let (_cluster, client) = cluster(2).await;
    let builder = || client.producer().transactional_id("p");
    for (name, built) in [
        ("acks", builder().acks(Acks::Leader).build().err()),
        (
            "enable.idempotence",
            builder().idempotence(false).build().err(),
        ),
        (
            "transactional.id",
            client.producer().transactional_id("").build().err(),
        ),
        (
            "transactional.id",
            client.producer().transactional().build().err(),
        ),
    ] {
        let error = built.expect(name);
        assert!(
            matches!(&error, Error::Config { setting, .. } if &**setting == name),
            "{error}"
        );
    }
    let named = client.producer().set("transactional.id", "p").unwrap();
    let error = named.clone().build().expect_err("without transactions");
    assert!(
        error.to_string().contains("transactional_id(id)"),
        "{error}"
    );
    let producer = named
        .transactional()
        .transaction_timeout(Duration::from_secs(3600));
    let error = producer.build().unwrap().begin().await.unwrap_err();
    assert!(
        error.to_string().contains("transaction.max.timeout.ms"),
        "{error}"
    );
}
