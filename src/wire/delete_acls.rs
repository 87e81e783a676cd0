//! DeleteAcls: removes the access control entries that filters let through, and tells which they were.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::acls::{AclEntry, AclMatch, LEAST_ENTRY, is_flexible};
use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DeleteAcls {
    pub(crate) filters: Vec<AclMatch>,
}

#[derive(Clone, Debug)]
pub(crate) struct DeleteAclsAnswer {
    pub(crate) throttle: Duration,
    /// Of each filter, in the order in which they were asked for.
    pub(crate) filters: Vec<DeletedByFilter>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeletedByFilter {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    /// Each with why it could not be removed.
    pub(crate) entries: Vec<(ErrorCode, Option<Arc<str>>, AclEntry)>,
}

impl Call for DeleteAcls {
    type Response = DeleteAclsAnswer;
    const KEY: ApiKey = ApiKey::DeleteAcls;

    fn throttle(response: &DeleteAclsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(Self::KEY, version));
        body.array(&self.filters, |body, filter| filter.encode(body));
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(Self::KEY, version));
        let throttle = d.millis()?;
        let filters = d.array(4, |d| {
            let filter = DeletedByFilter {
                code: d.code()?,
                message: d.nullable_owned()?,
                entries: d.array(3 + LEAST_ENTRY, |d| {
                    let entry = (d.code()?, d.nullable_owned()?, AclEntry::decode(d)?);
                    d.skip_tags()?;
                    Ok(entry)
                })?,
            };
            d.skip_tags()?;
            Ok(filter)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DeleteAclsAnswer { throttle, filters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::acls::samples;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
    use kafka_protocol::messages::delete_acls_response::{
        DeleteAclsFilterResult, DeleteAclsMatchingAcl,
    };
    use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DeleteAcls {
            filters: vec![samples::filter()],
        };
        let expected = DeleteAclsRequest::default().with_filters(vec![
            DeleteAclsFilter::default()
                .with_resource_type_filter(2)
                .with_resource_name_filter(Some("events".into()))
                .with_pattern_type_filter(2)
                .with_principal_filter(None)
                .with_host_filter(Some("10.0.0.1".into()))
                .with_operation(1)
                .with_permission_type(1),
        ]);
        for version in versions(ApiKey::DeleteAcls) {
            let read: DeleteAclsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DeleteAcls) {
            let entry = DeleteAclsMatchingAcl::default()
                .with_error_code(-1)
                .with_error_message(Some("lost".into()))
                .with_resource_type(2)
                .with_resource_name("events-".into())
                .with_pattern_type(4)
                .with_principal("User:alice".into())
                .with_host("*".into())
                .with_operation(3)
                .with_permission_type(3);
            let filter = DeleteAclsFilterResult::default()
                .with_error_code(31)
                .with_error_message(Some("no".into()))
                .with_matching_acls(vec![entry]);
            let theirs = DeleteAclsResponse::default()
                .with_throttle_time_ms(3)
                .with_filter_results(vec![DeleteAclsFilterResult::default(), filter]);
            let body = encoded(&theirs, version);
            let answer = DeleteAcls::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let lost = ErrorCode::UNKNOWN_SERVER_ERROR;
            let expected = DeletedByFilter {
                code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
                message: Some("no".into()),
                entries: vec![(lost, Some("lost".into()), samples::entry())],
            };
            assert_eq!(answer.filters.len(), 2);
            assert_eq!(answer.filters[1], expected, "version {version}");
            refuses_damage::<DeleteAcls>(version, &body);
        }
    }
}
