//! OffsetCommit: keeps with the group how far it has come.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct OffsetCommit {
    pub(crate) group: Arc<str>,
    /// -1 from one that is no member.
    pub(crate) generation: i32,
    /// Empty from one that is no member.
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) topics: Topics<CommitPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitPartition {
    pub(crate) partition: i32,
    /// The next one to read.
    pub(crate) offset: i64,
    /// Of the last record that was read, -1 for unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct OffsetCommitAnswer {
    pub(crate) throttle: Duration,
    /// Each partition with its outcome.
    pub(crate) topics: Topics<(i32, ErrorCode)>,
}

impl Call for OffsetCommit {
    type Response = OffsetCommitAnswer;
    const KEY: ApiKey = ApiKey::OffsetCommit;

    fn throttle(response: &OffsetCommitAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.i32(self.generation);
        body.string(&self.member_id);
        body.nullable_string(self.instance_id.as_deref());
        body.topics(&self.topics, |body, partition| {
            body.i32(partition.partition);
            body.i64(partition.offset);
            body.i32(partition.leader_epoch);
            body.nullable_string(partition.metadata.as_deref());
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.topics(7, |d| {
            let partition = d.i32()?;
            let code = d.code()?;
            d.skip_tags()?;
            Ok((partition, code))
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(OffsetCommitAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::offset_commit_response::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };
    use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
    use kafka_protocol::protocol::StrBytes;

    fn partition(
        partition: i32,
        offset: i64,
        leader_epoch: i32,
        metadata: Option<&str>,
    ) -> CommitPartition {
        CommitPartition {
            partition,
            offset,
            leader_epoch,
            metadata: metadata.map(Into::into),
        }
    }

    /// The same partition in kafka_protocol's type.
    fn theirs(ours: &CommitPartition) -> OffsetCommitRequestPartition {
        let metadata = ours.metadata.as_ref();
        OffsetCommitRequestPartition::default()
            .with_partition_index(ours.partition)
            .with_committed_offset(ours.offset)
            .with_committed_leader_epoch(ours.leader_epoch)
            .with_committed_metadata(metadata.map(|text| StrBytes::from_string(text.to_string())))
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let member = OffsetCommit {
            group: "g".into(),
            generation: 17,
            member_id: "m".into(),
            instance_id: Some("i".into()),
            topics: vec![
                (
                    "a".into(),
                    vec![
                        partition(0, 1 << 40, 5, Some("by us")),
                        partition(1, 0, -1, None),
                    ],
                ),
                ("b".into(), vec![partition(7, 9, 0, Some(""))]),
            ],
        };
        let stranger = OffsetCommit {
            generation: -1,
            member_id: "".into(),
            instance_id: None,
            topics: vec![],
            ..member.clone()
        };
        for call in [member, stranger] {
            let text = |text: &Arc<str>| StrBytes::from_string(text.to_string());
            let topics = call.topics.iter().map(|(name, partitions)| {
                OffsetCommitRequestTopic::default()
                    .with_name(text(name).into())
                    .with_partitions(partitions.iter().map(theirs).collect())
            });
            let expected = OffsetCommitRequest::default()
                .with_group_id(StrBytes::from("g").into())
                .with_generation_id_or_member_epoch(call.generation)
                .with_member_id(text(&call.member_id))
                .with_group_instance_id(call.instance_id.as_ref().map(text))
                .with_topics(topics.collect());
            for version in versions(ApiKey::OffsetCommit) {
                let read: OffsetCommitRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::OffsetCommit) {
            let partition = |index, code| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
                    .with_unknown_tagged_fields(tag())
            };
            let topic = |name: &'static str, partitions| {
                OffsetCommitResponseTopic::default()
                    .with_name(StrBytes::from(name).into())
                    .with_partitions(partitions)
                    .with_unknown_tagged_fields(tag())
            };
            let theirs = OffsetCommitResponse::default()
                .with_throttle_time_ms(7)
                .with_topics(vec![
                    topic("a", vec![partition(0, 0), partition(1, 22)]),
                    topic("b", vec![]),
                ])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = OffsetCommit::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(7));
            let outcomes = vec![(0, ErrorCode::NONE), (1, ErrorCode::ILLEGAL_GENERATION)];
            let expected = [("a".into(), outcomes), ("b".into(), vec![])];
            assert_eq!(answer.topics, expected, "version {version}");
            refuses_damage::<OffsetCommit>(version, &body);
        }
    }
}
