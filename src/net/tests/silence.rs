//! A stream that is dead without a sign, and one whose broker is merely stopped.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answers::{Echo, LIMIT, connected};
use super::server::{RANGES, api_versions};
use crate::error::Error;

const PAUSE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_forgotten_on_the_way_costs_five_seconds() {
    let (connection, _forgotten, mut listener) = connected(1 << 20).await;
    sleep(PAUSE).await;
    let start = Instant::now();
    let (outcome, _second) = tokio::join!(connection.call(&Echo(b""), LIMIT), listener.accept());
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(error.is_retriable());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_merely_stopped_keeps_its_connection() {
    let (connection, mut peer, mut listener) = connected(1 << 20).await;
    sleep(PAUSE).await;
    let stopped = async {
        let request = peer.request().await.unwrap();
        // The kernel accepts for it.
        let mut second = listener.accept_raw().await;
        let asked = second.request().await.unwrap();
        sleep(Duration::from_secs(20)).await;
        // It goes on, with the newer stream first.
        let versions = api_versions(asked.version, 0, RANGES);
        second.answer(&asked, &versions).await;
        sleep(Duration::from_millis(300)).await;
        peer.answer(&request, b"pong").await;
    };
    let (outcome, ()) = tokio::join!(connection.call(&Echo(b""), LIMIT), stopped);
    assert_eq!(outcome.unwrap(), "pong");
    sleep(Duration::from_secs(10)).await;
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_on_a_stream_in_use_is_waited_for() {
    let (connection, mut peer, mut listener) = connected(1 << 20).await;
    let slow = async {
        for _ in 0..3 {
            let request = peer.request().await.unwrap();
            sleep(Duration::from_secs(20)).await;
            peer.answer(&request, b"slow").await;
        }
    };
    let calls = async {
        for _ in 0..3 {
            assert_eq!(connection.call(&Echo(b""), LIMIT).await.unwrap(), "slow");
        }
    };
    tokio::select! {
        _ = async { tokio::join!(slow, calls) } => {}
        _ = listener.accept_raw() => panic!("a second stream"),
    }
}
