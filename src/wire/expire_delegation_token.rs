//! ExpireDelegationToken: ends a delegation token, at once or later (KIP-48).

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::sasl::Secret;

#[derive(Clone, Debug)]
pub(crate) struct ExpireDelegationToken {
    pub(crate) hmac: Secret,
    /// Milliseconds from now; below zero ends it at once.
    pub(crate) period: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ExpireDelegationTokenAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    /// When the token ends now: milliseconds since 1970.
    pub(crate) expires: i64,
}

fn is_flexible(version: i16) -> bool {
    version >= ApiKey::ExpireDelegationToken.flexible_from()
}

impl Call for ExpireDelegationToken {
    type Response = ExpireDelegationTokenAnswer;
    const KEY: ApiKey = ApiKey::ExpireDelegationToken;

    fn throttle(response: &ExpireDelegationTokenAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(version));
        body.bytes(self.hmac.expose());
        body.i64(self.period);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(version));
        let (code, expires) = (d.code()?, d.i64()?);
        let throttle = d.millis()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(ExpireDelegationTokenAnswer {
            throttle,
            code,
            expires,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = ExpireDelegationToken {
            hmac: "key".into(),
            period: -1,
        };
        let expected = ExpireDelegationTokenRequest::default()
            .with_hmac(Bytes::from_static(b"key"))
            .with_expiry_time_period_ms(-1);
        for version in versions(ApiKey::ExpireDelegationToken) {
            let read: ExpireDelegationTokenRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::ExpireDelegationToken) {
            let theirs = ExpireDelegationTokenResponse::default()
                .with_error_code(62)
                .with_expiry_timestamp_ms(5)
                .with_throttle_time_ms(3);
            let body = encoded(&theirs, version);
            let answer = ExpireDelegationToken::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::DELEGATION_TOKEN_NOT_FOUND);
            assert_eq!(answer.expires, 5);
            refuses_damage::<ExpireDelegationToken>(version, &body);
        }
    }
}
