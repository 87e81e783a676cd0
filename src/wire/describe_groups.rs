//! DescribeGroups: a group's state and members, from its coordinator.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// From here on a group's error comes with a message, and a group that does not exist is an error (KIP-1043).
const MESSAGE_FROM: i16 = 6;

#[derive(Clone, Debug)]
pub(crate) struct DescribeGroups {
    pub(crate) groups: Vec<Arc<str>>,
    /// Whether to tell what the asker may do (KIP-430).
    pub(crate) operations: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeGroupsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) groups: Vec<DescribedGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedGroup {
    pub(crate) code: ErrorCode,
    /// Never there below version 6.
    pub(crate) message: Option<Arc<str>>,
    pub(crate) group: Arc<str>,
    pub(crate) state: Arc<str>,
    /// `consumer` for consumers.
    pub(crate) protocol_type: Arc<str>,
    /// The assignor that the members agreed on, empty for none.
    pub(crate) protocol: Arc<str>,
    pub(crate) members: Vec<DescribedMember>,
    /// What the asker may do, a bit for each of Kafka's numbers; `i32::MIN` where that is not told.
    pub(crate) operations: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) client_id: Arc<str>,
    pub(crate) host: Arc<str>,
    /// What it subscribed to, in the format of its protocol type.
    pub(crate) subscription: Bytes,
    /// What it was given, in the format of its protocol type; empty while the group rebalances.
    pub(crate) assignment: Bytes,
}

impl Call for DescribeGroups {
    type Response = DescribeGroupsAnswer;
    const KEY: ApiKey = ApiKey::DescribeGroups;

    fn throttle(response: &DescribeGroupsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.groups, |body, group| body.string(group));
        body.bool(self.operations);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let groups = d.array(12, |d| read_group(version, d))?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeGroupsAnswer { throttle, groups })
    }
}

fn read_group(version: i16, d: &mut Decoder) -> Result<DescribedGroup, Malformed> {
    let code = d.code()?;
    let message = if version >= MESSAGE_FROM {
        d.nullable_owned()?
    } else {
        None
    };
    let group = DescribedGroup {
        code,
        message,
        group: d.owned()?,
        state: d.owned()?,
        protocol_type: d.owned()?,
        protocol: d.owned()?,
        members: d.array(7, read_member)?,
        operations: d.i32()?,
    };
    d.skip_tags()?;
    Ok(group)
}

fn read_member(d: &mut Decoder) -> Result<DescribedMember, Malformed> {
    let member = DescribedMember {
        member_id: d.owned()?,
        instance_id: d.nullable_owned()?,
        client_id: d.owned()?,
        host: d.owned()?,
        subscription: d.bytes()?,
        assignment: d.bytes()?,
    };
    d.skip_tags()?;
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_groups_response::{
        DescribedGroup as TheirGroup, DescribedGroupMember,
    };
    use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DescribeGroups {
            groups: vec!["a".into(), "b".into()],
            operations: true,
        };
        let group = |text: &'static str| StrBytes::from(text).into();
        let expected = DescribeGroupsRequest::default()
            .with_groups(vec![group("a"), group("b")])
            .with_include_authorized_operations(true);
        for version in versions(ApiKey::DescribeGroups) {
            let read: DescribeGroupsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    fn theirs(version: i16) -> DescribeGroupsResponse {
        let member = DescribedGroupMember::default()
            .with_member_id("m-1".into())
            .with_group_instance_id(Some("i-1".into()))
            .with_client_id("c".into())
            .with_client_host("/10.0.0.7".into())
            .with_member_metadata(Bytes::from_static(b"subscribed"))
            .with_member_assignment(Bytes::from_static(b"assigned"))
            .with_unknown_tagged_fields(tag());
        let group = TheirGroup::default()
            .with_group_id(StrBytes::from("g").into())
            .with_group_state("Stable".into())
            .with_protocol_type("consumer".into())
            .with_protocol_data("range".into())
            .with_members(vec![member, DescribedGroupMember::default()])
            .with_authorized_operations(i32::MIN)
            .with_unknown_tagged_fields(tag());
        let mut bad = TheirGroup::default()
            .with_group_id(StrBytes::from("bad").into())
            .with_error_code(69);
        if version >= 6 {
            bad.error_message = Some("no such group".into());
        }
        DescribeGroupsResponse::default()
            .with_throttle_time_ms(4)
            .with_groups(vec![group, bad])
            .with_unknown_tagged_fields(tag())
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeGroups) {
            let body = encoded(&theirs(version), version);
            let answer = DescribeGroups::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            let member = DescribedMember {
                member_id: "m-1".into(),
                instance_id: Some("i-1".into()),
                client_id: "c".into(),
                host: "/10.0.0.7".into(),
                subscription: Bytes::from_static(b"subscribed"),
                assignment: Bytes::from_static(b"assigned"),
            };
            let blank = DescribedMember {
                member_id: "".into(),
                instance_id: None,
                client_id: "".into(),
                host: "".into(),
                subscription: Bytes::new(),
                assignment: Bytes::new(),
            };
            let group = DescribedGroup {
                code: ErrorCode::NONE,
                message: None,
                group: "g".into(),
                state: "Stable".into(),
                protocol_type: "consumer".into(),
                protocol: "range".into(),
                members: vec![member, blank],
                operations: i32::MIN,
            };
            let bad = DescribedGroup {
                code: ErrorCode::GROUP_ID_NOT_FOUND,
                message: (version >= 6).then(|| "no such group".into()),
                group: "bad".into(),
                state: "".into(),
                protocol_type: "".into(),
                protocol: "".into(),
                members: vec![],
                operations: i32::MIN,
            };
            assert_eq!(answer.groups, [group, bad], "version {version}");
            refuses_damage::<DescribeGroups>(version, &body);
        }
    }
}
