//! ConsumerGroupDescribe and ShareGroupDescribe: groups whose coordinator shares out (KIP-848, KIP-932).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

/// From here on ConsumerGroupDescribe tells of each member whether it is of the classic protocol.
const TYPE_FROM: i16 = 1;

#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroupDescribe {
    pub(crate) groups: Vec<Arc<str>>,
    /// Whether to tell what the asker may do.
    pub(crate) operations: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ShareGroupDescribe {
    pub(crate) groups: Vec<Arc<str>>,
    /// Whether to tell what the asker may do.
    pub(crate) operations: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ModernGroups {
    pub(crate) throttle: Duration,
    pub(crate) groups: Vec<ModernGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModernGroup {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) group: Arc<str>,
    pub(crate) state: Arc<str>,
    /// The coordinator's, such as `uniform`.
    pub(crate) assignor: Arc<str>,
    pub(crate) members: Vec<ModernMember>,
    /// What the asker may do, a bit for each of Kafka's numbers; `i32::MIN` where that is not told.
    pub(crate) operations: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModernMember {
    pub(crate) member_id: Arc<str>,
    /// Never there in a share group.
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) client_id: Arc<str>,
    pub(crate) host: Arc<str>,
    pub(crate) topics: Vec<Arc<str>>,
    /// A pattern of topics that it subscribed to; never there in a share group.
    pub(crate) regex: Option<Arc<str>>,
    pub(crate) assignment: Topics<i32>,
}

fn encode(groups: &[Arc<str>], operations: bool, out: &mut BytesMut) {
    let mut body = Encoder::new(out, true);
    body.array(groups, |body, group| body.string(group));
    body.bool(operations);
    body.no_tags();
}

fn decode(
    body: Bytes,
    member: impl Fn(&mut Decoder) -> Result<ModernMember, Malformed>,
) -> Result<ModernGroups, Malformed> {
    let mut d = Decoder::new(body, true);
    let throttle = d.millis()?;
    let groups = d.array(20, |d| {
        let (code, message) = (d.code()?, d.nullable_owned()?);
        let (group, state) = (d.owned()?, d.owned()?);
        d.i32()?; // the group's epoch
        d.i32()?; // the assignment's epoch
        let group = ModernGroup {
            code,
            message,
            group,
            state,
            assignor: d.owned()?,
            members: d.array(12, &member)?,
            operations: d.i32()?,
        };
        d.skip_tags()?;
        Ok(group)
    })?;
    d.skip_tags()?;
    d.finish()?;
    Ok(ModernGroups { throttle, groups })
}

fn read_assignment(d: &mut Decoder) -> Result<Topics<i32>, Malformed> {
    let topics = d.array(19, |d| {
        d.topic_id()?;
        let name = d.owned()?;
        let partitions = d.array(4, Decoder::i32)?;
        d.skip_tags()?;
        Ok((name, partitions))
    })?;
    d.skip_tags()?;
    Ok(topics)
}

fn read_consumer(version: i16, d: &mut Decoder) -> Result<ModernMember, Malformed> {
    let (member_id, instance_id) = (d.owned()?, d.nullable_owned()?);
    d.nullable_string()?; // the rack
    d.i32()?; // the member's epoch
    let member = ModernMember {
        member_id,
        instance_id,
        client_id: d.owned()?,
        host: d.owned()?,
        topics: d.array(1, Decoder::owned)?,
        regex: d.nullable_owned()?,
        assignment: read_assignment(d)?,
    };
    read_assignment(d)?; // what it is to have
    if version >= TYPE_FROM {
        d.i8()?;
    }
    d.skip_tags()?;
    Ok(member)
}

fn read_sharer(d: &mut Decoder) -> Result<ModernMember, Malformed> {
    let member_id = d.owned()?;
    d.nullable_string()?; // the rack
    d.i32()?; // the member's epoch
    let member = ModernMember {
        member_id,
        instance_id: None,
        client_id: d.owned()?,
        host: d.owned()?,
        topics: d.array(1, Decoder::owned)?,
        regex: None,
        assignment: read_assignment(d)?,
    };
    d.skip_tags()?;
    Ok(member)
}

impl Call for ConsumerGroupDescribe {
    type Response = ModernGroups;
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;

    fn throttle(response: &ModernGroups) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        encode(&self.groups, self.operations, out);
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        decode(body, |d| read_consumer(version, d))
    }
}

impl Call for ShareGroupDescribe {
    type Response = ModernGroups;
    const KEY: ApiKey = ApiKey::ShareGroupDescribe;

    fn throttle(response: &ModernGroups) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        encode(&self.groups, self.operations, out);
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        decode(body, read_sharer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ShareGroupDescribeRequest,
        ShareGroupDescribeResponse, consumer_group_describe_response as consumer,
        share_group_describe_response as share,
    };
    use kafka_protocol::protocol::StrBytes;

    const ID: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";

    #[test]
    fn the_requests_are_what_kafka_protocol_reads() {
        let groups = || vec!["a".into(), "b".into()];
        let theirs: Vec<_> = ["a", "b"].map(|g| StrBytes::from(g).into()).into();
        for version in versions(ApiKey::ConsumerGroupDescribe) {
            let call = ConsumerGroupDescribe {
                groups: groups(),
                operations: true,
            };
            let read: ConsumerGroupDescribeRequest = request(&call, version);
            let expected = ConsumerGroupDescribeRequest::default()
                .with_group_ids(theirs.clone())
                .with_include_authorized_operations(true);
            assert_eq!(read, expected, "version {version}");
        }
        for version in versions(ApiKey::ShareGroupDescribe) {
            let call = ShareGroupDescribe {
                groups: groups(),
                operations: true,
            };
            let read: ShareGroupDescribeRequest = request(&call, version);
            let expected = ShareGroupDescribeRequest::default()
                .with_group_ids(theirs.clone())
                .with_include_authorized_operations(true);
            assert_eq!(read, expected, "version {version}");
        }
    }

    /// What both kinds of group are to be read as; `text` is left out of share groups.
    fn expected(text: Option<&str>) -> [ModernGroup; 2] {
        let member = |id: &str| ModernMember {
            member_id: id.into(),
            instance_id: text.map(Into::into),
            client_id: "c".into(),
            host: "/10.0.0.7".into(),
            topics: vec!["t".into(), "u".into()],
            regex: text.map(Into::into),
            assignment: vec![("t".into(), vec![0, 2])],
        };
        let group = ModernGroup {
            code: ErrorCode::NONE,
            message: None,
            group: "g".into(),
            state: "Stable".into(),
            assignor: "uniform".into(),
            members: vec![member("m-1"), member("m-2")],
            operations: i32::MIN,
        };
        let bad = ModernGroup {
            code: ErrorCode::GROUP_ID_NOT_FOUND,
            message: Some("no such group".into()),
            group: "bad".into(),
            state: "".into(),
            assignor: "".into(),
            members: vec![],
            operations: i32::MIN,
        };
        [group, bad]
    }

    #[test]
    fn a_consumer_groups_answer_is_what_kafka_protocol_writes() {
        use consumer::{Assignment, DescribedGroup, Member, TopicPartitions};
        let assigned = |partitions: Vec<i32>| {
            let topic = TopicPartitions::default()
                .with_topic_id(ID.parse().unwrap())
                .with_topic_name(StrBytes::from("t").into())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(tag());
            Assignment::default()
                .with_topic_partitions(vec![topic])
                .with_unknown_tagged_fields(tag())
        };
        for version in versions(ApiKey::ConsumerGroupDescribe) {
            let member = |id: &'static str| {
                let mut member = Member::default()
                    .with_member_id(id.into())
                    .with_instance_id(Some("i".into()))
                    .with_rack_id(Some("r".into()))
                    .with_member_epoch(7)
                    .with_client_id("c".into())
                    .with_client_host("/10.0.0.7".into())
                    .with_subscribed_topic_names(
                        ["t", "u"].map(|t| StrBytes::from(t).into()).into(),
                    )
                    .with_subscribed_topic_regex(Some("i".into()))
                    .with_assignment(assigned(vec![0, 2]))
                    .with_target_assignment(assigned(vec![0]))
                    .with_unknown_tagged_fields(tag());
                if version >= 1 {
                    member.member_type = 1;
                }
                member
            };
            let group = DescribedGroup::default()
                .with_group_id(StrBytes::from("g").into())
                .with_group_state("Stable".into())
                .with_group_epoch(9)
                .with_assignment_epoch(8)
                .with_assignor_name("uniform".into())
                .with_members(vec![member("m-1"), member("m-2")])
                .with_unknown_tagged_fields(tag());
            let bad = DescribedGroup::default()
                .with_group_id(StrBytes::from("bad").into())
                .with_error_code(69)
                .with_error_message(Some("no such group".into()));
            let theirs = ConsumerGroupDescribeResponse::default()
                .with_throttle_time_ms(4)
                .with_groups(vec![group, bad])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = ConsumerGroupDescribe::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            assert_eq!(answer.groups, expected(Some("i")), "version {version}");
            refuses_damage::<ConsumerGroupDescribe>(version, &body);
        }
    }

    #[test]
    fn a_share_groups_answer_is_what_kafka_protocol_writes() {
        use share::{Assignment, DescribedGroup, Member, TopicPartitions};
        for version in versions(ApiKey::ShareGroupDescribe) {
            let topic = TopicPartitions::default()
                .with_topic_id(ID.parse().unwrap())
                .with_topic_name(StrBytes::from("t").into())
                .with_partitions(vec![0, 2])
                .with_unknown_tagged_fields(tag());
            let assigned = Assignment::default()
                .with_topic_partitions(vec![topic])
                .with_unknown_tagged_fields(tag());
            let member = |id: &'static str| {
                Member::default()
                    .with_member_id(id.into())
                    .with_rack_id(Some("r".into()))
                    .with_member_epoch(7)
                    .with_client_id("c".into())
                    .with_client_host("/10.0.0.7".into())
                    .with_subscribed_topic_names(
                        ["t", "u"].map(|t| StrBytes::from(t).into()).into(),
                    )
                    .with_assignment(assigned.clone())
                    .with_unknown_tagged_fields(tag())
            };
            let group = DescribedGroup::default()
                .with_group_id(StrBytes::from("g").into())
                .with_group_state("Stable".into())
                .with_group_epoch(9)
                .with_assignment_epoch(8)
                .with_assignor_name("uniform".into())
                .with_members(vec![member("m-1"), member("m-2")])
                .with_unknown_tagged_fields(tag());
            let bad = DescribedGroup::default()
                .with_group_id(StrBytes::from("bad").into())
                .with_error_code(69)
                .with_error_message(Some("no such group".into()));
            let theirs = ShareGroupDescribeResponse::default()
                .with_throttle_time_ms(4)
                .with_groups(vec![group, bad])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = ShareGroupDescribe::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(4));
            assert_eq!(answer.groups, expected(None), "version {version}");
            refuses_damage::<ShareGroupDescribe>(version, &body);
        }
    }
}
