//! What a login takes from elsewhere: servers' messages, and the texts that settings are given in.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::byte;
use crate::config::PropertiesFile;
use crate::sasl::{
    JaasLine, Mechanism, MechanismError, OAuthBearer, Scram, ScramHash, Step, Token,
};

/// More messages than any login has.
const MESSAGES: usize = 4;

/// A server's messages of SCRAM: no login of one that does not know the password succeeds.
pub fn scram(mut data: &[u8]) {
    let chosen = byte(&mut data);
    let hash = if chosen & 1 == 0 {
        ScramHash::Sha256
    } else {
        ScramHash::Sha512
    };
    let Ok(scram) = Scram::new(hash, "alice", "open sesame") else {
        return;
    };
    let mut login = scram.start("kafka", 9092);
    let Ok(Step::Send(first)) = now(login.step(b"")) else {
        panic!("a login does not begin");
    };
    let first = String::from_utf8_lossy(first.expose()).into_owned();
    let nonce = first.split_once(",r=").map_or("", |(_, nonce)| nonce);
    for (turn, message) in messages(data).enumerate() {
        let message = match (turn, chosen >> 1 & 3) {
            // Its form is right, or some of it: a nonce cannot be guessed.
            (0, 1) => [b"r=", nonce.as_bytes(), message].concat(),
            (0, 2) => {
                let right = format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=4096");
                [right.as_bytes(), message].concat()
            }
            _ => message.to_vec(),
        };
        if is_slow(&message) {
            return;
        }
        match now(login.step(&message)) {
            Ok(Step::Done) => panic!("a server that does not know the password is trusted"),
            Ok(Step::Send(_)) => {}
            Err(error) => return told(&error),
        }
    }
}

/// A server's messages of OAUTHBEARER.
pub fn oauthbearer(data: &[u8]) {
    let bearer = OAuthBearer::new(|| async { Token::new("open.sesame") });
    let mut login = bearer.start("kafka", 9092);
    let Ok(Step::Send(_)) = now(login.step(b"")) else {
        panic!("a login does not begin");
    };
    for message in messages(data) {
        match now(login.step(message)) {
            Ok(Step::Done) => return,
            Ok(Step::Send(_)) => {}
            Err(error) => return told(&error),
        }
    }
}

/// `sasl.jaas.config`.
pub fn jaas_line(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(line) = JaasLine::parse(text) {
        for name in line.names() {
            assert!(line.secret(name).is_some());
        }
    }
}

/// A Java client's properties.
pub fn properties_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(file) = PropertiesFile::parse(text) {
        for (name, value) in file.iter() {
            assert!(name.len() + value.len() <= data.len());
            assert_eq!(file.get(name), Some(value));
        }
    }
}

/// Certificates and keys in PEM.
pub fn pem(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::tls::read_pem(text);
    }
}

/// What is said of a refusal has bounds, and no secret.
fn told(error: &MechanismError) {
    assert!(
        error.reason().len() < 4096,
        "{} bytes",
        error.reason().len()
    );
    assert!(!error.reason().contains("sesame"));
}

fn messages(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == 0).take(MESSAGES)
}

/// Whether so many iterations are asked for that they are no test but a wait.
fn is_slow(message: &[u8]) -> bool {
    let mut digits = 0;
    message.iter().any(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        digits > 4
    })
}

/// What a future gives that has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => ready,
        Poll::Pending => panic!("a login waits for nobody"),
    }
}
