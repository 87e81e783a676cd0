//! AlterUserScramCredentials: gives users passwords for SCRAM and takes them away (KIP-554, Kafka 2.7).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::sasl::Secret;

#[derive(Clone, Debug)]
pub(crate) struct AlterUserScramCredentials {
    /// Users, each with Kafka's number of the hash.
    pub(crate) deletions: Vec<(Arc<str>, i8)>,
    pub(crate) upsertions: Vec<ScramUpsertion>,
}

#[derive(Clone, Debug)]
pub(crate) struct ScramUpsertion {
    pub(crate) user: Arc<str>,
    /// Kafka's number of the hash.
    pub(crate) mechanism: i8,
    pub(crate) iterations: i32,
    pub(crate) salt: Vec<u8>,
    /// From which the server's keys are made.
    pub(crate) salted_password: Secret,
}

#[derive(Clone, Debug)]
pub(crate) struct AlterUserScramCredentialsAnswer {
    pub(crate) throttle: Duration,
    /// A user each, however many changes were asked for.
    pub(crate) users: Vec<(Arc<str>, ErrorCode, Option<Arc<str>>)>,
}

impl Call for AlterUserScramCredentials {
    type Response = AlterUserScramCredentialsAnswer;
    const KEY: ApiKey = ApiKey::AlterUserScramCredentials;

    fn throttle(response: &AlterUserScramCredentialsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.deletions, |body, (user, mechanism)| {
            body.string(user);
            body.i8(*mechanism);
            body.no_tags();
        });
        body.array(&self.upsertions, |body, change| {
            body.string(&change.user);
            body.i8(change.mechanism);
            body.i32(change.iterations);
            body.bytes(&change.salt);
            body.bytes(change.salted_password.expose());
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let users = d.array(5, |d| {
            let user = (d.owned()?, d.code()?, d.nullable_owned()?);
            d.skip_tags()?;
            Ok(user)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(AlterUserScramCredentialsAnswer { throttle, users })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::alter_user_scram_credentials_request::{
        ScramCredentialDeletion, ScramCredentialUpsertion,
    };
    use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
    use kafka_protocol::messages::{
        AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    };

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = AlterUserScramCredentials {
            deletions: vec![("bob".into(), 1)],
            upsertions: vec![ScramUpsertion {
                user: "alice".into(),
                mechanism: 2,
                iterations: 4096,
                salt: vec![1, 2],
                salted_password: "key".into(),
            }],
        };
        assert!(!format!("{call:?}").contains("key"));
        let deletion = ScramCredentialDeletion::default()
            .with_name("bob".into())
            .with_mechanism(1);
        let upsertion = ScramCredentialUpsertion::default()
            .with_name("alice".into())
            .with_mechanism(2)
            .with_iterations(4096)
            .with_salt(Bytes::from_static(&[1, 2]))
            .with_salted_password(Bytes::from_static(b"key"));
        let expected = AlterUserScramCredentialsRequest::default()
            .with_deletions(vec![deletion])
            .with_upsertions(vec![upsertion]);
        for version in versions(ApiKey::AlterUserScramCredentials) {
            let read: AlterUserScramCredentialsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::AlterUserScramCredentials) {
            let refused = AlterUserScramCredentialsResult::default()
                .with_user("alice".into())
                .with_error_code(93)
                .with_error_message(Some("too few".into()))
                .with_unknown_tagged_fields(tag());
            let theirs = AlterUserScramCredentialsResponse::default()
                .with_throttle_time_ms(3)
                .with_results(vec![refused]);
            let body = encoded(&theirs, version);
            let answer = AlterUserScramCredentials::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let code = ErrorCode::UNACCEPTABLE_CREDENTIAL;
            let expected = [("alice".into(), code, Some("too few".into()))];
            assert_eq!(answer.users, expected);
            refuses_damage::<AlterUserScramCredentials>(version, &body);
        }
    }
}
