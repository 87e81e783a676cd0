//! SaslAuthenticate: one message of a login and the broker's answer to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::sasl::Secret;

/// The first version whose strings are compact.
const FLEXIBLE: i16 = 2;

#[derive(Clone, Debug)]
pub(crate) struct SaslAuthenticate {
    pub(crate) message: Secret,
}

#[derive(Clone, Debug)]
pub(crate) struct SaslAuthenticateAnswer {
    pub(crate) code: ErrorCode,
    pub(crate) error: Option<Arc<str>>,
    /// The mechanism's next challenge.
    pub(crate) challenge: Bytes,
    /// After so long the broker wants another login (KIP-368); `None` for never.
    pub(crate) session: Option<Duration>,
}

impl Call for SaslAuthenticate {
    type Response = SaslAuthenticateAnswer;
    const KEY: ApiKey = ApiKey::SaslAuthenticate;

    fn throttle(_response: &SaslAuthenticateAnswer) -> Duration {
        Duration::ZERO
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= FLEXIBLE);
        body.bytes(self.message.expose());
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= FLEXIBLE);
        let code = d.code()?;
        let error = d.nullable_owned()?;
        let challenge = d.bytes()?;
        let millis = if version >= 1 { d.i64()? } else { 0 };
        d.skip_tags()?;
        d.finish()?;
        let session = u64::try_from(millis)
            .ok()
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis);
        Ok(SaslAuthenticateAnswer {
            code,
            error,
            challenge,
            session,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::SaslAuthenticate) {
            let call = SaslAuthenticate {
                message: "\0alice\0secret".into(),
            };
            let read: SaslAuthenticateRequest = request(&call, version);
            let expected = SaslAuthenticateRequest::default()
                .with_auth_bytes(Bytes::from_static(b"\0alice\0secret"));
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::SaslAuthenticate) {
            for (millis, session) in [
                (0, None),
                (-1, None),
                (5000, Some(Duration::from_secs(5))),
                (i64::MAX, Some(Duration::from_millis(i64::MAX as u64))),
            ] {
                let mut theirs = SaslAuthenticateResponse::default()
                    .with_error_code(58)
                    .with_error_message(Some("no".into()))
                    .with_auth_bytes(Bytes::from_static(b"r=x"));
                if version >= 1 {
                    theirs = theirs.with_session_lifetime_ms(millis);
                }
                if version >= FLEXIBLE {
                    theirs = theirs.with_unknown_tagged_fields(tag());
                }
                let body = encoded(&theirs, version);
                let answer = SaslAuthenticate::decode(version, body.clone()).unwrap();
                assert_eq!(answer.code, ErrorCode::SASL_AUTHENTICATION_FAILED);
                assert_eq!(answer.error.as_deref(), Some("no"));
                assert_eq!(&answer.challenge[..], b"r=x");
                assert_eq!(answer.session, session.filter(|_| version >= 1));
                refuses_damage::<SaslAuthenticate>(version, &body);
            }
        }
    }
}
