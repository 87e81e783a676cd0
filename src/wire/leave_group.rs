//! LeaveGroup: members are gone at once, not only when their sessions run out.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// From here on the request says why (KIP-800).
const REASON_FROM: i16 = 5;

#[derive(Clone, Debug)]
pub(crate) struct LeaveGroup {
    pub(crate) group: Arc<str>,
    /// Their member ids, and their instance ids where they are static members.
    pub(crate) members: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// For the broker's log; not sent below version 5.
    pub(crate) reason: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct LeaveGroupAnswer {
    pub(crate) throttle: Duration,
    /// The whole request's.
    pub(crate) code: ErrorCode,
    /// Each member's.
    pub(crate) members: Vec<ErrorCode>,
}

impl Call for LeaveGroup {
    type Response = LeaveGroupAnswer;
    const KEY: ApiKey = ApiKey::LeaveGroup;

    fn throttle(response: &LeaveGroupAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.array(&self.members, |body, (member, instance)| {
            body.string(member);
            body.nullable_string(instance.as_deref());
            if version >= REASON_FROM {
                body.nullable_string(self.reason.as_deref());
            }
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let members = d.array(5, |d| {
            d.string()?; // the member's id
            d.nullable_string()?; // its instance's
            let code = d.code()?;
            d.skip_tags()?;
            Ok(code)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(LeaveGroupAnswer {
            throttle,
            code,
            members,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::leave_group_request::MemberIdentity;
    use kafka_protocol::messages::leave_group_response::MemberResponse;
    use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::LeaveGroup) {
            for reason in [None, Some("closed")] {
                let call = LeaveGroup {
                    group: "g".into(),
                    members: vec![("m".into(), None), ("".into(), Some("i".into()))],
                    reason: reason.map(Into::into),
                };
                let member = |id: &'static str, instance: Option<&'static str>| {
                    let member = MemberIdentity::default()
                        .with_member_id(id.into())
                        .with_group_instance_id(instance.map(Into::into));
                    match reason {
                        Some(reason) if version >= 5 => member.with_reason(Some(reason.into())),
                        _ => member,
                    }
                };
                let expected = LeaveGroupRequest::default()
                    .with_group_id(StrBytes::from("g").into())
                    .with_members(vec![member("m", None), member("", Some("i"))]);
                let read: LeaveGroupRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::LeaveGroup) {
            let member = |id: &'static str, instance: Option<&'static str>, code| {
                MemberResponse::default()
                    .with_member_id(id.into())
                    .with_group_instance_id(instance.map(Into::into))
                    .with_error_code(code)
                    .with_unknown_tagged_fields(tag())
            };
            let theirs = LeaveGroupResponse::default()
                .with_throttle_time_ms(6)
                .with_error_code(16)
                .with_members(vec![member("m", None, 25), member("", Some("i"), 0)])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = LeaveGroup::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(6));
            assert_eq!(answer.code, ErrorCode::NOT_COORDINATOR);
            let expected = [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::NONE];
            assert_eq!(answer.members, expected, "version {version}");
            refuses_damage::<LeaveGroup>(version, &body);
        }
    }
}
