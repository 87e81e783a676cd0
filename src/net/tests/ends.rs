//! How connections end, and what the requests on them are told.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answers::{Echo, Inbox, LIMIT, connected, submit};
use super::server::answer;
use crate::error::Error;
use crate::wire::ApiKey;

#[tokio::test(start_paused = true)]
async fn a_swallowed_request_times_out_and_voids_the_later_ones() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    let start = Instant::now();
    submit(&connection, &inbox, 1);
    tokio::time::sleep(LIMIT / 3).await;
    submit(&connection, &inbox, 2);
    let (number, error, sent) = inbox.failure().await;
    assert!(
        matches!(
            error,
            Error::RequestTimeout {
                request: "Metadata",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!((number, sent), (1, true));
    let (number, error, sent) = inbox.failure().await;
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert_eq!((number, sent), (2, true));
    assert!(start.elapsed() >= LIMIT && start.elapsed() < LIMIT + Duration::from_millis(10));
    peer.request().await.unwrap();
    peer.request().await.unwrap();
    peer.request().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn each_request_has_its_own_time() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    for number in 0..10 {
        submit(&connection, &inbox, number);
        tokio::time::sleep(LIMIT * 9 / 10).await;
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"late").await;
        assert_eq!(inbox.next().await.1.unwrap(), "late");
    }
    // A shorter limit than the one before it is kept too.
    let limit = Duration::from_millis(100);
    let start = Instant::now();
    connection.submit(ApiKey::Metadata, 12, vec![], limit, inbox.expect(10));
    assert!(matches!(
        inbox.failure().await.1,
        Error::RequestTimeout { .. }
    ));
    assert!(start.elapsed() < 2 * limit);
}

#[tokio::test(start_paused = true)]
async fn a_cut_in_the_middle_of_a_request_says_which_were_sent() {
    let (connection, mut peer, _listener) = connected(100).await;
    let mut inbox = Inbox::new();
    let body = || vec![Bytes::from_static(&[7; 70])];
    for number in 1..=3 {
        connection.submit(ApiKey::Metadata, 12, body(), LIMIT, inbox.expect(number));
    }
    // The stream holds 100 bytes: request 1 and the beginning of 2, nothing of 3.
    peer.read(10).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(peer);
    for (expected, was_sent) in [(1, true), (2, true), (3, false)] {
        let (number, error, sent) = inbox.failure().await;
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        assert_eq!((number, sent), (expected, was_sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_closed_connection_was_never_sent() {
    let (connection, peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    drop(peer);
    connection.closed().await;
    submit(&connection, &inbox, 1);
    let (_, error, sent) = inbox.failure().await;
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(!sent);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_ends_an_unanswered_request_in_time() {
    let (connection, _peer, _listener) = connected(16).await;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let body = vec![Bytes::from_static(&[0; 100])];
    let on_written = Box::new(|written| sender.send(written).unwrap());
    connection.submit_unanswered(ApiKey::Produce, 9, body, on_written);
    let failed = receiver.await.unwrap().unwrap_err();
    assert!(failed.sent);
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_told_to_whom_it_is_for() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    submit(&connection, &inbox, 1);
    submit(&connection, &inbox, 2);
    peer.raw(&i32::MAX.to_be_bytes()).await;
    for _ in 0..2 {
        let (number, error, sent) = inbox.failure().await;
        assert!(sent);
        match (number, &error) {
            (1, Error::AnswerTooLarge { size, .. }) => assert_eq!(*size, i32::MAX as usize),
            (2, Error::Disconnected { .. }) => {}
            _ => panic!("{number}: {error}"),
        }
    }
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_not_answers_close_the_connection() {
    let (mut wrong_id, mut short) = (vec![0, 0, 0, 5], vec![0, 0, 0, 4]);
    wrong_id.extend([0, 0, 0, 77, 0]);
    short.extend([0, 0, 0, 2]);
    let cases: [(&str, Vec<u8>); 5] = [
        ("claims -1 bytes", (-1i32).to_be_bytes().to_vec()),
        ("claims -2147483648 bytes", i32::MIN.to_be_bytes().to_vec()),
        ("claims 3 bytes", 3i32.to_be_bytes().to_vec()),
        ("correlation id 77 where", wrong_id),
        ("Metadata answer", short),
    ];
    for (reason, bytes) in cases {
        let (connection, mut peer, _listener) = connected(1 << 20).await;
        let mut inbox = Inbox::new();
        submit(&connection, &inbox, 1);
        submit(&connection, &inbox, 2);
        peer.raw(&bytes).await;
        let mut failed = Vec::new();
        for _ in 0..2 {
            let (number, error, sent) = inbox.failure().await;
            assert!(matches!(error, Error::Protocol { .. }), "{reason}: {error}");
            assert!(error.to_string().contains(reason), "{reason}: {error}");
            assert!(sent);
            failed.push(number);
        }
        failed.sort_unstable();
        assert_eq!(failed, [1, 2]);
        connection.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asked_for_closes_the_connection() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    peer.raw(&[0, 0, 0, 5, 0, 0, 0, 1, 0]).await;
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_short_loses_the_connection() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    submit(&connection, &inbox, 1);
    let request = peer.request().await.unwrap();
    let bytes = answer(&request, b"never whole");
    peer.raw(&bytes[..bytes.len() - 1]).await;
    drop(peer);
    let (_, error, sent) = inbox.failure().await;
    assert!(
        error.to_string().contains("in the middle of an answer"),
        "{error}"
    );
    assert!(sent);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_itself_and_a_used_one_does_not() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    let start = Instant::now();
    for number in 0..3 {
        tokio::time::sleep(Duration::from_secs(500)).await;
        submit(&connection, &inbox, number);
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"").await;
        inbox.next().await.1.unwrap();
    }
    connection.closed().await;
    let idle = start.elapsed().as_secs() - 1500;
    assert!((540..542).contains(&idle), "{idle}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_used_without_answers_is_not_idle() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(500)).await;
        connection.submit_unanswered(ApiKey::Produce, 9, vec![], Box::new(|w| w.unwrap()));
        peer.request().await.unwrap();
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_an_answer_outstanding_is_not_idle() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    let long = Duration::from_secs(2000);
    connection.submit(ApiKey::Metadata, 12, vec![], long, inbox.expect(1));
    let request = peer.request().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1900)).await;
    peer.answer(&request, b"").await;
    inbox.next().await.1.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_and_dropping_answer_what_waits() {
    let (connection, _peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    submit(&connection, &inbox, 1);
    connection.close("the test says so");
    let (_, error, sent) = inbox.failure().await;
    assert!(
        error.to_string().contains("the test says so") && sent,
        "{error}"
    );

    let (connection, mut peer, _listener) = connected(1 << 20).await;
    submit(&connection, &inbox, 2);
    assert!(inbox.is_empty());
    drop(connection);
    assert_eq!(inbox.failure().await.0, 2);
    peer.request().await.unwrap();
    peer.request().await.unwrap_err();
}

#[test]
fn a_runtime_shut_down_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (connection, mut inbox, _peer) = runtime.block_on(async {
        let (connection, peer, _listener) = connected(1 << 20).await;
        let inbox = Inbox::new();
        submit(&connection, &inbox, 1);
        (connection, inbox, peer)
    });
    drop(runtime);
    submit(&connection, &inbox, 2);
    let other = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for number in [1, 2] {
        let (got, error, sent) = other.block_on(inbox.failure());
        assert!(error.to_string().contains("runtime"), "{error}");
        assert_eq!((got, sent), (number, number == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_requests_have_so_much_more_time() {
    let (connection, _peer, _listener) = connected(1 << 16).await;
    let began = Instant::now();
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call(&Echo(b"wait"), LIMIT).await }
    });
    tokio::task::yield_now().await;
    connection.extend(Duration::from_secs(100));
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::RequestTimeout { .. }), "{error}");
    assert_eq!(
        began.elapsed().as_secs(),
        (LIMIT + Duration::from_secs(100)).as_secs()
    );
}
