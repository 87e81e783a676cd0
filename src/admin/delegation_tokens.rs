//! Delegation tokens: passwords for a while, which who has logged in otherwise hands on (KIP-48).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::advice::advised;
use super::principal::KafkaPrincipal;
use super::{Admin, refusal, time};
use crate::error::Result;
use crate::sasl::{MechanismError, Scram, ScramHash, Secret};
use crate::wire::{
    ChangeDelegationToken, CreateDelegationToken, DescribeDelegationToken, DescribedToken,
    ExpireDelegationToken, RenewDelegationToken,
};

/// A password for a while, by which its owner is logged in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DelegationToken {
    /// Who is logged in by it.
    pub owner: KafkaPrincipal,
    /// Who asked for it, where the broker tells (Kafka 3.3).
    pub requester: Option<KafkaPrincipal>,
    /// Who may renew and end it besides its owner; empty in the answer to its creation.
    pub renewers: Vec<KafkaPrincipal>,
    /// Its id, which takes the place of a user's name.
    pub id: Arc<str>,
    /// The secret itself, as bytes.
    pub hmac: Secret,
    /// When it was made, by the broker's clock.
    pub issued: SystemTime,
    /// When it ends if nobody renews it.
    pub expires: SystemTime,
    /// Until when it can be renewed.
    pub max_timestamp: SystemTime,
}

impl DelegationToken {
    /// The secret as programs hand it to each other, in base64; it takes the place of a password.
    #[must_use]
    pub fn hmac_base64(&self) -> Secret {
        STANDARD.encode(self.hmac.expose()).into()
    }

    /// The login by it, for [`ClientBuilder::sasl`](crate::ClientBuilder::sasl).
    ///
    /// # Errors
    /// [`MechanismError`] for a token without a secret, such as one that the broker tells of but does not hand out.
    pub fn login(&self, hash: ScramHash) -> Result<Scram, MechanismError> {
        Scram::delegation_token(hash, &*self.id, self.hmac_base64())
    }
}

/// A delegation token to be made. Kafka: `CreateDelegationTokenOptions`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct NewDelegationToken {
    owner: Option<KafkaPrincipal>,
    renewers: Vec<KafkaPrincipal>,
    max_lifetime: Option<Duration>,
}

impl NewDelegationToken {
    /// One for whoever asks, which nobody else may renew.
    pub fn new() -> Self {
        Self::default()
    }

    /// For somebody else, as whom this client may make tokens (the operation `CreateTokens` on the resource `User`).
    /// KIP-373, Kafka 3.3. Default: who asks.
    pub fn owner(mut self, owner: KafkaPrincipal) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Somebody who may renew and end it besides its owner; can be said more than once.
    pub fn renewer(mut self, renewer: KafkaPrincipal) -> Self {
        self.renewers.push(renewer);
        self
    }

    /// For how long it can be renewed, at most. Default: the broker's `delegation.token.max.lifetime.ms`, 7 days.
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.max_lifetime = Some(time);
        self
    }
}

impl Admin {
    /// Makes a delegation token. Kafka: `CreateDelegationToken`.
    ///
    /// It ends after the broker's `delegation.token.expiry.time.ms` (1 day) unless it is renewed. An answer that was
    /// lost leaves a token behind that nobody uses, and another is made.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `DELEGATION_TOKEN_AUTH_DISABLED` where brokers make none,
    /// `DELEGATION_TOKEN_REQUEST_NOT_ALLOWED` to who is not logged in or is by a token,
    /// `DELEGATION_TOKEN_AUTHORIZATION_FAILED` for somebody else; [`Error::Unsupported`](crate::Error::Unsupported) for
    /// somebody else of a broker older than Kafka 3.3.
    pub async fn create_delegation_token(
        &self,
        token: NewDelegationToken,
    ) -> Result<DelegationToken> {
        let call = &CreateDelegationToken {
            owner: token.owner.map(KafkaPrincipal::wire),
            renewers: token
                .renewers
                .into_iter()
                .map(KafkaPrincipal::wire)
                .collect(),
            max_lifetime: token.max_lifetime.map_or(-1, millis),
        };
        let answer = self
            .calls
            .with_retries("create delegation token", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "creating a delegation token".to_owned();
                advised(refusal(answer.code, None, context))?;
                Ok(answer)
            })
            .await?;
        Ok(DelegationToken {
            owner: KafkaPrincipal::of(answer.owner),
            requester: answer.requester.map(KafkaPrincipal::of),
            renewers: Vec::new(),
            id: answer.id,
            hmac: answer.hmac,
            issued: time(answer.issued),
            expires: time(answer.expires),
            max_timestamp: time(answer.max),
        })
    }

    /// Prolongs a delegation token, by its secret; tells when it ends now. Kafka: `RenewDelegationToken`.
    ///
    /// It ends so long from now, or at the time until which it can be renewed, whichever comes first; `None` is the
    /// broker's `delegation.token.expiry.time.ms` (1 day).
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `DELEGATION_TOKEN_NOT_FOUND`, `DELEGATION_TOKEN_EXPIRED`,
    /// `DELEGATION_TOKEN_OWNER_MISMATCH` to who is neither its owner nor a renewer.
    pub async fn renew_delegation_token(
        &self,
        hmac: &Secret,
        period: Option<Duration>,
    ) -> Result<SystemTime> {
        let call = RenewDelegationToken {
            hmac: hmac.clone(),
            period: period.map_or(-1, millis),
        };
        let (what, doing) = ("renew delegation token", "renewing a delegation token");
        self.change_delegation_token(&call, what, doing).await
    }

    /// Ends a delegation token, by its secret, so long from now, `None` at once; tells when it ends. Kafka:
    /// `ExpireDelegationToken`.
    ///
    /// # Errors
    /// As [`renew_delegation_token`](Self::renew_delegation_token).
    pub async fn expire_delegation_token(
        &self,
        hmac: &Secret,
        after: Option<Duration>,
    ) -> Result<SystemTime> {
        let call = ExpireDelegationToken {
            hmac: hmac.clone(),
            period: after.map_or(-1, millis),
        };
        let (what, doing) = ("expire delegation token", "ending a delegation token");
        self.change_delegation_token(&call, what, doing).await
    }

    /// Changes when a token ends; tells when it ends now.
    async fn change_delegation_token<const RENEWS: bool>(
        &self,
        call: &ChangeDelegationToken<RENEWS>,
        what: &'static str,
        doing: &str,
    ) -> Result<SystemTime> {
        let answer = self
            .calls
            .with_retries(what, || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                advised(refusal(answer.code, None, || doing.to_owned()))?;
                Ok(answer)
            })
            .await?;
        Ok(time(answer.expires))
    }

    /// The delegation tokens that this client may see, by their ids: its own, those that it may renew, and those that it
    /// was given the right to describe. Kafka: `DescribeDelegationToken`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `DELEGATION_TOKEN_AUTH_DISABLED` where brokers make none,
    /// `DELEGATION_TOKEN_REQUEST_NOT_ALLOWED` to who is not logged in.
    pub async fn describe_delegation_tokens(&self) -> Result<Vec<DelegationToken>> {
        self.tokens_of(None).await
    }

    /// The same, of those alone of which one of these is the owner or a renewer.
    ///
    /// # Errors
    /// As [`describe_delegation_tokens`](Self::describe_delegation_tokens).
    pub async fn describe_delegation_tokens_of(
        &self,
        owners: impl IntoIterator<Item = KafkaPrincipal>,
    ) -> Result<Vec<DelegationToken>> {
        let owners = owners.into_iter().map(KafkaPrincipal::wire).collect();
        self.tokens_of(Some(owners)).await
    }

    async fn tokens_of(
        &self,
        owners: Option<Vec<crate::wire::Principal>>,
    ) -> Result<Vec<DelegationToken>> {
        let call = &DescribeDelegationToken { owners };
        let answer = self
            .calls
            .with_retries("describe delegation tokens", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing delegation tokens".to_owned();
                advised(refusal(answer.code, None, context))?;
                Ok(answer)
            })
            .await?;
        let mut tokens: Vec<_> = answer.tokens.into_iter().map(describe).collect();
        tokens.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(tokens)
    }
}

fn describe(told: DescribedToken) -> DelegationToken {
    DelegationToken {
        owner: KafkaPrincipal::of(told.owner),
        requester: told.requester.map(KafkaPrincipal::of),
        renewers: told.renewers.into_iter().map(KafkaPrincipal::of).collect(),
        id: told.id,
        hmac: told.hmac,
        issued: time(told.issued),
        expires: time(told.expires),
        max_timestamp: time(told.max),
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_tokens_secret_is_never_shown_and_is_handed_on_in_base64() {
        let user = |name: &str| ("User".into(), name.into());
        let token = describe(DescribedToken {
            owner: user("alice"),
            requester: None,
            issued: 1000,
            expires: 2000,
            max: -1,
            id: "t-1".into(),
            hmac: "open sesame".into(),
            renewers: vec![user("bob")],
        });
        assert!(!format!("{token:?}").contains("sesame"));
        assert_eq!(token.hmac_base64().expose(), b"b3BlbiBzZXNhbWU=");
        assert_eq!(token.owner.to_string(), "User:alice");
        assert_eq!(token.renewers, [KafkaPrincipal::user("bob")]);
        assert_eq!(token.expires, UNIX_EPOCH + Duration::from_secs(2));
        assert_eq!(token.max_timestamp, UNIX_EPOCH);
        let login = format!("{:?}", token.login(ScramHash::Sha256).unwrap());
        assert!(login.contains("t-1") && !login.contains("b3Blb"), "{login}");
    }

    #[test]
    fn a_time_that_kafka_cannot_write_is_the_longest_there_is() {
        assert_eq!(millis(Duration::MAX), i64::MAX);
        assert_eq!(millis(Duration::from_micros(1500)), 1);
    }
}
