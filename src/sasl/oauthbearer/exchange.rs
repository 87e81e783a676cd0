//! One login with a token.
//!
//! ```text
//!   Start ── token ──▶ Sent ── empty answer ──▶ Done
//!                        └──── JSON ──▶ Refused ── ^A ──▶ the broker's error
//! ```

use std::sync::Arc;

use super::store::Store;
use super::token::Token;
use crate::sasl::error::MechanismError;
use crate::sasl::mechanism::{Exchange, Step, Stepping};
use crate::sasl::secret::Secret;

/// Separates and ends the parts of a message.
const KVSEP: u8 = 1;
/// The longest part of a refusal that is shown.
const SHOWN: usize = 512;

pub(super) struct Bearer {
    store: Arc<Store>,
    state: State,
}

enum State {
    Start,
    Sent,
    /// The broker refused the token, in these words, and waits for the dummy message.
    Refused(String),
}

impl Bearer {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            state: State::Start,
        }
    }

    async fn next(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        match &self.state {
            State::Start => {
                let token = self.store.token().await?;
                self.state = State::Sent;
                Ok(Step::Send(first(&token)))
            }
            State::Sent if challenge.is_empty() => Ok(Step::Done),
            State::Sent => {
                self.store.forget().await;
                self.state = State::Refused(shown(challenge));
                Ok(Step::Send(vec![KVSEP].into()))
            }
            State::Refused(words) => Err(MechanismError::refused(format!(
                "the broker refused the token: {words}"
            ))),
        }
    }
}

impl Exchange for Bearer {
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
        Box::pin(self.next(challenge))
    }
}

fn first(token: &Token) -> Secret {
    let mut message = b"n,,\x01auth=Bearer ".to_vec();
    message.extend_from_slice(token.value.expose());
    for (name, value) in &token.extensions {
        message.push(KVSEP);
        message.extend_from_slice(name.as_bytes());
        message.push(b'=');
        message.extend_from_slice(value.as_bytes());
    }
    message.extend_from_slice(&[KVSEP, KVSEP]);
    message.into()
}

/// What the broker said, within bounds and without characters that would spoil a log.
fn shown(challenge: &[u8]) -> String {
    let text = String::from_utf8_lossy(challenge.get(..SHOWN).unwrap_or(challenge));
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{Mechanism, OAuthBearer};

    fn sent(step: Result<Step, MechanismError>) -> Vec<u8> {
        match step.unwrap() {
            Step::Send(message) => message.expose().to_vec(),
            Step::Done => panic!("done too soon"),
        }
    }

    fn bearer() -> OAuthBearer {
        OAuthBearer::new(|| async { Token::new("abc.def")?.extension("logicalCluster", "lkc") })
    }

    #[tokio::test]
    async fn the_token_and_its_extensions_go_out_in_one_message() {
        let mut exchange = bearer().start("broker", 9092);
        assert_eq!(
            sent(exchange.step(b"").await),
            b"n,,\x01auth=Bearer abc.def\x01logicalCluster=lkc\x01\x01"
        );
        assert!(matches!(exchange.step(b"").await, Ok(Step::Done)));
    }

    #[tokio::test]
    async fn a_refusal_is_answered_and_told_in_the_brokers_words() {
        let mut exchange = bearer().start("broker", 9092);
        sent(exchange.step(b"").await);
        let refusal = br#"{"status":"invalid_token"}"#;
        assert_eq!(sent(exchange.step(refusal).await), [1]);
        let error = exchange.step(b"").await.unwrap_err();
        assert!(error.to_string().contains("invalid_token"), "{error}");
        assert!(error.is_refused());
    }

    #[test]
    fn a_refusal_is_shown_within_bounds() {
        assert_eq!(shown(&[b'x'; 10_000]).len(), SHOWN);
        assert_eq!(shown(b"a\r\n\x1b[31mb"), "a   [31mb");
    }
}
