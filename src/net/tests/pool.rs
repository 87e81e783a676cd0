//! The pool: one connection for each address and purpose, shared attempts, backoff.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::server::{Memory, address, settings};
use crate::error::Error;
use crate::net::{Pool, Purpose, next_role};
use crate::types::Address;

fn pool(memory: &Arc<Memory>) -> Arc<Pool> {
    Pool::new(Arc::new(settings(&[&address("one")])), memory.clone())
}

/// Accepts for ever, and keeps what it accepted.
fn serve(memory: &Memory, name: &str) -> tokio::task::JoinHandle<()> {
    let mut listener = memory.listen(&address(name));
    tokio::spawn(async move {
        let mut peers = Vec::new();
        loop {
            peers.push(listener.accept().await);
        }
    })
}

#[tokio::test(start_paused = true)]
async fn callers_at_the_same_time_share_one_connection_of_each_purpose() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let _server = serve(&memory, "one");
    let (a, b, c) = tokio::join!(
        pool.connection(&at, Purpose::Control),
        pool.connection(&at, Purpose::Control),
        pool.connection(&at, Purpose::Produce(next_role())),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(memory.dials(&at), 2);
    pool.connection(&at, Purpose::Control).await.unwrap();
    assert_eq!(memory.dials(&at), 2);
}

#[tokio::test(start_paused = true)]
async fn every_role_has_connections_of_its_own_which_end_with_it() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let _server = serve(&memory, "one");
    let (bulk, quick) = (next_role(), next_role());
    let open = |role| pool.connection(&at, Purpose::Produce(role));
    let (first, second) = (open(bulk).await.unwrap(), open(quick).await.unwrap());
    assert_eq!(memory.dials(&at), 2);
    pool.close_role(bulk);
    assert!(first.is_closed() && !second.is_closed());
    open(quick).await.unwrap();
    assert_eq!(memory.dials(&at), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_at_the_same_time_share_one_failure() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    memory.swallow(&at);
    let start = Instant::now();
    let ask = || pool.connection(&at, Purpose::Control);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    for failed in [a, b, c] {
        assert!(matches!(failed.err().unwrap(), Error::Connect { .. }));
    }
    assert_eq!(memory.dials(&at), 1);
    assert!(start.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_leaves_the_place_to_the_next_caller() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    memory.swallow(&at);
    let ask = || pool.connection(&at, Purpose::Control);
    assert!(timeout(Duration::from_secs(1), ask()).await.is_err());
    let _server = serve(&memory, "one");
    timeout(Duration::from_secs(1), ask())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_longer_and_longer_up_to_the_limit() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let mut waits = Vec::new();
    let role = next_role();
    for i in 0..12 {
        let purpose = [Purpose::Control, Purpose::Produce(role)][i % 2];
        let start = Instant::now();
        assert!(pool.connection(&at, purpose).await.is_err());
        waits.push(start.elapsed().as_millis());
    }
    assert_eq!(waits[0], 0);
    assert!((40..=61).contains(&waits[1]), "{waits:?}");
    assert!((160..=241).contains(&waits[3]), "{waits:?}");
    assert!((800..=1201).contains(&waits[11]), "{waits:?}");
    let server = serve(&memory, "one");
    let connection = pool.connection(&at, Purpose::Control).await.unwrap();
    // After a success it begins anew.
    server.abort();
    connection.closed().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(pool.connection(&at, Purpose::Control).await.is_err());
    let start = Instant::now();
    assert!(pool.connection(&at, Purpose::Produce(role)).await.is_err());
    assert!(
        start.elapsed() <= Duration::from_millis(61),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_or_idle_connection_is_opened_again() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let _server = serve(&memory, "one");
    let first = pool.connection(&at, Purpose::Control).await.unwrap();
    assert!(pool.live(&at, Purpose::Control).is_some());
    first.closed().await;
    assert!(pool.live(&at, Purpose::Control).is_none());
    let start = Instant::now();
    let second = pool.connection(&at, Purpose::Control).await.unwrap();
    assert!(!second.is_closed() && start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_at_once_is_not_called_in_a_tight_loop() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let mut listener = memory.listen(&at);
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let start = Instant::now();
    for _ in 0..11 {
        let connection = pool.connection(&at, Purpose::Control).await.unwrap();
        connection.closed().await;
    }
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn closing_the_pool_ends_every_connection_and_every_wait() {
    let memory = Memory::new();
    let (at, pool) = (address("one"), pool(&memory));
    let _server = serve(&memory, "one");
    memory.swallow(&address("two"));
    let open = pool.connection(&at, Purpose::Control).await.unwrap();
    let waiting = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.connection(&address("two"), Purpose::Control).await })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    pool.close_all(Error::Closed { what: "the client" });
    assert!(open.is_closed());
    assert!(matches!(
        waiting.await.unwrap().err().unwrap(),
        Error::Closed { .. }
    ));
    assert!(matches!(
        pool.connection(&at, Purpose::Control).await.err().unwrap(),
        Error::Closed { .. }
    ));
    assert!(start.elapsed().is_zero());
}

/// A host that stands for these addresses.
fn named(memory: &Memory, addresses: [&str; 2]) -> Address {
    let sockets = addresses.map(|ip| SocketAddr::new(ip.parse().unwrap(), 9092));
    memory.name("kafka", &sockets);
    address("kafka")
}

/// Accepts for ever and never answers.
fn freeze(memory: &Memory, name: &str) -> tokio::task::JoinHandle<()> {
    let mut listener = memory.listen(&address(name));
    tokio::spawn(async move {
        let mut peers = Vec::new();
        loop {
            peers.push(listener.accept_raw().await);
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_address_that_accepts_and_never_answers_gives_way_to_the_next() {
    let memory = Memory::new();
    let (at, pool) = (named(&memory, ["10.0.0.1", "10.0.0.2"]), pool(&memory));
    let _frozen = freeze(&memory, "10.0.0.1");
    let server = serve(&memory, "10.0.0.2");
    // Whoever asks has less patience than the attempt: the next one begins elsewhere.
    let ask = || pool.connection(&at, Purpose::Control);
    assert!(timeout(Duration::from_secs(2), ask()).await.is_err());
    let start = Instant::now();
    let connection = ask().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
    // The one that answered is begun with from now on, by all.
    let other = Purpose::Produce(next_role());
    pool.connection(&at, other).await.unwrap();
    assert_eq!(memory.dials(&address("10.0.0.1")), 1);
    // And until it is silent too.
    server.abort();
    connection.closed().await;
    let _frozen = freeze(&memory, "10.0.0.2");
    let _moved = serve(&memory, "10.0.0.1");
    let start = Instant::now();
    ask().await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(11),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn one_attempt_tries_each_address_that_is_silent_for_ten_seconds_at_most() {
    let memory = Memory::new();
    let (at, pool) = (named(&memory, ["10.0.0.1", "10.0.0.2"]), pool(&memory));
    let _frozen = freeze(&memory, "10.0.0.1");
    let _server = serve(&memory, "10.0.0.2");
    let start = Instant::now();
    pool.connection(&at, Purpose::Control).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(11),
        "{:?}",
        start.elapsed()
    );
}
