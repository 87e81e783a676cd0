//! The calls of a login, one by one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault, Listener, SaslMechanism};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const SECOND: Duration = Duration::from_secs(1);

/// A connection; its clock stands still unless it is moved.
pub(super) struct Line(DuplexStream);

pub(super) fn code(number: i16) -> ErrorCode {
    ErrorCode::new(number)
}

fn s(text: &str) -> StrBytes {
    text.to_owned().into()
}

impl Line {
    pub(super) fn to(cluster: &Cluster) -> Self {
        Self(cluster.connect(1))
    }

    /// The answer, or `None` when the connection was closed instead.
    pub(super) async fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(s("line")));
        header
            .encode(&mut body, R::header_version(version))
            .unwrap();
        request.encode(&mut body, version).unwrap();
        self.0.write_u32(body.len() as u32).await.ok()?;
        self.0.write_all(&body).await.ok()?;
        let length = self.0.read_u32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        let mut frame = Bytes::from(frame);
        ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        Some(R::Response::decode(&mut frame, version).unwrap())
    }

    async fn handshake(&mut self, mechanism: &str) -> Option<SaslHandshakeResponse> {
        let request = SaslHandshakeRequest::default().with_mechanism(s(mechanism));
        self.ask(1, &request).await
    }

    async fn say(&mut self, message: &str) -> Option<SaslAuthenticateResponse> {
        let message = Bytes::from(message.to_owned());
        let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
        self.ask(2, &request).await
    }

    async fn metadata(&mut self) -> bool {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        self.ask(12, &request).await.is_some()
    }

    pub(super) async fn login(&mut self, user: &str, password: &str) {
        let begun = self.handshake("PLAIN").await.unwrap();
        assert_eq!(code(begun.error_code), ErrorCode::NONE);
        let done = self.say(&format!("\0{user}\0{password}")).await.unwrap();
        assert_eq!(code(done.error_code), ErrorCode::NONE);
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0) | Err(_))
    }
}

fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("t", 1).user("alice", "secret");
    builder.start_in_memory().unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_before_a_login_but_what_it_takes() {
    let cluster = cluster();
    let mut line = Line::to(&cluster);
    let versions = ApiVersionsRequest::default();
    assert!(line.ask(2, &versions).await.is_some());
    assert!(!line.metadata().await);
    let mut line = Line::to(&cluster);
    line.login("alice", "secret").await;
    assert!(line.metadata().await);
    let seen = cluster.requests_seen();
    assert_eq!(seen.last().unwrap().user, "alice");
    assert_eq!(seen[0].user, "ANONYMOUS");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_told_and_ends_the_connection() {
    let cluster = cluster();
    for (message, why) in [
        (
            "\0alice\0wrong",
            "Authentication failed: Invalid username or password",
        ),
        (
            "\0bob\0secret",
            "Authentication failed: Invalid username or password",
        ),
    ] {
        let mut line = Line::to(&cluster);
        line.handshake("PLAIN").await.unwrap();
        let answer = line.say(message).await.unwrap();
        assert_eq!(
            code(answer.error_code),
            ErrorCode::SASL_AUTHENTICATION_FAILED
        );
        assert_eq!(answer.error_message.unwrap().as_str(), why);
        assert!(line.is_closed().await);
    }
    let mut line = Line::to(&cluster);
    line.handshake("SCRAM-SHA-512").await.unwrap();
    let answer = line.say("n,,n=bob,r=abc").await.unwrap();
    assert_eq!(
        code(answer.error_code),
        ErrorCode::SASL_AUTHENTICATION_FAILED
    );
    assert_eq!(
        answer.error_message.unwrap().as_str(),
        "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"
    );
    assert!(line.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_mechanism_that_is_not_offered_is_refused_with_those_that_are() {
    let builder = Cluster::builder().user("alice", "secret");
    let builder = builder.sasl_mechanisms([SaslMechanism::ScramSha256]);
    let cluster = builder.start_in_memory().unwrap();
    let mut line = Line::to(&cluster);
    let answer = line.handshake("PLAIN").await.unwrap();
    assert_eq!(
        code(answer.error_code),
        ErrorCode::UNSUPPORTED_SASL_MECHANISM
    );
    assert_eq!(answer.mechanisms, [s("SCRAM-SHA-256")]);
    assert!(line.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_listener_without_logins_says_so() {
    let builder = Cluster::builder().listener(Listener::plaintext("OPEN"));
    let cluster = builder.user("alice", "secret").start_in_memory().unwrap();
    let mut line = Line::to(&cluster);
    let answer = line.handshake("PLAIN").await.unwrap();
    assert_eq!(code(answer.error_code), ErrorCode::ILLEGAL_SASL_STATE);
    let answer = line.say("\0alice\0secret").await.unwrap();
    assert_eq!(code(answer.error_code), ErrorCode::ILLEGAL_SASL_STATE);
    assert!(line.metadata().await);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_unless_it_is_renewed() {
    let builder = Cluster::builder().user("alice", "secret");
    let builder = builder.session_lifetime(10 * SECOND);
    let cluster = builder.start_in_memory().unwrap();
    let mut line = Line::to(&cluster);
    line.handshake("PLAIN").await.unwrap();
    let answer = line.say("\0alice\0secret").await.unwrap();
    assert_eq!(answer.session_lifetime_ms, 10_000);
    tokio::time::advance(8 * SECOND).await;
    line.login("alice", "secret").await;
    tokio::time::advance(8 * SECOND).await;
    assert!(line.metadata().await);
    tokio::time::advance(8 * SECOND).await;
    assert!(!line.metadata().await);
    // By hand, and renewed afterwards.
    let mut line = Line::to(&cluster);
    line.login("alice", "secret").await;
    cluster.expire_sessions();
    line.login("alice", "secret").await;
    assert!(line.metadata().await);
    tokio::time::advance(2 * SECOND).await;
    cluster.remove_user("alice");
    assert!(line.metadata().await);
    line.handshake("PLAIN").await.unwrap();
    let answer = line.say("\0alice\0secret").await.unwrap();
    assert_eq!(
        code(answer.error_code),
        ErrorCode::SASL_AUTHENTICATION_FAILED
    );
    assert!(line.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn logins_fail_on_purpose() {
    let cluster = cluster();
    let refused = Fault::error(ErrorCode::SASL_AUTHENTICATION_FAILED);
    let refused = cluster.faults().add(refused.on(ApiKey::SaslAuthenticate));
    let mut line = Line::to(&cluster);
    line.handshake("PLAIN").await.unwrap();
    let answer = line.say("\0alice\0secret").await.unwrap();
    assert_eq!(
        code(answer.error_code),
        ErrorCode::SASL_AUTHENTICATION_FAILED
    );
    assert!(line.is_closed().await);
    assert_eq!(cluster.faults().hits(refused), 1);
    let late = Fault::delay(5 * SECOND).on(ApiKey::SaslHandshake);
    cluster.faults().add(late);
    let begun = tokio::time::Instant::now();
    let mut line = Line::to(&cluster);
    line.login("alice", "secret").await;
    assert!(begun.elapsed() >= 5 * SECOND);
    cluster.faults().add(Fault::disconnect().user("alice"));
    assert!(!line.metadata().await);
}
