//! DescribeUserScramCredentials: which users have passwords for SCRAM (KIP-554, Kafka 2.7).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DescribeUserScramCredentials {
    /// `None` for all who have any.
    pub(crate) users: Option<Vec<Arc<str>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeUserScramCredentialsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) users: Vec<ScramUser>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScramUser {
    pub(crate) user: Arc<str>,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    /// Kafka's number of each hash, with its iterations.
    pub(crate) credentials: Vec<(i8, i32)>,
}

impl Call for DescribeUserScramCredentials {
    type Response = DescribeUserScramCredentialsAnswer;
    const KEY: ApiKey = ApiKey::DescribeUserScramCredentials;

    fn throttle(response: &DescribeUserScramCredentialsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        match &self.users {
            None => body.null_array(),
            Some(users) => body.array(users, |body, user| {
                body.string(user);
                body.no_tags();
            }),
        }
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let message = d.nullable_owned()?;
        let users = d.array(6, read_user)?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeUserScramCredentialsAnswer {
            throttle,
            code,
            message,
            users,
        })
    }
}

fn read_user(d: &mut Decoder) -> Result<ScramUser, Malformed> {
    let user = ScramUser {
        user: d.owned()?,
        code: d.code()?,
        message: d.nullable_owned()?,
        credentials: d.array(6, |d| {
            let credential = (d.i8()?, d.i32()?);
            d.skip_tags()?;
            Ok(credential)
        })?,
    };
    d.skip_tags()?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
    use kafka_protocol::messages::describe_user_scram_credentials_response::{
        CredentialInfo, DescribeUserScramCredentialsResult,
    };
    use kafka_protocol::messages::{
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    };

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::DescribeUserScramCredentials) {
            for users in [None, Some(vec!["alice".into()])] {
                let theirs = users.as_ref().map(|users: &Vec<Arc<str>>| {
                    let name = |_| UserName::default().with_name("alice".into());
                    users.iter().map(name).collect()
                });
                let expected = DescribeUserScramCredentialsRequest::default().with_users(theirs);
                let call = DescribeUserScramCredentials { users };
                let read: DescribeUserScramCredentialsRequest = request(&call, version);
                assert_eq!(read, expected);
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeUserScramCredentials) {
            let info = CredentialInfo::default()
                .with_mechanism(2)
                .with_iterations(8192)
                .with_unknown_tagged_fields(tag());
            let alice = DescribeUserScramCredentialsResult::default()
                .with_user("alice".into())
                .with_error_message(None)
                .with_credential_infos(vec![info]);
            let bob = DescribeUserScramCredentialsResult::default()
                .with_user("bob".into())
                .with_error_code(91)
                .with_error_message(Some("none".into()));
            let theirs = DescribeUserScramCredentialsResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(31)
                .with_error_message(Some("no".into()))
                .with_results(vec![alice, bob]);
            let body = encoded(&theirs, version);
            let answer = DescribeUserScramCredentials::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
            assert_eq!(answer.message.as_deref(), Some("no"));
            let alice = ScramUser {
                user: "alice".into(),
                code: ErrorCode::NONE,
                message: None,
                credentials: vec![(2, 8192)],
            };
            let bob = ScramUser {
                user: "bob".into(),
                code: ErrorCode::RESOURCE_NOT_FOUND,
                message: Some("none".into()),
                credentials: vec![],
            };
            assert_eq!(answer.users, [alice, bob]);
            refuses_damage::<DescribeUserScramCredentials>(version, &body);
        }
    }
}
