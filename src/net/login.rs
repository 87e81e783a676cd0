//! Logging in on a connection: the messages of a mechanism, carried by SaslHandshake and SaslAuthenticate.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::call::{call_on, choose};
use super::link::LinkInner;
use crate::error::{Error, ErrorCode};
use crate::sasl::{Exchange, Mechanism, MechanismError, Secret, Step};
use crate::wire::{SaslAuthenticate, SaslHandshake, Versions};

/// More messages than any mechanism has; a server that goes on asks for ever.
const MOST_MESSAGES: usize = 16;

/// Logs in, and tells for how long the broker takes that (KIP-368); `None` for as long as the connection lives.
pub(super) async fn login(
    link: &LinkInner,
    versions: &Versions,
    mechanism: &dyn Mechanism,
    limit: Duration,
) -> Result<Option<Duration>, Error> {
    let beginning = timeout(limit, Login::begin(link, mechanism));
    let login = beginning.await.unwrap_or_else(|_| {
        let reason = format!("its first message was not there within {limit:.1?}");
        Err(failed(link, mechanism, reason, false))
    })?;
    login.finish(versions, Duration::ZERO, limit).await
}

/// A login whose first message is there, and of which nothing was sent.
pub(super) struct Login<'a> {
    link: &'a LinkInner,
    mechanism: &'a dyn Mechanism,
    exchange: Box<dyn Exchange>,
    first: Step,
}

impl<'a> Login<'a> {
    /// Asks the mechanism for its first message, for which it may have to ask somebody else.
    pub(super) async fn begin(
        link: &'a LinkInner,
        mechanism: &'a dyn Mechanism,
    ) -> Result<Self, Error> {
        let address = &link.address;
        let mut exchange = mechanism.start(&address.host, address.port);
        let first = exchange.step(&[]).await;
        let first = first.map_err(|error| stopped(link, mechanism, &error))?;
        Ok(Self {
            link,
            mechanism,
            exchange,
            first,
        })
    }

    /// Carries the messages; the broker looks at the first one after `busy`, when it has answered what came before.
    pub(super) async fn finish(
        self,
        versions: &Versions,
        busy: Duration,
        limit: Duration,
    ) -> Result<Option<Duration>, Error> {
        let Self {
            link,
            mechanism,
            mut exchange,
            first,
        } = self;
        agree(link, versions, mechanism, limit.saturating_add(busy)).await?;
        let mut step = first;
        let mut session = None;
        for _ in 0..MOST_MESSAGES {
            let message = match step {
                Step::Done => return Ok(session),
                Step::Send(message) => message,
            };
            let challenge;
            (challenge, session) = say(link, versions, mechanism, message, limit).await?;
            let next = exchange.step(&challenge).await;
            step = next.map_err(|error| stopped(link, mechanism, &error))?;
        }
        let reason = format!("it is not at an end after {MOST_MESSAGES} messages");
        Err(failed(link, mechanism, reason, true))
    }
}

/// Names the mechanism to the broker, which may not offer it.
async fn agree(
    link: &LinkInner,
    versions: &Versions,
    mechanism: &dyn Mechanism,
    limit: Duration,
) -> Result<(), Error> {
    let call = SaslHandshake {
        mechanism: mechanism.name().into(),
    };
    let version = choose(versions, link, &call)?;
    let answer = call_on(link, &call, version, limit).await?;
    match handshake_refusal(answer.code, &answer.offered) {
        None => Ok(()),
        Some(reason) => Err(failed(link, mechanism, reason, true)),
    }
}

/// Sends one message; the broker's challenge and the session's lifetime come back.
async fn say(
    link: &LinkInner,
    versions: &Versions,
    mechanism: &dyn Mechanism,
    message: Secret,
    limit: Duration,
) -> Result<(bytes::Bytes, Option<Duration>), Error> {
    let call = SaslAuthenticate { message };
    let version = choose(versions, link, &call)?;
    let answer = call_on(link, &call, version, limit).await?;
    if answer.code == ErrorCode::NONE {
        return Ok((answer.challenge, answer.session));
    }
    let (reason, refused) = authenticate_refusal(answer.code, answer.error.as_deref());
    Err(failed(link, mechanism, reason, refused))
}

/// Why the broker takes no login by this mechanism.
fn handshake_refusal(code: ErrorCode, offered: &[Arc<str>]) -> Option<String> {
    match code {
        ErrorCode::NONE => None,
        ErrorCode::UNSUPPORTED_SASL_MECHANISM if offered.is_empty() => Some(
            "the listener does not offer this mechanism: ask for another by sasl.mechanism".into(),
        ),
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => Some(format!(
            "the listener does not offer this mechanism: set sasl.mechanism to one of {}",
            offered.join(", ")
        )),
        ErrorCode::ILLEGAL_SASL_STATE => Some(
            "the listener takes no login: set security.protocol to PLAINTEXT or SSL, or use the port of a SASL listener"
                .into(),
        ),
        other => Some(format!("the broker refused the login: {other}")),
    }
}

/// What the broker said of the credentials, and whether they are of no use as they are.
fn authenticate_refusal(code: ErrorCode, words: Option<&str>) -> (String, bool) {
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    match code {
        ErrorCode::SASL_AUTHENTICATION_FAILED => (
            format!(
                "the broker refused the credentials{words}: check them, and that the broker knows this user"
            ),
            true,
        ),
        other => (
            format!("the broker refused the login: {other}{words}"),
            !other.is_retriable(),
        ),
    }
}

fn stopped(link: &LinkInner, mechanism: &dyn Mechanism, error: &MechanismError) -> Error {
    failed(
        link,
        mechanism,
        error.reason().to_owned(),
        error.is_refused(),
    )
}

/// The connection has no use without its login: whoever wanted that ends it.
fn failed(link: &LinkInner, mechanism: &dyn Mechanism, reason: String, refused: bool) -> Error {
    Error::Authentication {
        address: link.name.clone(),
        mechanism: mechanism.name().into(),
        reason: reason.into(),
        refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_handshake_says_what_to_set() {
        let offered: [Arc<str>; 2] = ["PLAIN".into(), "SCRAM-SHA-256".into()];
        assert_eq!(handshake_refusal(ErrorCode::NONE, &offered), None);
        for (code, offered, says) in [
            (
                ErrorCode::UNSUPPORTED_SASL_MECHANISM,
                &offered[..],
                "one of PLAIN, SCRAM-SHA-256",
            ),
            (
                ErrorCode::UNSUPPORTED_SASL_MECHANISM,
                &[],
                "another by sasl.mechanism",
            ),
            (ErrorCode::ILLEGAL_SASL_STATE, &[], "takes no login"),
            (ErrorCode::UNKNOWN_SERVER_ERROR, &[], "UNKNOWN_SERVER_ERROR"),
        ] {
            let reason = handshake_refusal(code, offered).unwrap();
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn refused_credentials_are_told_in_the_brokers_words() {
        for (code, says, refused) in [
            (
                ErrorCode::SASL_AUTHENTICATION_FAILED,
                "(wrong password)",
                true,
            ),
            (ErrorCode::REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT", false),
            (ErrorCode::ILLEGAL_SASL_STATE, "ILLEGAL_SASL_STATE", true),
        ] {
            let (reason, is_refused) = authenticate_refusal(code, Some("wrong password"));
            assert!(reason.contains(says), "{reason}");
            assert_eq!(is_refused, refused, "{reason}");
        }
    }
}
