//! JoinGroup: enters a group's next generation; the broker answers when all members have.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::PROTOCOL_TYPE;
use crate::error::ErrorCode;

/// From here on a member says why it joins (KIP-800).
const REASON_FROM: i16 = 8;

/// From here on a leader may be told that the assignment stands (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

#[derive(Clone, Debug)]
pub(crate) struct JoinGroup {
    pub(crate) group: Arc<str>,
    /// A member that sends no heartbeat for so long is gone.
    pub(crate) session_timeout: Duration,
    /// How long the broker waits for the other members.
    pub(crate) rebalance_timeout: Duration,
    /// Empty at first: the broker gives one.
    pub(crate) member_id: Arc<str>,
    /// A static member's (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    /// Assignors with what each is to know of this member, the preferred one first.
    pub(crate) protocols: Vec<(Arc<str>, Bytes)>,
    /// For the broker's log; not sent below version 8.
    pub(crate) reason: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct JoinGroupAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    /// -1 with an error.
    pub(crate) generation: i32,
    /// The assignor that all members have; `None` with an error.
    pub(crate) protocol: Option<Arc<str>>,
    /// The member id of the one who assigns.
    pub(crate) leader: Arc<str>,
    /// Whether the leader is to keep the assignment that the group has; never below version 9.
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: Arc<str>,
    /// Everyone, for the leader; empty for the others.
    pub(crate) members: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMember {
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    /// What the chosen assignor is to know of it; a slice of the frame.
    pub(crate) metadata: Bytes,
}

impl Call for JoinGroup {
    type Response = JoinGroupAnswer;
    const KEY: ApiKey = ApiKey::JoinGroup;

    fn held(&self) -> Option<Duration> {
        None
    }

    fn throttle(response: &JoinGroupAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.millis(self.session_timeout);
        body.millis(self.rebalance_timeout);
        body.string(&self.member_id);
        body.nullable_string(self.instance_id.as_deref());
        body.string(PROTOCOL_TYPE);
        body.array(&self.protocols, |body, (name, metadata)| {
            body.string(name);
            body.bytes(metadata);
            body.no_tags();
        });
        if version >= REASON_FROM {
            body.nullable_string(self.reason.as_deref());
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let generation = d.i32()?;
        d.nullable_string()?; // the protocol type
        let answer = JoinGroupAnswer {
            throttle,
            code,
            generation,
            protocol: d.nullable_owned()?,
            leader: d.owned()?,
            skip_assignment: version >= SKIP_ASSIGNMENT_FROM && d.bool()?,
            member_id: d.owned()?,
            members: d.array(4, read_member)?,
        };
        d.skip_tags()?;
        d.finish()?;
        Ok(answer)
    }
}

fn read_member(d: &mut Decoder) -> Result<GroupMember, Malformed> {
    let member = GroupMember {
        member_id: d.owned()?,
        instance_id: d.nullable_owned()?,
        metadata: d.bytes()?,
    };
    d.skip_tags()?;
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
    use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
    use kafka_protocol::protocol::StrBytes;

    fn call() -> JoinGroup {
        JoinGroup {
            group: "g".into(),
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            member_id: "member-1".into(),
            instance_id: Some("instance-1".into()),
            protocols: vec![
                ("range".into(), Bytes::from_static(b"\0\x01topics")),
                ("cooperative-sticky".into(), Bytes::new()),
            ],
            reason: Some("the subscription changed".into()),
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let protocol = |name: &'static str, metadata: &'static [u8]| {
            JoinGroupRequestProtocol::default()
                .with_name(name.into())
                .with_metadata(Bytes::from_static(metadata))
        };
        let first = JoinGroup {
            member_id: "".into(),
            instance_id: None,
            reason: None,
            ..call()
        };
        for call in [call(), first] {
            for version in versions(ApiKey::JoinGroup) {
                let text = |text: &str| StrBytes::from_string(text.into());
                let mut expected = JoinGroupRequest::default()
                    .with_group_id(StrBytes::from("g").into())
                    .with_session_timeout_ms(45_000)
                    .with_rebalance_timeout_ms(300_000)
                    .with_member_id(text(&call.member_id))
                    .with_group_instance_id(call.instance_id.as_deref().map(text))
                    .with_protocol_type("consumer".into())
                    .with_protocols(vec![
                        protocol("range", b"\0\x01topics"),
                        protocol("cooperative-sticky", b""),
                    ]);
                if version >= 8 {
                    expected.reason = call.reason.as_deref().map(text);
                }
                let read: JoinGroupRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::JoinGroup) {
            let member = JoinGroupResponseMember::default()
                .with_member_id("member-1".into())
                .with_group_instance_id(Some("instance-1".into()))
                .with_metadata(Bytes::from_static(b"topics"))
                .with_unknown_tagged_fields(tag());
            let plain = JoinGroupResponseMember::default().with_member_id("member-2".into());
            let theirs = JoinGroupResponse::default()
                .with_throttle_time_ms(3)
                .with_generation_id(17)
                .with_protocol_type(Some("consumer".into()))
                .with_protocol_name(Some("range".into()))
                .with_leader("member-1".into())
                .with_skip_assignment(version >= 9)
                .with_member_id("member-2".into())
                .with_members(vec![member, plain])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = JoinGroup::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!((answer.code, answer.generation), (ErrorCode::NONE, 17));
            assert_eq!(answer.protocol.as_deref(), Some("range"));
            assert_eq!(
                (&*answer.leader, &*answer.member_id),
                ("member-1", "member-2")
            );
            assert_eq!(answer.skip_assignment, version >= 9);
            let member = |id: &str, instance: Option<&str>, metadata| GroupMember {
                member_id: id.into(),
                instance_id: instance.map(Into::into),
                metadata: Bytes::from_static(metadata),
            };
            let expected = [
                member("member-1", Some("instance-1"), b"topics"),
                member("member-2", None, b""),
            ];
            assert_eq!(answer.members, expected, "version {version}");
            refuses_damage::<JoinGroup>(version, &body);
        }
    }

    #[test]
    fn an_error_comes_without_a_protocol_and_may_give_a_member_id() {
        for version in versions(ApiKey::JoinGroup) {
            let theirs = JoinGroupResponse::default()
                .with_error_code(79)
                .with_protocol_name(None)
                .with_member_id("given".into());
            let answer = JoinGroup::decode(version, encoded(&theirs, version)).unwrap();
            assert_eq!(answer.code, ErrorCode::MEMBER_ID_REQUIRED);
            assert_eq!((answer.generation, answer.protocol), (-1, None));
            assert_eq!((&*answer.leader, &*answer.member_id), ("", "given"));
            assert!(answer.members.is_empty());
        }
    }
}
