//! DeleteGroups: removes groups with their offsets, at their coordinator.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DeleteGroups {
    pub(crate) groups: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct DeleteGroupsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) groups: Vec<(Arc<str>, ErrorCode)>,
}

impl Call for DeleteGroups {
    type Response = DeleteGroupsAnswer;
    const KEY: ApiKey = ApiKey::DeleteGroups;

    fn throttle(response: &DeleteGroupsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.groups, |body, group| body.string(group));
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let groups = d.array(4, |d| {
            let group = (d.owned()?, d.code()?);
            d.skip_tags()?;
            Ok(group)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DeleteGroupsAnswer { throttle, groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
    use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
    use kafka_protocol::protocol::StrBytes;

    fn group(text: &'static str) -> GroupId {
        StrBytes::from(text).into()
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DeleteGroups {
            groups: vec!["a".into(), "b".into()],
        };
        let expected =
            DeleteGroupsRequest::default().with_groups_names(vec![group("a"), group("b")]);
        for version in versions(ApiKey::DeleteGroups) {
            let read: DeleteGroupsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DeleteGroups) {
            let gone = DeletableGroupResult::default()
                .with_group_id(group("a"))
                .with_unknown_tagged_fields(tag());
            let kept = DeletableGroupResult::default()
                .with_group_id(group("b"))
                .with_error_code(68);
            let theirs = DeleteGroupsResponse::default()
                .with_throttle_time_ms(3)
                .with_results(vec![gone, kept])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = DeleteGroups::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let expected = [
                ("a".into(), ErrorCode::NONE),
                ("b".into(), ErrorCode::NON_EMPTY_GROUP),
            ];
            assert_eq!(answer.groups, expected, "version {version}");
            refuses_damage::<DeleteGroups>(version, &body);
        }
    }
}
