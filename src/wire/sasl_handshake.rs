//! SaslHandshake: which mechanism the login on this connection uses.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct SaslHandshake {
    pub(crate) mechanism: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct SaslHandshakeAnswer {
    pub(crate) code: ErrorCode,
    /// What the listener offers, whether or not it has taken ours.
    pub(crate) offered: Vec<Arc<str>>,
}

impl Call for SaslHandshake {
    type Response = SaslHandshakeAnswer;
    const KEY: ApiKey = ApiKey::SaslHandshake;

    fn throttle(_response: &SaslHandshakeAnswer) -> Duration {
        Duration::ZERO
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        Encoder::new(out, false).string(&self.mechanism);
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, false);
        let code = d.code()?;
        let offered = d.array(2, Decoder::owned)?;
        d.finish()?;
        Ok(SaslHandshakeAnswer { code, offered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::SaslHandshake) {
            let call = SaslHandshake {
                mechanism: "PLAIN".into(),
            };
            let read: SaslHandshakeRequest = request(&call, version);
            let expected =
                SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::SaslHandshake) {
            let theirs = SaslHandshakeResponse::default()
                .with_error_code(33)
                .with_mechanisms(vec!["GSSAPI".into(), "PLAIN".into()]);
            let body = encoded(&theirs, version);
            let answer = SaslHandshake::decode(version, body.clone()).unwrap();
            assert_eq!(answer.code, ErrorCode::UNSUPPORTED_SASL_MECHANISM);
            let offered: Vec<&str> = answer.offered.iter().map(|name| &**name).collect();
            assert_eq!(offered, ["GSSAPI", "PLAIN"]);
            refuses_damage::<SaslHandshake>(version, &body);
        }
    }
}
