//! SyncGroup: brings the leader's assignments to the coordinator and to each member its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::PROTOCOL_TYPE;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct SyncGroup {
    pub(crate) group: Arc<str>,
    pub(crate) generation: i32,
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    /// The assignor that the answer to the join named.
    pub(crate) protocol: Arc<str>,
    /// Each member's, from the leader; empty from the others.
    pub(crate) assignments: Vec<(Arc<str>, Bytes)>,
}

#[derive(Clone, Debug)]
pub(crate) struct SyncGroupAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    /// This member's; a slice of the frame, empty with an error.
    pub(crate) assignment: Bytes,
}

impl Call for SyncGroup {
    type Response = SyncGroupAnswer;
    const KEY: ApiKey = ApiKey::SyncGroup;

    fn held(&self) -> Option<Duration> {
        None
    }

    fn throttle(response: &SyncGroupAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.i32(self.generation);
        body.string(&self.member_id);
        body.nullable_string(self.instance_id.as_deref());
        body.string(PROTOCOL_TYPE);
        body.string(&self.protocol);
        body.array(&self.assignments, |body, (member, assignment)| {
            body.string(member);
            body.bytes(assignment);
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        d.nullable_string()?; // the protocol type
        d.nullable_string()?; // the protocol
        let assignment = d.bytes()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(SyncGroupAnswer {
            throttle,
            code,
            assignment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
    use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let leader = SyncGroup {
            group: "g".into(),
            generation: 17,
            member_id: "m".into(),
            instance_id: Some("i".into()),
            protocol: "range".into(),
            assignments: vec![
                ("m".into(), Bytes::from_static(b"\0\x01mine")),
                ("n".into(), Bytes::new()),
            ],
        };
        let follower = SyncGroup {
            instance_id: None,
            assignments: vec![],
            ..leader.clone()
        };
        let text = |text: &Arc<str>| StrBytes::from_string(text.to_string());
        for call in [leader, follower] {
            let assignments = call.assignments.iter().map(|(member, assignment)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(member))
                    .with_assignment(assignment.clone())
            });
            let expected = SyncGroupRequest::default()
                .with_group_id(StrBytes::from("g").into())
                .with_generation_id(17)
                .with_member_id("m".into())
                .with_group_instance_id(call.instance_id.as_ref().map(text))
                .with_protocol_type(Some("consumer".into()))
                .with_protocol_name(Some("range".into()))
                .with_assignments(assignments.collect());
            for version in versions(ApiKey::SyncGroup) {
                let read: SyncGroupRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::SyncGroup) {
            let theirs = SyncGroupResponse::default()
                .with_throttle_time_ms(4)
                .with_protocol_type(Some("consumer".into()))
                .with_protocol_name(Some("range".into()))
                .with_assignment(Bytes::from_static(b"\0\x01mine"))
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = SyncGroup::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            assert_eq!(answer.code, ErrorCode::NONE);
            assert_eq!(answer.assignment.as_ref(), b"\0\x01mine");
            refuses_damage::<SyncGroup>(version, &body);

            let failed = SyncGroupResponse::default().with_error_code(27);
            let answer = SyncGroup::decode(version, encoded(&failed, version)).unwrap();
            assert_eq!(answer.code, ErrorCode::REBALANCE_IN_PROGRESS);
            assert!(answer.assignment.is_empty());
        }
    }
}
