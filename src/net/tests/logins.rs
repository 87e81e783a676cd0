//! Logins on a connection, and those that are made again while it is used (KIP-368).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::time::{Instant, sleep};

use super::answers::{Echo, LIMIT};
use super::server::{
    Listener, Memory, Peer, RANGES, Request, address, api_versions, dial, settings,
};
use crate::error::Error;
use crate::net::{Connection, RequestError};
use crate::sasl::{Exchange, Mechanism, MechanismError, Step, Stepping};
use crate::wire::ApiKey;

const SESSION: Duration = Duration::from_secs(100);

/// Says who it is in one message, of which it has so many before it lacks them.
#[derive(Debug, Default)]
struct Named {
    made: AtomicUsize,
    most: Option<usize>,
}

struct Naming {
    message: Option<Result<Step, MechanismError>>,
}

impl Mechanism for Named {
    fn name(&self) -> &str {
        "TEST"
    }

    fn start(&self, _: &str, _: u16) -> Box<dyn Exchange> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let message = match self.most {
            Some(most) if made >= most => Err(MechanismError::unavailable("no token")),
            _ => Ok(Step::Send("alice".into())),
        };
        Box::new(Naming {
            message: Some(message),
        })
    }
}

impl Exchange for Naming {
    fn step<'a>(&'a mut self, _: &'a [u8]) -> Stepping<'a> {
        let next = self.message.take().unwrap_or(Ok(Step::Done));
        Box::pin(std::future::ready(next))
    }
}

/// A connection that was logged in for `SESSION`, with its server's end.
async fn logged_in(mechanism: Named) -> (Connection, Peer, Listener) {
    let (connection, peer, listener) = connected(mechanism, 0).await;
    (connection.unwrap(), peer, listener)
}

/// The outcome of connecting to a server that answers the login with this code, with the server's end.
async fn connected(mechanism: Named, code: i16) -> (Result<Connection, Error>, Peer, Listener) {
    let memory = Memory::new();
    let at = address("one");
    let mut listener = memory.listen(&at);
    let mut settings = settings(&[&at]);
    settings.login = Some(Arc::new(mechanism));
    let accepting = async {
        let mut peer = listener.accept_raw().await;
        let asked = peer.request().await.unwrap();
        let ranges = [RANGES, &[(17, 0, 1), (36, 0, 1)]].concat();
        peer.answer(&asked, &api_versions(asked.version, 0, &ranges))
            .await;
        let asked = handshake(&mut peer).await;
        accept_handshake(&mut peer, &asked).await;
        authenticate(&mut peer, code).await;
        peer
    };
    let (connected, peer) = tokio::join!(dial(memory, &at, Arc::new(settings)), accepting);
    (connected, peer, listener)
}

/// The next request, which begins a login.
async fn handshake(peer: &mut Peer) -> Request {
    let asked = peer.request().await.unwrap();
    assert_eq!(asked.key, ApiKey::SaslHandshake.code());
    asked
}

async fn accept_handshake(peer: &mut Peer, asked: &Request) {
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(1);
    body.put_i16(4);
    body.put_slice(b"TEST");
    peer.answer(asked, &body).await;
}

/// Reads the login's one message and answers it.
async fn authenticate(peer: &mut Peer, code: i16) {
    let asked = peer.request().await.unwrap();
    assert_eq!(asked.key, ApiKey::SaslAuthenticate.code());
    let mut body = BytesMut::new();
    body.put_i16(code);
    body.put_i16(-1);
    body.put_i32(0);
    body.put_i64(SESSION.as_millis() as i64);
    peer.answer(&asked, &body).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_submitted_during_a_login_is_sent_after_it_in_its_order() {
    let (connection, mut peer, _listener) = logged_in(Named::default()).await;
    for _ in 0..3 {
        let start = Instant::now();
        let asked = handshake(&mut peer).await;
        let waited = start.elapsed();
        assert!(
            (SESSION.mul_f64(0.84)..SESSION.mul_f64(0.96)).contains(&waited),
            "{waited:?}"
        );
        let calls = [b"one.", b"two.", b"more"].map(|words| {
            let connection = connection.clone();
            async move { connection.call(&Echo(words), LIMIT).await.unwrap() }
        });
        let [one, two, three] = calls;
        let server = async {
            // Time enough for them to be written, if they were.
            sleep(Duration::from_secs(1)).await;
            accept_handshake(&mut peer, &asked).await;
            authenticate(&mut peer, 0).await;
            for expected in [b"one.", b"two.", b"more"] {
                let request = peer.request().await.unwrap();
                assert_eq!(request.body, expected[..]);
                peer.answer(&request, expected).await;
            }
        };
        let (one, two, three, ()) = tokio::join!(one, two, three, server);
        assert_eq!(
            (&one[..], &two[..], &three[..]),
            (&b"one."[..], &b"two."[..], &b"more"[..])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_kept_back_holds_up_a_login_and_does_not_end_the_connection() {
    let (connection, mut peer, _listener) = logged_in(Named::default()).await;
    let long = SESSION * 3;
    let held = connection.call(&Echo(b"join"), long);
    let server = async {
        let join = peer.request().await.unwrap();
        let login = handshake(&mut peer).await;
        // Longer than a request may take by itself.
        sleep(SESSION + LIMIT * 2).await;
        peer.answer(&join, b"join").await;
        sleep(LIMIT / 2).await;
        accept_handshake(&mut peer, &login).await;
        authenticate(&mut peer, 0).await;
    };
    let (held, ()) = tokio::join!(held, server);
    assert_eq!(held.unwrap(), "join");
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_gives_way_to_another_connection_and_nothing_held_was_sent() {
    let (connection, mut peer, _listener) = logged_in(Named::default()).await;
    let before = connection.call(&Echo(b"before"), SESSION * 2);
    let server = async {
        let before = peer.request().await.unwrap();
        let login = handshake(&mut peer).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let on_answer = Box::new(move |answer: Result<_, RequestError>| {
            let _ = sender.send(answer);
        });
        connection.submit(ApiKey::Metadata, 0, vec!["held".into()], LIMIT, on_answer);
        peer.answer(&before, b"done").await;
        accept_handshake(&mut peer, &login).await;
        // SASL_AUTHENTICATION_FAILED.
        authenticate(&mut peer, 58).await;
        let failed = receiver.recv().await.unwrap().unwrap_err();
        assert!(!failed.sent);
        assert!(failed.error.is_retriable(), "{}", failed.error);
        assert!(
            failed.error.to_string().contains("logging in again failed"),
            "{}",
            failed.error
        );
    };
    let (before, ()) = tokio::join!(before, server);
    assert_eq!(before.unwrap(), "done");
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_not_to_be_had_in_time_ends_the_connection_when_all_is_answered() {
    let named = Named {
        most: Some(1),
        ..Named::default()
    };
    let (connection, mut peer, _listener) = logged_in(named).await;
    let start = Instant::now();
    sleep(SESSION.mul_f64(0.99)).await;
    let late = connection.call(&Echo(b"late"), LIMIT);
    let server = async {
        let late = peer.request().await.unwrap();
        sleep(LIMIT / 2).await;
        assert!(!connection.is_closed());
        peer.answer(&late, b"late").await;
    };
    let (late, ()) = tokio::join!(late, server);
    assert_eq!(late.unwrap(), "late");
    connection.closed().await;
    assert!(start.elapsed() < SESSION + LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_first_login_that_is_refused_is_the_error_of_connecting() {
    let (connected, _peer, _listener) = connected(Named::default(), 58).await;
    let error = connected.err().unwrap();
    assert!(
        matches!(error, Error::Authentication { refused: true, .. }),
        "{error:?}"
    );
}
