//! Logins, their refusals, and their sessions' ends.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::*;

use super::talk::{Line, Talk, code, s};

/// How long a login lasts; more than the second that has to be between two.
pub(crate) const SESSION: Duration = Duration::from_secs(3);

async fn handshake(talk: &mut Talk, line: &mut Line, what: &str, mechanism: &str) {
    let request = SaslHandshakeRequest::default().with_mechanism(s(mechanism));
    let answer = line.try_ask(1, &request).await;
    let answer = answer.map(|answer| {
        let mut mechanisms = answer.mechanisms.clone();
        mechanisms.sort();
        (code(answer.error_code), mechanisms)
    });
    talk.note(what, answer);
}

async fn say(talk: &mut Talk, line: &mut Line, what: &str, message: &str) {
    let message = Bytes::from(message.to_owned());
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
    let answer = line.try_ask(2, &request).await;
    let answer = answer.map(|answer| {
        let lasts = answer.session_lifetime_ms > 0;
        (code(answer.error_code), answer.error_message, lasts)
    });
    talk.note(what, answer);
}

/// Whether anything else is answered.
async fn metadata(talk: &mut Talk, line: &mut Line, what: &str) {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let answered = line.try_ask(12, &request).await.is_some();
    talk.note(what, answered);
}

pub(crate) async fn refused(talk: &mut Talk) {
    let mut line = talk.another().await;
    metadata(talk, &mut line, "before the login").await;
    let mut line = talk.another().await;
    handshake(talk, &mut line, "no such mechanism", "STRANGE").await;
    let closed = line.is_closed().await;
    talk.note("closed", closed);
    let mut line = talk.another().await;
    handshake(talk, &mut line, "plain", "PLAIN").await;
    // Kafka says why before it closes, in the words of the call.
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    line.try_ask(12, &request).await;
    let closed = line.is_closed().await;
    talk.note("something else within the login closes", closed);
    for (what, mechanism, message) in [
        ("a wrong password", "PLAIN", "\0alice\0wrong"),
        ("no such user", "PLAIN", "\0bob\0secret"),
        ("for another", "PLAIN", "bob\0alice\0secret"),
        ("without a name", "PLAIN", "\0\0secret"),
        ("without a password", "PLAIN", "\0alice\0"),
        ("too few parts", "PLAIN", "alice"),
        ("too many parts", "PLAIN", "\0alice\0secret\0"),
        ("no such user by SCRAM", "SCRAM-SHA-256", "n,,n=bob,r=abc"),
        ("no SCRAM at all", "SCRAM-SHA-512", "strange"),
    ] {
        let mut line = talk.another().await;
        handshake(talk, &mut line, what, mechanism).await;
        say(talk, &mut line, what, message).await;
        let closed = line.is_closed().await;
        talk.note("closed", closed);
    }
}

pub(crate) async fn sessions(talk: &mut Talk) {
    let mut line = talk.another().await;
    handshake(talk, &mut line, "a login", "PLAIN").await;
    say(talk, &mut line, "a login", "\0alice\0secret").await;
    metadata(talk, &mut line, "logged in").await;
    handshake(talk, &mut line, "renewed", "PLAIN").await;
    say(talk, &mut line, "renewed", "\0alice\0secret").await;
    metadata(talk, &mut line, "logged in").await;
    handshake(talk, &mut line, "again, too soon", "PLAIN").await;
    metadata(talk, &mut line, "still logged in").await;
    tokio::time::sleep(SESSION + SESSION / 10).await;
    metadata(talk, &mut line, "the session is over").await;
    for (what, mechanism, message) in [
        ("as another", "PLAIN", "\0carol\0secret"),
        ("by another way", "SCRAM-SHA-256", "n,,n=alice,r=abc"),
        ("by a wrong password", "PLAIN", "\0alice\0wrong"),
        ("by no way there is", "STRANGE", ""),
    ] {
        let mut line = talk.another().await;
        handshake(talk, &mut line, what, "PLAIN").await;
        say(talk, &mut line, what, "\0alice\0secret").await;
        handshake(talk, &mut line, what, mechanism).await;
        if mechanism != "STRANGE" {
            say(talk, &mut line, what, message).await;
        }
        let closed = line.is_closed().await;
        talk.note("closed", closed);
    }
}
