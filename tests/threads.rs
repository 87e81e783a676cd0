//! The thread of groups' members, seen from outside: alone in its process, so that nobody else has members here.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ottla::{Client, Consumer, Error};
use ottla_broker::Cluster;
use tokio::runtime::{Builder, Runtime};

const SOON: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// How many threads of members this process has.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "ottla-groups").count()
}

fn until_there_are(count: usize) {
    let began = Instant::now();
    while threads() != count {
        assert!(began.elapsed() < SOON, "{} threads", threads());
        sleep(Duration::from_millis(5));
    }
}

async fn member(servers: &str) -> Consumer {
    let client = Client::connect(servers).await.unwrap();
    let mut consumer = client.consumer("g").subscribe(["t"]).build().await.unwrap();
    // Nothing is there to be read: until it is asked for, at least.
    let _ = tokio::time::timeout(Duration::from_millis(50), consumer.recv()).await;
    consumer
}

#[test]
fn all_members_of_a_process_share_one_thread_which_ends_with_the_last_of_them() {
    let brokers = runtime();
    let cluster = brokers
        .block_on(Cluster::builder().topic("t", 1).start())
        .unwrap();
    let servers = cluster.bootstrap_servers();
    assert_eq!(threads(), 0);
    // Closed; dropped; with its runtime; after it.
    let application = runtime();
    let (one, other) =
        application.block_on(async { (member(servers).await, member(servers).await) });
    until_there_are(1);
    application.block_on(one.close(SOON)).unwrap();
    assert_eq!(threads(), 1, "there is one more");
    drop(other);
    until_there_are(0);
    let third = application.block_on(member(servers));
    until_there_are(1);
    application.spawn(async move {
        let _third = third;
        std::future::pending::<()>().await;
    });
    drop(application);
    until_there_are(0);
    let application = runtime();
    let orphan = application.block_on(member(servers));
    drop(application);
    let error = brokers.block_on(orphan.close(SOON)).unwrap_err();
    assert!(matches!(error, Error::RuntimeEnded { .. }), "{error}");
    until_there_are(0);
}
