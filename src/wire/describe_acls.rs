//! DescribeAcls: the access control entries that a filter lets through.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::acls::{AclEntry, AclMatch, is_flexible};
use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DescribeAcls {
    pub(crate) filter: AclMatch,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeAclsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) entries: Vec<AclEntry>,
}

impl Call for DescribeAcls {
    type Response = DescribeAclsAnswer;
    const KEY: ApiKey = ApiKey::DescribeAcls;

    fn throttle(response: &DescribeAclsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(Self::KEY, version));
        self.filter.encode(&mut body);
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(Self::KEY, version));
        let throttle = d.millis()?;
        let code = d.code()?;
        let message = d.nullable_owned()?;
        let resources = d.array(4, read_resource)?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeAclsAnswer {
            throttle,
            code,
            message,
            entries: resources.into_iter().flatten().collect(),
        })
    }
}

/// A resource with all its entries.
fn read_resource(d: &mut Decoder) -> Result<Vec<AclEntry>, Malformed> {
    let resource = d.i8()?;
    let name = d.owned()?;
    let pattern = d.i8()?;
    let entries = d.array(4, |d| {
        let entry = AclEntry {
            resource,
            name: Arc::clone(&name),
            pattern,
            principal: d.owned()?,
            host: d.owned()?,
            operation: d.i8()?,
            permission: d.i8()?,
        };
        d.skip_tags()?;
        Ok(entry)
    })?;
    d.skip_tags()?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::acls::samples;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
    use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DescribeAcls {
            filter: samples::filter(),
        };
        let expected = DescribeAclsRequest::default()
            .with_resource_type_filter(2)
            .with_resource_name_filter(Some("events".into()))
            .with_pattern_type_filter(2)
            .with_principal_filter(None)
            .with_host_filter(Some("10.0.0.1".into()))
            .with_operation(1)
            .with_permission_type(1);
        for version in versions(ApiKey::DescribeAcls) {
            let read: DescribeAclsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        let rule = |principal: &'static str| {
            AclDescription::default()
                .with_principal(principal.into())
                .with_host("*".into())
                .with_operation(3)
                .with_permission_type(3)
        };
        for version in versions(ApiKey::DescribeAcls) {
            let resource = DescribeAclsResource::default()
                .with_resource_type(2)
                .with_resource_name("events-".into())
                .with_pattern_type(4)
                .with_acls(vec![rule("User:alice"), rule("User:bob")]);
            let theirs = DescribeAclsResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(54)
                .with_error_message(Some("no authorizer".into()))
                .with_resources(vec![resource]);
            let body = encoded(&theirs, version);
            let answer = DescribeAcls::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::SECURITY_DISABLED);
            assert_eq!(answer.message.as_deref(), Some("no authorizer"));
            let bob = AclEntry {
                principal: "User:bob".into(),
                ..samples::entry()
            };
            assert_eq!(answer.entries, [samples::entry(), bob]);
            refuses_damage::<DescribeAcls>(version, &body);
        }
    }
}
