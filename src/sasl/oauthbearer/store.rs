//! The one token that all connections share, and when it is asked for anew.

use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tracing::warn;

use super::token::{Token, TokenProvider};
use crate::sasl::error::MechanismError;

/// The part of its lifetime, in percent, after which a token is renewed.
const RENEW_AT: u32 = 80;
/// What a token without a known end is kept for.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(60);

pub(super) struct Store {
    provider: Box<dyn TokenProvider>,
    /// Locked while the provider is asked, so that it is asked once however many connections wait.
    token: Mutex<Option<Token>>,
}

impl Store {
    pub(super) fn new(provider: Box<dyn TokenProvider>) -> Self {
        Self {
            provider,
            token: Mutex::new(None),
        }
    }

    /// A token that is valid now: the one at hand while it is young, else a new one.
    pub(super) async fn token(&self) -> Result<Token, MechanismError> {
        let mut kept = self.token.lock().await;
        let now = SystemTime::now();
        if let Some(token) = kept.as_ref().filter(|token| now < renewal(token)) {
            return Ok(token.clone());
        }
        match self.provider.token().await {
            Ok(token) => {
                if token.expires.is_some_and(|at| at <= SystemTime::now()) {
                    return Err(MechanismError::unavailable(
                        "the token provider gave a token that has expired: check its clock",
                    ));
                }
                Ok(kept.insert(token).clone())
            }
            Err(error) => {
                let valid = |token: &&Token| token.expires.is_some_and(|at| now < at);
                let Some(token) = kept.as_ref().filter(valid) else {
                    return Err(error);
                };
                warn!(%error, "the token could not be renewed; the old one is used while it is valid");
                Ok(token.clone())
            }
        }
    }

    /// Forgets the token, which a broker has refused: the next login asks for another.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }
}

fn renewal(token: &Token) -> SystemTime {
    let lifetime = token.expires.map_or(UNKNOWN_LIFETIME, |at| {
        at.duration_since(token.issued).unwrap_or_default()
    });
    token.issued + lifetime / 100 * RENEW_AT
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Gives `token-1`, `token-2`, ... that live for so long, and fails from the `ends`-th on.
    fn numbered(count: &Arc<AtomicU32>, lifetime: Duration, ends: u32) -> Store {
        let count = count.clone();
        Store::new(Box::new(move || {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                if number >= ends {
                    return Err(MechanismError::unavailable("no answer"));
                }
                tokio::task::yield_now().await;
                let token = Token::new(format!("token-{number}"))?;
                Ok(token.expires(SystemTime::now() + lifetime))
            }
        }))
    }

    /// Makes the kept token older by so many seconds.
    fn age(store: &Store, by: u64) {
        let mut kept = store.token.try_lock().unwrap();
        let token = kept.as_mut().unwrap();
        token.issued -= Duration::from_secs(by);
        token.expires = token.expires.map(|at| at - Duration::from_secs(by));
    }

    fn text(token: &Token) -> &str {
        std::str::from_utf8(token.value.expose()).unwrap()
    }

    #[tokio::test]
    async fn many_logins_at_once_ask_for_one_token() {
        let count = Arc::default();
        let store = numbered(&count, Duration::from_secs(600), u32::MAX);
        let (a, b, c) = tokio::join!(store.token(), store.token(), store.token());
        for token in [a, b, c] {
            assert_eq!(text(&token.unwrap()), "token-1");
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_token_is_renewed_when_four_fifths_of_its_life_are_over() {
        let store = numbered(&Arc::default(), Duration::from_secs(600), u32::MAX);
        store.token().await.unwrap();
        age(&store, 470);
        assert_eq!(text(&store.token().await.unwrap()), "token-1");
        age(&store, 15);
        assert_eq!(text(&store.token().await.unwrap()), "token-2");
    }

    #[tokio::test]
    async fn a_failed_renewal_keeps_the_token_while_it_is_valid() {
        let store = numbered(&Arc::default(), Duration::from_secs(600), 2);
        store.token().await.unwrap();
        age(&store, 590);
        assert_eq!(text(&store.token().await.unwrap()), "token-1");
        age(&store, 20);
        assert_eq!(store.token().await.unwrap_err().to_string(), "no answer");
    }

    #[tokio::test]
    async fn a_token_that_is_too_old_from_the_start_is_not_used() {
        let store = Store::new(Box::new(|| async {
            Ok(Token::new("t")?.expires(SystemTime::now() - Duration::from_secs(1)))
        }));
        let error = store.token().await.unwrap_err();
        assert!(error.to_string().contains("has expired"), "{error}");
        assert!(!error.is_refused());
    }

    #[tokio::test]
    async fn a_refused_token_is_asked_for_anew() {
        let store = numbered(&Arc::default(), Duration::from_secs(600), u32::MAX);
        store.token().await.unwrap();
        store.forget().await;
        assert_eq!(text(&store.token().await.unwrap()), "token-2");
    }
}
