//! PLAIN (RFC 4616): name and password as they are; only TLS hides them.

use super::error::MechanismError;
use super::mechanism::{Exchange, Mechanism, Step, Stepping, at_once};
use super::secret::{Secret, check_credentials};

/// Name and password, sent as they are (RFC 4616): use it over TLS.
///
/// Kafka: `sasl.mechanism=PLAIN` with a `PlainLoginModule`.
#[derive(Clone, Debug)]
pub struct Plain {
    username: String,
    password: Secret,
}

impl Plain {
    /// Logs in as `username`.
    ///
    /// # Errors
    ///
    /// [`MechanismError`] where either is empty or has a NUL character, which the message cannot carry.
    pub fn new(
        username: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Result<Self, MechanismError> {
        let (username, password) = (username.into(), password.into());
        check_credentials(&username, &password)?;
        Ok(Self { username, password })
    }

    /// No authorization id, then name and password.
    fn message(&self) -> Secret {
        let mut message =
            Vec::with_capacity(2 + self.username.len() + self.password.expose().len());
        message.push(0);
        message.extend_from_slice(self.username.as_bytes());
        message.push(0);
        message.extend_from_slice(self.password.expose());
        message.into()
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &str {
        "PLAIN"
    }

    fn start(&self, _host: &str, _port: u16) -> Box<dyn Exchange> {
        Box::new(Once(Some(self.message())))
    }
}

/// Sends its message, and takes any answer: a refusal comes as an error code.
struct Once(Option<Secret>);

impl Exchange for Once {
    fn step<'a>(&'a mut self, _challenge: &'a [u8]) -> Stepping<'a> {
        at_once(Ok(self.0.take().map_or(Step::Done, Step::Send)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn name_and_password_go_out_in_one_message() {
        let plain = Plain::new("alice", "s3cret").unwrap();
        let mut exchange = plain.start("broker", 9092);
        let Step::Send(first) = exchange.step(b"").await.unwrap() else {
            panic!("no message");
        };
        assert_eq!(first.expose(), b"\0alice\0s3cret");
        assert!(matches!(exchange.step(b"").await, Ok(Step::Done)));
    }

    #[test]
    fn what_the_message_cannot_carry_is_refused_by_name() {
        for (user, password, text) in [
            ("", "x", "the username is empty"),
            ("x", "", "the password is empty"),
            ("a\0b", "x", "the username has a NUL character"),
            ("x", "a\0b", "the password has a NUL character"),
        ] {
            let refused = Plain::new(user, password).unwrap_err();
            assert_eq!(refused.to_string(), text);
            assert!(refused.is_refused());
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let plain = Plain::new("alice", "s3cret").unwrap();
        assert!(!format!("{plain:?}").contains("s3cret"));
    }
}
