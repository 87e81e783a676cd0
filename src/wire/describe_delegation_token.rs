//! DescribeDelegationToken: the tokens that one may see (KIP-48).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::principal::{Principal, read_principal, write_principal};
use crate::error::ErrorCode;
use crate::sasl::Secret;

/// From here on it is told who asked for a token (KIP-373).
const REQUESTER_FROM: i16 = 3;

#[derive(Clone, Debug)]
pub(crate) struct DescribeDelegationToken {
    /// `None` for whosever they are.
    pub(crate) owners: Option<Vec<Principal>>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeDelegationTokenAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) tokens: Vec<DescribedToken>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribedToken {
    pub(crate) owner: Principal,
    /// Who asked for it, where the broker tells.
    pub(crate) requester: Option<Principal>,
    /// Times are milliseconds since 1970.
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    pub(crate) max: i64,
    pub(crate) id: Arc<str>,
    pub(crate) hmac: Secret,
    pub(crate) renewers: Vec<Principal>,
}

fn is_flexible(version: i16) -> bool {
    version >= ApiKey::DescribeDelegationToken.flexible_from()
}

impl Call for DescribeDelegationToken {
    type Response = DescribeDelegationTokenAnswer;
    const KEY: ApiKey = ApiKey::DescribeDelegationToken;

    fn throttle(response: &DescribeDelegationTokenAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(version));
        match &self.owners {
            None => body.null_array(),
            Some(owners) => body.array(owners, |body, owner| {
                write_principal(body, owner);
                body.no_tags();
            }),
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(version));
        let code = d.code()?;
        let tokens = d.array(29, |d| read_token(version, d))?;
        let throttle = d.millis()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeDelegationTokenAnswer {
            throttle,
            code,
            tokens,
        })
    }
}

fn read_token(version: i16, d: &mut Decoder) -> Result<DescribedToken, Malformed> {
    let owner = read_principal(d)?;
    let requester = match version {
        REQUESTER_FROM.. => Some(read_principal(d)?),
        _ => None,
    };
    let token = DescribedToken {
        owner,
        requester,
        issued: d.i64()?,
        expires: d.i64()?,
        max: d.i64()?,
        id: d.owned()?,
        hmac: d.bytes()?.to_vec().into(),
        renewers: d.array(2, |d| {
            let renewer = read_principal(d)?;
            d.skip_tags()?;
            Ok(renewer)
        })?,
    };
    d.skip_tags()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenOwner;
    use kafka_protocol::messages::describe_delegation_token_response::{
        DescribedDelegationToken, DescribedDelegationTokenRenewer,
    };
    use kafka_protocol::messages::{
        DescribeDelegationTokenRequest, DescribeDelegationTokenResponse,
    };

    fn user(name: &str) -> Principal {
        ("User".into(), name.into())
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let alice = DescribeDelegationTokenOwner::default()
            .with_principal_type("User".into())
            .with_principal_name("alice".into());
        for version in versions(ApiKey::DescribeDelegationToken) {
            for (owners, theirs) in [
                (None, None),
                (Some(vec![user("alice")]), Some(vec![alice.clone()])),
            ] {
                let call = DescribeDelegationToken { owners };
                let read: DescribeDelegationTokenRequest = request(&call, version);
                let expected = DescribeDelegationTokenRequest::default().with_owners(theirs);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeDelegationToken) {
            let renewer = DescribedDelegationTokenRenewer::default()
                .with_principal_type("User".into())
                .with_principal_name("bob".into());
            let mut token = DescribedDelegationToken::default()
                .with_principal_type("User".into())
                .with_principal_name("alice".into())
                .with_issue_timestamp(1)
                .with_expiry_timestamp(2)
                .with_max_timestamp(3)
                .with_token_id("t-1".into())
                .with_hmac(Bytes::from_static(b"key"))
                .with_renewers(vec![renewer]);
            if version >= REQUESTER_FROM {
                token = token
                    .with_token_requester_principal_type("User".into())
                    .with_token_requester_principal_name("carol".into());
            }
            let theirs = DescribeDelegationTokenResponse::default()
                .with_error_code(65)
                .with_tokens(vec![token])
                .with_throttle_time_ms(4);
            let body = encoded(&theirs, version);
            let answer = DescribeDelegationToken::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            let refused = ErrorCode::DELEGATION_TOKEN_AUTHORIZATION_FAILED;
            assert_eq!(answer.code, refused);
            let [token] = &answer.tokens[..] else {
                panic!("{answer:?}");
            };
            assert_eq!(token.owner, user("alice"));
            let requester = (version >= REQUESTER_FROM).then(|| user("carol"));
            assert_eq!(token.requester, requester);
            assert_eq!((token.issued, token.expires, token.max), (1, 2, 3));
            assert_eq!(&*token.id, "t-1");
            assert_eq!(token.hmac.expose(), b"key");
            assert_eq!(token.renewers, [user("bob")]);
            refuses_damage::<DescribeDelegationToken>(version, &body);
        }
    }
}
