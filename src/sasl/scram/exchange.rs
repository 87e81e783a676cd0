//! One login by SCRAM.
//!
//! ```text
//!   Start ── n,,n=,r= ──▶ First ── r=,s=,i= / c=,r=,p= ──▶ Final ── v= ──▶ Done
//! ```

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::credentials::Credentials;
use super::message::{ServerFirst, escaped, server_signature, untrusted};
use crate::sasl::error::MechanismError;
use crate::sasl::mechanism::{Exchange, Step, Stepping};
use crate::sasl::secret::Secret;

/// No channel binding, no other identity.
const GS2_HEADER: &str = "n,,";
/// The header above, in base64.
const CHANNEL: &str = "c=biws";
/// A derivation of more iterations than this would hold up a runtime's worker.
const INLINE_ITERATIONS: u32 = 20_000;
/// 144 bits, as Java's client has.
const NONCE: usize = 18;

pub(super) struct ScramExchange {
    credentials: Arc<Credentials>,
    state: State,
}

enum State {
    Start,
    First { bare: String, nonce: String },
    Final { signature: Secret },
    Done,
}

impl ScramExchange {
    pub(super) fn new(credentials: Arc<Credentials>) -> Self {
        Self {
            credentials,
            state: State::Start,
        }
    }

    async fn next(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Start => self.first(nonce()?),
            State::First { bare, nonce } => {
                let server = ServerFirst::read(challenge, &nonce)?;
                let salted = self.salted(&server).await?;
                Ok(self.proof(&bare, challenge, &server, &salted))
            }
            State::Final { signature } => {
                let told = server_signature(challenge)?;
                if bool::from(told.ct_eq(signature.expose())) {
                    Ok(Step::Done)
                } else {
                    Err(untrusted(
                        "its signature is wrong, so that it does not know this user's password",
                    ))
                }
            }
            State::Done => Err(untrusted("it goes on after the end of the exchange")),
        }
    }

    fn first(&mut self, nonce: String) -> Result<Step, MechanismError> {
        let name = escaped(&self.credentials.username);
        let by_token = if self.credentials.token {
            ",tokenauth=true"
        } else {
            ""
        };
        let bare = format!("n={name},r={nonce}{by_token}");
        let message = format!("{GS2_HEADER}{bare}");
        self.state = State::First { bare, nonce };
        Ok(Step::Send(message.into()))
    }

    async fn salted(&self, server: &ServerFirst) -> Result<Secret, MechanismError> {
        let (salt, iterations) = (&server.salt, server.iterations);
        if let Some(key) = self.credentials.known(salt, iterations) {
            return Ok(key);
        }
        let credentials = self.credentials.clone();
        let key = if iterations <= INLINE_ITERATIONS {
            credentials
                .hash
                .salted(&credentials.password, salt, iterations)
        } else {
            let salt = salt.clone();
            tokio::task::spawn_blocking(move || {
                credentials
                    .hash
                    .salted(&credentials.password, &salt, iterations)
            })
            .await
            .map_err(|_| MechanismError::unavailable("the runtime ends"))?
        };
        self.credentials.remember(salt, iterations, key.clone());
        Ok(key)
    }

    /// The proof for the server, and what the server has to prove in turn.
    fn proof(
        &mut self,
        bare: &str,
        challenge: &[u8],
        server: &ServerFirst,
        salted: &Secret,
    ) -> Step {
        let hash = self.credentials.hash;
        let without_proof = format!("{CHANNEL},r={}", server.nonce);
        let mut signed = bare.as_bytes().to_vec();
        signed.push(b',');
        signed.extend_from_slice(challenge);
        signed.push(b',');
        signed.extend_from_slice(without_proof.as_bytes());
        let client_key = hash.hmac(salted.expose(), b"Client Key");
        let stored_key = hash.digest(client_key.expose());
        let client_signature = hash.hmac(stored_key.expose(), &signed);
        let proof: Vec<u8> = client_key
            .expose()
            .iter()
            .zip(client_signature.expose())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = hash.hmac(salted.expose(), b"Server Key");
        self.state = State::Final {
            signature: hash.hmac(server_key.expose(), &signed),
        };
        Step::Send(format!("{without_proof},p={}", STANDARD.encode(proof)).into())
    }
}

impl Exchange for ScramExchange {
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
        Box::pin(self.next(challenge))
    }
}

/// What no login had before; the operating system's randomness, since an attacker must not guess it.
fn nonce() -> Result<String, MechanismError> {
    Ok(STANDARD.encode(random::<NONCE>()?))
}

/// The operating system's randomness.
pub(super) fn random<const N: usize>() -> Result<[u8; N], MechanismError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        MechanismError::unavailable(format!("the system has no randomness: {error}"))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{Mechanism, Scram, ScramHash};

    fn sent(step: Result<Step, MechanismError>) -> String {
        match step.unwrap() {
            Step::Send(message) => String::from_utf8(message.expose().to_vec()).unwrap(),
            Step::Done => panic!("done too soon"),
        }
    }

    fn login(scram: &Scram, nonce: &str) -> (ScramExchange, String) {
        let mut login = ScramExchange::new(scram.0.clone());
        let first = sent(login.first(nonce.to_owned()));
        (login, first)
    }

    /// The example of RFC 7677, section 3.
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    #[tokio::test]
    async fn the_rfcs_own_example_is_followed_to_the_byte() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil").unwrap();
        let (mut login, first) = login(&scram, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            sent(login.step(SERVER_FIRST).await),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(matches!(login.step(SERVER_FINAL).await, Ok(Step::Done)));
        assert!(login.step(b"").await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_does_not_know_the_password_is_not_trusted() {
        for last in [
            &b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="[..],
            b"v=",
            b"",
            b"e=other-error",
        ] {
            let scram = Scram::new(ScramHash::Sha256, "user", "pencil").unwrap();
            let (mut login, _) = login(&scram, "rOprNGfwEbeRWgbNEkqO");
            sent(login.step(SERVER_FIRST).await);
            assert!(login.step(last).await.unwrap_err().is_refused());
        }
    }

    #[tokio::test]
    async fn a_delegation_token_says_that_it_is_one() {
        let scram = Scram::delegation_token(ScramHash::Sha512, "id", "aG1hYw==").unwrap();
        assert_eq!(scram.name(), "SCRAM-SHA-512");
        let (_, first) = login(&scram, "abc");
        assert_eq!(first, "n,,n=id,r=abc,tokenauth=true");
    }

    #[tokio::test]
    async fn a_key_is_derived_once_for_all_brokers_with_the_same_salt() {
        let scram = Scram::new(ScramHash::Sha512, "user", "pencil").unwrap();
        let server = |salt: &[u8], iterations| ServerFirst {
            nonce: String::new(),
            salt: salt.to_vec(),
            iterations,
        };
        let login = ScramExchange::new(scram.0.clone());
        let key = login.salted(&server(b"salt", 4096)).await.unwrap();
        assert_eq!(key.expose().len(), 64);
        assert!(scram.0.known(b"salt", 4096).is_some());
        assert!(scram.0.known(b"salt", 8192).is_none());
        assert!(scram.0.known(b"other", 4096).is_none());
        // More than a worker may be kept for: elsewhere, with the same result as inline.
        let slow = login.salted(&server(b"salt", INLINE_ITERATIONS + 1)).await;
        let inline = ScramHash::Sha512.salted(&"pencil".into(), b"salt", INLINE_ITERATIONS + 1);
        assert_eq!(slow.unwrap().expose(), inline.expose());
    }

    #[tokio::test]
    async fn no_two_logins_have_the_same_nonce() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil").unwrap();
        let first = |mut exchange: Box<dyn Exchange>| async move { sent(exchange.step(b"").await) };
        let (a, b) = (
            first(scram.start("a", 1)).await,
            first(scram.start("a", 1)).await,
        );
        assert_ne!(a, b);
        assert!(a.starts_with("n,,n=user,r=") && a.len() == 12 + 24, "{a}");
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil").unwrap();
        let shown = format!("{scram:?}");
        assert!(
            shown.contains("user") && !shown.contains("pencil"),
            "{shown}"
        );
    }
}
