//! Requests meet their own answers, however the bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::server::{Listener, Memory, Peer, address, answer, dial, settings};
use crate::error::Error;
use crate::net::requests::OnAnswer;
use crate::net::{Connection, RequestError};
use crate::wire::{ApiKey, Call, Malformed};

pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A call whose answer is whatever bytes came, which must be four.
pub(super) struct Echo(pub(super) &'static [u8]);

impl Call for Echo {
    type Response = Bytes;
    const KEY: ApiKey = ApiKey::Metadata;

    fn throttle(_: &Bytes) -> Duration {
        Duration::ZERO
    }

    fn encode(&self, _: i16, out: &mut BytesMut) {
        out.extend_from_slice(self.0);
    }

    fn decode(_: i16, body: Bytes) -> Result<Bytes, Malformed> {
        match body.len() {
            4 => Ok(body),
            _ => Err(Malformed::new("trailing bytes")),
        }
    }
}

/// A connection with its server's end.
pub(super) async fn connected(capacity: usize) -> (Connection, Peer, Listener) {
    let memory = Memory::new();
    let at = address("one");
    let mut listener = memory.listen_with(&at, capacity);
    let settings = Arc::new(settings(&[&at]));
    let (connection, peer) = tokio::join!(dial(memory, &at, settings), listener.accept());
    (connection.unwrap(), peer, listener)
}

pub(super) type Outcome = Result<Bytes, RequestError>;

/// Collects the answers to numbered requests.
pub(super) struct Inbox {
    sender: mpsc::UnboundedSender<(u32, Outcome)>,
    receiver: mpsc::UnboundedReceiver<(u32, Outcome)>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver }
    }

    pub(super) fn expect(&self, number: u32) -> OnAnswer {
        let sender = self.sender.clone();
        Box::new(move |outcome| sender.send((number, outcome)).unwrap())
    }

    pub(super) async fn next(&mut self) -> (u32, Outcome) {
        self.receiver.recv().await.unwrap()
    }

    /// The next one, which must have failed: its number, error, and whether it was sent.
    pub(super) async fn failure(&mut self) -> (u32, Error, bool) {
        let (number, outcome) = self.next().await;
        let failed = outcome.unwrap_err();
        (number, failed.error, failed.sent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

pub(super) fn submit(connection: &Connection, inbox: &Inbox, number: u32) {
    let body = vec![Bytes::copy_from_slice(&number.to_be_bytes())];
    connection.submit(ApiKey::Metadata, 12, body, LIMIT, inbox.expect(number));
}

#[tokio::test(start_paused = true)]
async fn a_call_gets_its_answer_in_the_highest_common_version() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let (got, request) = tokio::join!(connection.call(&Echo(b"ask"), LIMIT), async {
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"told").await;
        request
    });
    assert_eq!(got.unwrap(), "told");
    assert_eq!((request.version, request.body), (13, Bytes::from("ask")));
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn pieces_arrive_in_order_and_whole() {
    for capacity in [1, 7, 64, 1 << 20] {
        let (connection, mut peer, _listener) = connected(capacity).await;
        let inbox = Inbox::new();
        let mut expected = Vec::new();
        for number in 0..20 {
            let pieces: Vec<Bytes> = (0..100)
                .map(|i| Bytes::from(vec![i as u8; (i + number) % 5]))
                .collect();
            expected.push(pieces.concat());
            connection.submit(ApiKey::Metadata, 12, pieces, LIMIT, inbox.expect(0));
        }
        for body in expected {
            assert_eq!(
                peer.request().await.unwrap().body,
                body,
                "capacity {capacity}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_reassembled_byte_by_byte() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    for number in 0..3 {
        submit(&connection, &inbox, number);
        let request = peer.request().await.unwrap();
        for byte in answer(&request, b"slow") {
            peer.raw(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let (got, outcome) = inbox.next().await;
        assert_eq!((got, outcome.unwrap()), (number, Bytes::from("slow")));
    }
}

#[tokio::test(start_paused = true)]
async fn many_answers_in_one_read_reach_their_own_requests() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    let mut all = Vec::new();
    for number in 0..1000 {
        submit(&connection, &inbox, number);
        let request = peer.request().await.unwrap();
        all.extend(answer(&request, &request.body));
    }
    assert_eq!(connection.in_flight(), 1000);
    peer.raw(&all).await;
    for number in 0..1000u32 {
        let (got, outcome) = inbox.next().await;
        assert_eq!(
            (got, outcome.unwrap()),
            (number, Bytes::copy_from_slice(&number.to_be_bytes()))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_arrives_whole() {
    let (connection, mut peer, _listener) = connected(1 << 16).await;
    let mut inbox = Inbox::new();
    let body: Vec<u8> = (0..9_000_000u32).map(|i| i as u8).collect();
    submit(&connection, &inbox, 1);
    let request = peer.request().await.unwrap();
    peer.answer(&request, &body).await;
    assert!(inbox.next().await.1.unwrap() == body);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_does_not_disturb_the_next() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let cancelled = tokio::time::timeout(LIMIT / 2, connection.call(&Echo(b"gone"), LIMIT)).await;
    assert!(cancelled.is_err());
    let (got, ()) = tokio::join!(connection.call(&Echo(b"next"), LIMIT), async {
        for body in [b"gone", b"next"] {
            let request = peer.request().await.unwrap();
            assert_eq!(&request.body[..], body);
            peer.answer(&request, body).await;
        }
    });
    assert_eq!(got.unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn a_call_cancelled_half_written_is_written_whole() {
    let (connection, mut peer, _listener) = connected(16).await;
    let call = connection.call(&Echo(b"a body that does not fit"), LIMIT);
    assert!(tokio::time::timeout(LIMIT / 2, call).await.is_err());
    let request = peer.request().await.unwrap();
    assert_eq!(request.body, &b"a body that does not fit"[..]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_trailing_bytes_closes_the_connection() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let (got, ()) = tokio::join!(connection.call(&Echo(b"ask"), LIMIT), async {
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"told and more").await;
    });
    assert!(matches!(got, Err(Error::Protocol { .. })), "{got:?}");
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_reported_when_written() {
    let (connection, mut peer, _listener) = connected(16).await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let on_written = Box::new(move |written: Result<(), RequestError>| {
        sender.send(written.is_ok()).unwrap();
    });
    let body = vec![Bytes::from_static(b"more than sixteen bytes of it")];
    connection.submit_unanswered(ApiKey::Produce, 9, body, on_written);
    tokio::time::sleep(LIMIT / 2).await;
    assert!(receiver.is_empty(), "not before its last byte");
    let request = peer.request().await.unwrap();
    assert!(receiver.recv().await.unwrap());
    assert_eq!(request.body, &b"more than sixteen bytes of it"[..]);
    // Nothing is awaited for it: the next answer belongs to the next request.
    let (got, ()) = tokio::join!(connection.call(&Echo(b"next"), LIMIT), async {
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"next").await;
    });
    assert_eq!(got.unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn a_callback_may_submit_again_and_may_panic() {
    let (connection, mut peer, _listener) = connected(1 << 20).await;
    let mut inbox = Inbox::new();
    let (again, then) = (connection.clone(), inbox.expect(2));
    let chained = Box::new(move |_: Outcome| {
        again.submit(ApiKey::Metadata, 12, vec![], LIMIT, then);
        panic!("in a callback, on purpose");
    });
    connection.submit(ApiKey::Metadata, 12, vec![], LIMIT, chained);
    for _ in 0..2 {
        let request = peer.request().await.unwrap();
        peer.answer(&request, b"").await;
    }
    let (number, outcome) = inbox.next().await;
    assert_eq!((number, outcome.unwrap().len()), (2, 0));
    assert!(!connection.is_closed());
}
