//! RenewDelegationToken and ExpireDelegationToken: change when a delegation token ends (KIP-48); both ask and are answered alike.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::sasl::Secret;

/// Prolongs a token.
pub(crate) type RenewDelegationToken = ChangeDelegationToken<true>;

/// Ends a token, at once or later.
pub(crate) type ExpireDelegationToken = ChangeDelegationToken<false>;

#[derive(Clone, Debug)]
pub(crate) struct ChangeDelegationToken<const RENEWS: bool> {
    pub(crate) hmac: Secret,
    /// Milliseconds from now. Below zero: when renewing, what the broker has as its default; when ending, at once.
    pub(crate) period: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ChangeDelegationTokenAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    /// When the token ends now: milliseconds since 1970.
    pub(crate) expires: i64,
}

impl<const RENEWS: bool> ChangeDelegationToken<RENEWS> {
    fn is_flexible(version: i16) -> bool {
        version >= Self::KEY.flexible_from()
    }
}

impl<const RENEWS: bool> Call for ChangeDelegationToken<RENEWS> {
    type Response = ChangeDelegationTokenAnswer;
    const KEY: ApiKey = if RENEWS {
        ApiKey::RenewDelegationToken
    } else {
        ApiKey::ExpireDelegationToken
    };

    fn throttle(response: &ChangeDelegationTokenAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, Self::is_flexible(version));
        body.bytes(self.hmac.expose());
        body.i64(self.period);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, Self::is_flexible(version));
        let (code, expires) = (d.code()?, d.i64()?);
        let throttle = d.millis()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(ChangeDelegationTokenAnswer {
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
    use kafka_protocol::messages::{
        ExpireDelegationTokenRequest, ExpireDelegationTokenResponse, RenewDelegationTokenRequest,
        RenewDelegationTokenResponse,
    };

    fn call<const RENEWS: bool>() -> ChangeDelegationToken<RENEWS> {
        ChangeDelegationToken {
            hmac: "key".into(),
            period: -1,
        }
    }

    #[test]
    fn the_requests_are_what_kafka_protocol_reads() {
        let renewing = RenewDelegationTokenRequest::default()
            .with_hmac(Bytes::from_static(b"key"))
            .with_renew_period_ms(-1);
        for version in versions(ApiKey::RenewDelegationToken) {
            let read: RenewDelegationTokenRequest = request(&call::<true>(), version);
            assert_eq!(read, renewing, "version {version}");
        }
        let ending = ExpireDelegationTokenRequest::default()
            .with_hmac(Bytes::from_static(b"key"))
            .with_expiry_time_period_ms(-1);
        for version in versions(ApiKey::ExpireDelegationToken) {
            let read: ExpireDelegationTokenRequest = request(&call::<false>(), version);
            assert_eq!(read, ending, "version {version}");
        }
    }

    fn assert_read<const RENEWS: bool>(version: i16, body: &Bytes) {
        let answer = ChangeDelegationToken::<RENEWS>::decode(version, body.clone()).unwrap();
        assert_eq!(answer.throttle, Duration::from_millis(3));
        assert_eq!(answer.code, ErrorCode::DELEGATION_TOKEN_NOT_FOUND);
        assert_eq!(answer.expires, 5);
        refuses_damage::<ChangeDelegationToken<RENEWS>>(version, body);
    }

    #[test]
    fn the_answers_are_what_kafka_protocol_writes() {
        for version in versions(ApiKey::RenewDelegationToken) {
            let theirs = RenewDelegationTokenResponse::default()
                .with_error_code(62)
                .with_expiry_timestamp_ms(5)
                .with_throttle_time_ms(3);
            assert_read::<true>(version, &encoded(&theirs, version));
        }
        for version in versions(ApiKey::ExpireDelegationToken) {
            let theirs = ExpireDelegationTokenResponse::default()
                .with_error_code(62)
                .with_expiry_timestamp_ms(5)
                .with_throttle_time_ms(3);
            assert_read::<false>(version, &encoded(&theirs, version));
        }
    }
}
