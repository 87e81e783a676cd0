//! CreateDelegationToken: a password for a while, for who has logged in otherwise (KIP-48).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::principal::{Principal, read_principal, write_principal};
use crate::error::ErrorCode;
use crate::sasl::Secret;

/// From here on a token may be made for somebody else (KIP-373).
const OWNER_FROM: i16 = 3;

#[derive(Clone, Debug)]
pub(crate) struct CreateDelegationToken {
    /// `None` for whoever asks.
    pub(crate) owner: Option<Principal>,
    pub(crate) renewers: Vec<Principal>,
    /// Milliseconds; -1 for as long as the broker allows.
    pub(crate) max_lifetime: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateDelegationTokenAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) owner: Principal,
    /// Who asked, where the broker tells.
    pub(crate) requester: Option<Principal>,
    /// Times are milliseconds since 1970.
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    pub(crate) max: i64,
    pub(crate) id: Arc<str>,
    pub(crate) hmac: Secret,
}

fn is_flexible(version: i16) -> bool {
    version >= ApiKey::CreateDelegationToken.flexible_from()
}

impl Call for CreateDelegationToken {
    type Response = CreateDelegationTokenAnswer;
    const KEY: ApiKey = ApiKey::CreateDelegationToken;

    fn min_version(&self) -> i16 {
        match self.owner {
            Some(_) => OWNER_FROM,
            None => Self::KEY.supported().0,
        }
    }

    fn throttle(response: &CreateDelegationTokenAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(version));
        if version >= OWNER_FROM {
            let owner = self.owner.as_ref();
            body.nullable_string(owner.map(|owner| &*owner.0));
            body.nullable_string(owner.map(|owner| &*owner.1));
        }
        body.array(&self.renewers, |body, renewer| {
            write_principal(body, renewer);
            body.no_tags();
        });
        body.i64(self.max_lifetime);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(version));
        let code = d.code()?;
        let owner = read_principal(&mut d)?;
        let requester = match version {
            OWNER_FROM.. => Some(read_principal(&mut d)?),
            _ => None,
        };
        let (issued, expires, max) = (d.i64()?, d.i64()?, d.i64()?);
        let id = d.owned()?;
        let hmac = d.bytes()?.to_vec().into();
        let throttle = d.millis()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(CreateDelegationTokenAnswer {
            throttle,
            code,
            owner,
            requester,
            issued,
            expires,
            max,
            id,
            hmac,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::create_delegation_token_request::CreatableRenewers;
    use kafka_protocol::messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};

    fn user(name: &str) -> Principal {
        ("User".into(), name.into())
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for owner in [None, Some(user("carol"))] {
            let call = CreateDelegationToken {
                owner,
                renewers: vec![user("bob")],
                max_lifetime: -1,
            };
            let renewer = CreatableRenewers::default()
                .with_principal_type("User".into())
                .with_principal_name("bob".into());
            for version in call.min_version()..=ApiKey::CreateDelegationToken.supported().1 {
                let mut expected = CreateDelegationTokenRequest::default()
                    .with_renewers(vec![renewer.clone()])
                    .with_max_lifetime_ms(-1);
                if version >= OWNER_FROM {
                    let owner = call.owner.as_ref();
                    expected = expected
                        .with_owner_principal_type(owner.map(|_| "User".into()))
                        .with_owner_principal_name(owner.map(|_| "carol".into()));
                }
                let read: CreateDelegationTokenRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::CreateDelegationToken) {
            let mut theirs = CreateDelegationTokenResponse::default()
                .with_error_code(61)
                .with_principal_type("User".into())
                .with_principal_name("alice".into())
                .with_issue_timestamp_ms(1)
                .with_expiry_timestamp_ms(2)
                .with_max_timestamp_ms(3)
                .with_token_id("t-1".into())
                .with_hmac(Bytes::from_static(b"key"))
                .with_throttle_time_ms(4);
            if version >= OWNER_FROM {
                theirs = theirs
                    .with_token_requester_principal_type("User".into())
                    .with_token_requester_principal_name("bob".into());
            }
            let body = encoded(&theirs, version);
            let answer = CreateDelegationToken::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            assert_eq!(answer.code, ErrorCode::DELEGATION_TOKEN_AUTH_DISABLED);
            assert_eq!(answer.owner, user("alice"));
            let requester = (version >= OWNER_FROM).then(|| user("bob"));
            assert_eq!(answer.requester, requester);
            assert_eq!((answer.issued, answer.expires, answer.max), (1, 2, 3));
            assert_eq!(&*answer.id, "t-1");
            assert_eq!(answer.hmac.expose(), b"key");
            refuses_damage::<CreateDelegationToken>(version, &body);
        }
    }
}
