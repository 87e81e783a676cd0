//! What one end of a transaction leaves to others: to who commits beside it, and to the transactions behind it.

use super::*;

#[tokio::test]
async fn a_producer_that_is_closed_beside_an_open_transaction_has_aborted_it() {
    for level in PROTOCOLS {
        for has_ended in [false, true] {
            let (cluster, client) = cluster(level).await;
            let producer = producer(&client);
            commit(sent(&producer, &["a"]).await).await.unwrap();
            let open = sent(&producer, &["x", "y"]).await;
            open.send(Record::to("t").value("z")).await.unwrap();
            if has_ended {
                producer.close(SOON).await.unwrap();
                let error = commit(open).await.unwrap_err();
                assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
                assert!(!error.possibly_written(), "{error}");
            } else {
                let (closed, committed) = tokio::join!(producer.close(SOON), commit(open));
                closed.unwrap();
                let error = committed.unwrap_err();
                assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
                assert!(!error.possibly_written(), "{error}");
            }
            assert_eq!(committed(&cluster).await, ["a"], "level {level}");
            assert!(cluster.transactions().iter().all(|t| t.state != "Ongoing"));
        }
    }
}

#[tokio::test]
async fn an_abort_in_some_partitions_says_nothing_of_later_transactions_in_others() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        let to = async |partition: i32, value: &'static str| {
            let transaction = begin(&producer).await;
            let record = Record::to("t").partition(partition).value(value);
            drop(transaction.enqueue(record).await.unwrap());
            transaction
        };
        commit(to(0, "a").await).await.unwrap();
        timeout(SOON, to(1, "x").await.abort())
            .await
            .unwrap()
            .unwrap();
        let again = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS);
        cluster.faults().add(again.on(ApiKey::Produce));
        commit(to(0, "b").await).await.unwrap();
        assert_eq!(committed(&cluster).await, ["a", "b"], "level {level}");
    }
}

#[tokio::test]
async fn an_abort_with_a_refused_batch_on_its_way_leaves_its_partition_to_the_next_transaction() {
    for level in PROTOCOLS {
        for fault in [
            Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS),
            Fault::disconnect(),
        ] {
            let (cluster, client) = cluster(level).await;
            let producer = producer(&client);
            commit(sent(&producer, &["a"]).await).await.unwrap();
            let slow = Fault::delay(Duration::from_millis(50)).on(ApiKey::Produce);
            cluster.faults().add(slow);
            cluster.faults().add(fault.on(ApiKey::Produce));
            let seen = |cluster: &Cluster| {
                let seen = cluster.requests_seen();
                seen.iter().filter(|r| r.api == ApiKey::Produce).count()
            };
            let before = seen(&cluster);
            let aborted = sent(&producer, &["x"]).await;
            let written = async {
                while seen(&cluster) == before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(SOON, written).await.unwrap();
            timeout(SOON, aborted.abort()).await.unwrap().unwrap();
            commit(sent(&producer, &["b"]).await).await.unwrap();
            assert_eq!(committed(&cluster).await, ["a", "b"], "level {level}");
        }
    }
}

#[tokio::test]
async fn offsets_of_a_generation_that_is_over_fail_their_transaction_alone() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        commit(sent(&producer, &["a"]).await).await.unwrap();
        let builder = client.consumer("g").auto_commit(false).subscribe(["t"]);
        let mut member = builder.build().await.unwrap();
        let joined = async {
            while member.assignment().is_empty() {
                let _ = timeout(Duration::from_millis(10), member.recv()).await;
            }
        };
        timeout(SOON, joined).await.unwrap();
        let stale = member.handle().group_metadata().unwrap();
        member.close(SOON).await.unwrap();
        for round in 0..2 {
            let without_records = begin(&producer).await;
            let offsets = [(all_of("t", 1).remove(0), 1)];
            let refused = timeout(SOON, without_records.send_offsets(&stale, offsets));
            let error = refused.await.unwrap().unwrap_err();
            assert!(matches!(error, Error::NotCommitted { .. }), "{error}");
            assert!(!error.is_fatal(), "level {level}: {error}");
            if round == 0 {
                commit(without_records).await.unwrap_err();
            } else {
                drop(without_records);
            }
        }
        whole(&producer, "b", 3).await.unwrap();
        assert_eq!(committed(&cluster).await, ["a", "b"], "level {level}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_waits_for_its_own_records_however_soon_it_follows_another() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let builder = client.producer().transactional_id("p");
        // Nothing is sent before somebody asks for it.
        let producer = builder.linger(SOON).build().unwrap();
        let mut expected = Vec::new();
        for n in 0..200 {
            let value = format!("{n:03}");
            commit(sent(&producer, &[value.as_str()]).await)
                .await
                .unwrap();
            expected.push(value);
        }
        assert_eq!(committed(&cluster).await, expected, "level {level}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_fails_when_one_of_its_records_has_however_late_that_is_known() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let builder = client.producer().transactional_id("p");
        let producer = builder.linger(SOON).build().unwrap();
        for n in 0..50 {
            // The last one's records are all told of when this one begins, and its own are not sent yet.
            let transaction = sent(&producer, &["x", "y", "z"]).await;
            let refused = Fault::error(ErrorCode::INVALID_TXN_STATE).on(ApiKey::Produce);
            cluster.faults().add(refused.topic("t").partition(n % 3));
            let outcome = commit(transaction).await;
            let what = format!("level {level}, transaction {n}: {outcome:?}");
            let error = outcome.expect_err(&what);
            assert!(matches!(error, Error::NotCommitted { .. }), "{what}");
            assert!(!error.possibly_written(), "{what}");
        }
        let nothing: [&str; 0] = [];
        assert_eq!(committed(&cluster).await, nothing, "level {level}");
    }
}

#[tokio::test]
async fn a_producer_that_a_partition_fences_is_told_so_by_later_calls() {
    for level in PROTOCOLS {
        let (cluster, client) = cluster(level).await;
        let producer = producer(&client);
        let fenced = Fault::error(ErrorCode::PRODUCER_FENCED).on(ApiKey::Produce);
        cluster.faults().add(fenced);
        let error = whole(&producer, "a", 1).await.unwrap_err();
        assert!(!error.possibly_written(), "level {level}: {error}");
        let again = timeout(SOON, producer.begin()).await.unwrap();
        let again = again.unwrap_err();
        assert!(matches!(again, Error::Fenced { .. }), "{again:?}");
    }
}
