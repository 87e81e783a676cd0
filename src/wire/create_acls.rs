//! CreateAcls: adds access control entries.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::acls::{AclEntry, is_flexible};
use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct CreateAcls {
    pub(crate) entries: Vec<AclEntry>,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateAclsAnswer {
    pub(crate) throttle: Duration,
    /// Of each entry, in the order in which they were asked for.
    pub(crate) results: Vec<(ErrorCode, Option<Arc<str>>)>,
}

impl Call for CreateAcls {
    type Response = CreateAclsAnswer;
    const KEY: ApiKey = ApiKey::CreateAcls;

    fn throttle(response: &CreateAclsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(Self::KEY, version));
        body.array(&self.entries, |body, entry| entry.encode(body));
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(Self::KEY, version));
        let throttle = d.millis()?;
        let results = d.array(3, |d| {
            let result = (d.code()?, d.nullable_owned()?);
            d.skip_tags()?;
            Ok(result)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(CreateAclsAnswer { throttle, results })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::acls::samples;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::create_acls_request::AclCreation;
    use kafka_protocol::messages::create_acls_response::AclCreationResult;
    use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = CreateAcls {
            entries: vec![samples::entry()],
        };
        let expected = CreateAclsRequest::default().with_creations(vec![
            AclCreation::default()
                .with_resource_type(2)
                .with_resource_name("events-".into())
                .with_resource_pattern_type(4)
                .with_principal("User:alice".into())
                .with_host("*".into())
                .with_operation(3)
                .with_permission_type(3),
        ]);
        for version in versions(ApiKey::CreateAcls) {
            let read: CreateAclsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::CreateAcls) {
            let refused = AclCreationResult::default()
                .with_error_code(42)
                .with_error_message(Some("no such resource".into()));
            let theirs = CreateAclsResponse::default()
                .with_throttle_time_ms(3)
                .with_results(vec![AclCreationResult::default(), refused]);
            let body = encoded(&theirs, version);
            let answer = CreateAcls::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let [(done, _), (code, message)] = &answer.results[..] else {
                panic!("{answer:?}");
            };
            assert!(done.is_none());
            assert_eq!(*code, ErrorCode::INVALID_REQUEST);
            assert_eq!(message.as_deref(), Some("no such resource"));
            refuses_damage::<CreateAcls>(version, &body);
        }
    }
}
