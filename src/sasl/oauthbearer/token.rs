//! A bearer token, and who gives one.

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use crate::sasl::error::MechanismError;
use crate::sasl::secret::Secret;

/// A bearer token with what the broker is to be told beside it.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) value: Secret,
    pub(super) issued: SystemTime,
    pub(super) expires: Option<SystemTime>,
    pub(super) extensions: Vec<(String, String)>,
}

impl Token {
    /// A token as the identity provider gave it, issued now, without an end that is known.
    ///
    /// # Errors
    ///
    /// [`MechanismError`] where it is empty or has characters that no bearer token has (RFC 6750).
    pub fn new(value: impl Into<Secret>) -> Result<Self, MechanismError> {
        let value = value.into();
        if value.is_empty() {
            return Err(MechanismError::refused("the token is empty"));
        }
        if !value.expose().iter().all(u8::is_ascii_graphic) {
            return Err(MechanismError::refused(
                "the token has characters that no bearer token has: blanks, line ends, or others than ASCII",
            ));
        }
        Ok(Self {
            value,
            issued: SystemTime::now(),
            expires: None,
            extensions: Vec::new(),
        })
    }

    /// When it ends; a token is renewed at 80 % of its lifetime.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }

    /// A SASL extension for the broker, such as `logicalCluster` (KIP-342).
    ///
    /// # Errors
    ///
    /// [`MechanismError`] where the name is not made of letters or is `auth`, or the value is not made of visible ASCII
    /// characters, blanks, tabs and line ends.
    pub fn extension(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MechanismError> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || name == "auth" || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(MechanismError::refused(format!(
                "extension name {name:?}: use letters alone, and not \"auth\""
            )));
        }
        let fits = |b: u8| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        if !value.bytes().all(fits) {
            return Err(MechanismError::refused(format!(
                "the value of extension {name:?} has characters other than visible ASCII, blanks and line ends"
            )));
        }
        self.extensions.push((name, value));
        Ok(self)
    }
}

/// The future of a token.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, MechanismError>> + Send + 'a>>;

/// Gives a token when one is needed; never asked twice at a time.
///
/// Any `Fn() -> impl Future<Output = Result<Token, MechanismError>>` is one. Kafka: `sasl.login.callback.handler.class`.
pub trait TokenProvider: Send + Sync + 'static {
    /// A token that is valid from now on.
    fn token(&self) -> TokenFuture<'_>;
}

impl<F, T> TokenProvider for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<Token, MechanismError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bearer_token_is_refused_without_being_shown() {
        for value in ["", "two words", "line\nend", "gr\u{fc}n"] {
            let refused = Token::new(value).unwrap_err().to_string();
            assert!(value.is_empty() || !refused.contains(value), "{refused}");
        }
        assert!(!format!("{:?}", Token::new("abc.def").unwrap()).contains("abc"));
    }

    #[test]
    fn extensions_have_the_characters_that_kafka_takes() {
        let token = || Token::new("t").unwrap();
        for name in ["", "auth", "with-dash", "d1git", "a b"] {
            assert!(token().extension(name, "v").is_err(), "{name:?}");
        }
        for value in ["\u{1}", "\u{7f}", "\u{e9}"] {
            assert!(token().extension("name", value).is_err(), "{value:?}");
        }
        assert!(token().extension("logicalCluster", "lkc 1\r\n\t~").is_ok());
    }
}
