//! A connection's login: what may be asked before it, its messages, and its session's end.
//!
//! ```text
//!              handshake             last message
//!   Expected ─────────────▶ Exchange ────────────▶ Done ──▶ closed by what is asked
//!                              ▲                     │      after the session's end
//!                              └─────────────────────┘
//!                               handshake (KIP-368)
//! ```
//!
//! Whatever fails ends the connection, once it is told. `Open` listeners ask for no login.

use std::borrow::Cow;
use std::time::Duration;

use crate::sasl::{Exchange, Refused, Reply, SaslMechanism, Users};
use crate::wire::{ApiKey, ErrorCode, Name};

/// Kafka takes no two logins of a connection within this time.
const BETWEEN_LOGINS: Duration = Duration::from_secs(1);

/// Who somebody is that has not said so.
const ANONYMOUS: &str = "ANONYMOUS";

/// Who is logged in, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    user: Name,
    mechanism: SaslMechanism,
    expires: Option<Duration>,
    /// When it was last renewed.
    renewed: Option<Duration>,
}

/// Where a connection's login is.
#[derive(Debug)]
pub(crate) enum Login {
    Open,
    Expected,
    Exchange {
        mechanism: SaslMechanism,
        exchange: Exchange,
        /// The session that this one is to follow.
        before: Option<Session>,
    },
    Done(Session),
}

/// Why a login does not go on; all but the first end the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// There is nothing to log in to.
    Untimely,
    /// Told so.
    Refused(ErrorCode, Option<String>),
    /// Nothing is told.
    Unheard,
}

/// What a message of a login led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) message: Vec<u8>,
    /// How long the session lasts, once there is one that ends.
    pub(crate) lifetime: Option<Duration>,
}

impl Login {
    /// Whose requests these are.
    pub(crate) fn user(&self) -> Name {
        match self {
            Self::Done(session)
            | Self::Exchange {
                before: Some(session),
                ..
            } => session.user.clone(),
            _ => ANONYMOUS.into(),
        }
    }

    /// Whether this may be asked now; else the connection closes.
    pub(crate) fn admits(&self, key: ApiKey, now: Duration) -> bool {
        match self {
            Self::Open => true,
            Self::Expected => matches!(key, ApiKey::ApiVersions | ApiKey::SaslHandshake),
            Self::Exchange { .. } => key == ApiKey::SaslAuthenticate,
            Self::Done(session) => {
                let expired = session.expires.is_some_and(|end| end <= now);
                !expired || (key == ApiKey::SaslHandshake && session.is_renewable(now))
            }
        }
    }

    /// The session, if there is one, is over.
    pub(crate) fn expire(&mut self, now: Duration) {
        if let Self::Done(session) = self {
            session.expires = Some(now);
        }
    }

    /// SaslHandshake: begins a login, or a session's renewal.
    pub(crate) fn handshake(
        &mut self,
        name: &str,
        offered: &[SaslMechanism],
        now: Duration,
    ) -> Result<(), Failed> {
        let before = match self {
            Self::Expected => None,
            Self::Done(session) if session.is_renewable(now) => Some(Session {
                renewed: Some(now),
                ..session.clone()
            }),
            Self::Open | Self::Exchange { .. } | Self::Done(_) => return Err(Failed::Untimely),
        };
        let mechanism = offered.iter().find(|one| one.name() == name);
        let Some(mechanism) = mechanism.copied() else {
            return Err(match before {
                None => Failed::Refused(ErrorCode::UNSUPPORTED_SASL_MECHANISM, None),
                Some(_) => Failed::Unheard,
            });
        };
        *self = Self::Exchange {
            mechanism,
            exchange: Exchange::new(mechanism),
            before,
        };
        Ok(())
    }

    /// SaslAuthenticate: the client's next message.
    pub(crate) fn authenticate(
        &mut self,
        message: &[u8],
        users: &Users,
        nonce: &str,
        lifetime: Option<Duration>,
        now: Duration,
    ) -> Result<Told, Failed> {
        let Self::Exchange {
            mechanism,
            exchange,
            before,
        } = self
        else {
            return Err(Failed::Untimely);
        };
        let mechanism = *mechanism;
        if before.as_ref().is_some_and(|of| of.mechanism != mechanism) {
            return Err(Failed::Unheard);
        }
        let renews = if before.is_some() { "re-" } else { "" };
        let refuse = |why| Failed::Refused(ErrorCode::SASL_AUTHENTICATION_FAILED, Some(why));
        let reply = exchange.step(message, users, nonce);
        let reply = reply.map_err(|Refused(why)| {
            refuse(why.map_or_else(
                || {
                    format!(
                        "Authentication failed during {renews}authentication due to invalid credentials with SASL mechanism {mechanism}"
                    )
                },
                Cow::into_owned,
            ))
        })?;
        let (user, message) = match reply {
            Reply::Challenge(message) => {
                return Ok(Told {
                    message,
                    lifetime: None,
                });
            }
            Reply::Done { user, last } => (user, last),
        };
        if let Some(before) = before
            && *before.user != *user
        {
            let why = format!(
                "Cannot change principals during re-authentication from User.{}: User.{user}",
                before.user
            );
            return Err(refuse(why));
        }
        let renewed = before.as_ref().and_then(|before| before.renewed);
        *self = Self::Done(Session {
            user: user.into(),
            mechanism,
            expires: lifetime.map(|time| now + time),
            renewed,
        });
        Ok(Told { message, lifetime })
    }
}

impl Session {
    /// Only what ends is renewed, and not all the time.
    fn is_renewable(&self, now: Duration) -> bool {
        let lately = self.renewed.is_some_and(|at| now < at + BETWEEN_LOGINS);
        self.expires.is_some() && !lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn users() -> Users {
        let mut users = Users::default();
        users.set("alice", "secret");
        users.set("bob", "secret");
        users
    }

    fn say(login: &mut Login, message: &str, now: Duration) -> Result<Told, Failed> {
        let lifetime = Some(10 * SECOND);
        login.authenticate(message.as_bytes(), &users(), "nonce", lifetime, now)
    }

    fn logged_in() -> Login {
        let mut login = Login::Expected;
        let all = SaslMechanism::ALL;
        login.handshake("PLAIN", all, SECOND).unwrap();
        let told = say(&mut login, "\0alice\0secret", SECOND).unwrap();
        assert_eq!(told.lifetime, Some(10 * SECOND));
        assert_eq!(*login.user(), *"alice");
        login
    }

    #[test]
    fn nothing_but_a_login_is_admitted_before_it_and_after_its_end() {
        use ApiKey::*;
        let all = [ApiVersions, SaslHandshake, SaslAuthenticate, Metadata];
        let admitted = |login: &Login, now| -> Vec<_> {
            let all = all.iter().copied();
            all.filter(|key| login.admits(*key, now)).collect()
        };
        assert_eq!(admitted(&Login::Open, SECOND), all);
        let mut login = Login::Expected;
        assert_eq!(admitted(&login, SECOND), [ApiVersions, SaslHandshake]);
        login
            .handshake("PLAIN", SaslMechanism::ALL, SECOND)
            .unwrap();
        assert_eq!(admitted(&login, SECOND), [SaslAuthenticate]);
        let mut login = logged_in();
        assert_eq!(admitted(&login, 10 * SECOND), all);
        assert_eq!(admitted(&login, 11 * SECOND), [SaslHandshake]);
        login.expire(5 * SECOND);
        assert_eq!(admitted(&login, 5 * SECOND), [SaslHandshake]);
    }

    #[test]
    fn a_session_is_renewed_by_the_same_user_and_mechanism() {
        let all = SaslMechanism::ALL;
        let mut login = logged_in();
        login.handshake("PLAIN", all, 5 * SECOND).unwrap();
        assert_eq!(*login.user(), *"alice");
        say(&mut login, "\0alice\0secret", 5 * SECOND).unwrap();
        assert!(login.admits(ApiKey::Metadata, 14 * SECOND));
        // Twice within a second.
        let again = login.handshake("PLAIN", all, 5 * SECOND + SECOND / 2);
        assert_eq!(again, Err(Failed::Untimely));
        login.handshake("PLAIN", all, 6 * SECOND).unwrap();
        let other = say(&mut login, "\0bob\0secret", 6 * SECOND);
        let Err(Failed::Refused(code, Some(why))) = other else {
            panic!("{other:?}");
        };
        assert_eq!(code, ErrorCode::SASL_AUTHENTICATION_FAILED);
        assert!(why.contains("from User.alice: User.bob"), "{why}");
        let mut login = logged_in();
        login.handshake("SCRAM-SHA-256", all, 5 * SECOND).unwrap();
        let other = say(&mut login, "n,,n=alice,r=abc", 5 * SECOND);
        assert_eq!(other, Err(Failed::Unheard));
    }

    #[test]
    fn what_is_untimely_or_not_offered_is_refused() {
        let plain = [SaslMechanism::Plain];
        let mut login = Login::Expected;
        let refused = login.handshake("SCRAM-SHA-256", &plain, SECOND);
        let code = ErrorCode::UNSUPPORTED_SASL_MECHANISM;
        assert_eq!(refused, Err(Failed::Refused(code, None)));
        let untimely = Login::Open.handshake("PLAIN", &plain, SECOND);
        assert_eq!(untimely, Err(Failed::Untimely));
        assert_eq!(say(&mut Login::Open, "", SECOND), Err(Failed::Untimely));
        let mut login = logged_in();
        assert_eq!(say(&mut login, "", SECOND), Err(Failed::Untimely));
    }
}
