//! OffsetCommit: keeps with the group how far it has come.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hashbrown::HashMap;

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName, TopicPartition};

/// From here on topics go by id instead of name.
const TOPIC_IDS_FROM: i16 = 10;

#[derive(Clone, Debug)]
pub(crate) struct OffsetCommit {
    pub(crate) group: Arc<str>,
    /// -1 from one that is no member.
    pub(crate) generation: i32,
    /// Empty from one that is no member.
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) topics: Vec<CommitTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitTopic {
    pub(crate) name: TopicName,
    /// Zero for the topic that has this name, whichever that is.
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<CommitPartition>,
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
    pub(crate) topics: Vec<(CommittedTopic, Vec<(i32, ErrorCode)>)>,
}

/// How an answer names a topic: by name below version 10, by id from there on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CommittedTopic {
    Name(TopicName),
    Id(TopicId),
}

/// Each partition's outcome, to be looked up.
#[derive(Debug)]
pub(crate) struct CommitCodes<'a> {
    by_name: HashMap<(&'a str, i32), ErrorCode>,
    by_id: HashMap<(TopicId, i32), ErrorCode>,
}

impl OffsetCommitAnswer {
    pub(crate) fn codes(&self) -> CommitCodes<'_> {
        let mut codes = CommitCodes {
            by_name: HashMap::new(),
            by_id: HashMap::new(),
        };
        for (topic, partitions) in &self.topics {
            for (number, code) in partitions {
                match topic {
                    CommittedTopic::Name(name) => codes.by_name.insert((name, *number), *code),
                    CommittedTopic::Id(id) => codes.by_id.insert((*id, *number), *code),
                };
            }
        }
        codes
    }
}

impl CommitCodes<'_> {
    /// What was said of this partition, by whichever of the two names its topic has.
    pub(crate) fn of(&self, partition: &TopicPartition, id: TopicId) -> Option<ErrorCode> {
        let number = partition.partition();
        let by_name = self.by_name.get(&(partition.topic(), number));
        by_name.or_else(|| self.by_id.get(&(id, number))).copied()
    }
}

/// Lines by topic and id, in the order in which the topics first come.
pub(crate) fn commit_topics<'a>(
    lines: impl IntoIterator<Item = (&'a TopicPartition, TopicId, CommitPartition)>,
) -> Vec<CommitTopic> {
    let mut places = HashMap::new();
    let mut topics: Vec<CommitTopic> = Vec::new();
    for (partition, id, line) in lines {
        let place = *places
            .entry((partition.topic(), id))
            .or_insert(topics.len());
        match topics.get_mut(place) {
            Some(topic) => topic.partitions.push(line),
            None => topics.push(CommitTopic {
                name: partition.name().clone(),
                id,
                partitions: vec![line],
            }),
        }
    }
    topics
}

impl Call for OffsetCommit {
    type Response = OffsetCommitAnswer;
    const KEY: ApiKey = ApiKey::OffsetCommit;

    fn throttle(response: &OffsetCommitAnswer) -> Duration {
        response.throttle
    }

    fn max_version(&self) -> i16 {
        if self.topics.iter().any(|topic| topic.id.is_zero()) {
            TOPIC_IDS_FROM - 1
        } else {
            Self::KEY.supported().1
        }
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.i32(self.generation);
        body.string(&self.member_id);
        body.nullable_string(self.instance_id.as_deref());
        body.array(&self.topics, |body, topic| {
            if version >= TOPIC_IDS_FROM {
                body.uuid(topic.id.0);
            } else {
                body.string(&topic.name);
            }
            body.array(&topic.partitions, |body, partition| {
                body.i32(partition.partition);
                body.i64(partition.offset);
                body.i32(partition.leader_epoch);
                body.nullable_string(partition.metadata.as_deref());
                body.no_tags();
            });
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.array(3, |d| {
            let topic = if version >= TOPIC_IDS_FROM {
                CommittedTopic::Id(d.topic_id()?)
            } else {
                CommittedTopic::Name(d.owned()?)
            };
            let partitions = d.array(7, |d| {
                let partition = d.i32()?;
                let code = d.code()?;
                d.skip_tags()?;
                Ok((partition, code))
            })?;
            d.skip_tags()?;
            Ok((topic, partitions))
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

    const A: TopicId = TopicId([0xa; 16]);
    const B: TopicId = TopicId([0xb; 16]);
    /// The last version that kafka_protocol has.
    const THEIR_LAST: i16 = 9;

    fn topic(name: &str, id: TopicId, partitions: Vec<CommitPartition>) -> CommitTopic {
        CommitTopic {
            name: name.into(),
            id,
            partitions,
        }
    }

    fn member() -> OffsetCommit {
        let first = vec![
            partition(0, 1 << 40, 5, Some("by us")),
            partition(1, 0, -1, None),
        ];
        OffsetCommit {
            group: "g".into(),
            generation: 17,
            member_id: "m".into(),
            instance_id: Some("i".into()),
            topics: vec![
                topic("a", A, first),
                topic("b", B, vec![partition(7, 9, 0, Some(""))]),
            ],
        }
    }

    /// What stands for a topic from version 10 on, by what stands for it before.
    fn by_id(rigid: &[u8], topics: &[(&str, TopicId)]) -> Bytes {
        let mut bytes = rigid.to_vec();
        for (name, id) in topics {
            let mut text = vec![name.len() as u8 + 1];
            text.extend(name.bytes());
            let places = bytes.windows(text.len()).enumerate();
            let found: Vec<_> = places.filter(|(_, place)| *place == text).collect();
            assert_eq!(found.len(), 1, "{name} is there once");
            let at = found[0].0;
            bytes.splice(at..at + text.len(), id.0);
        }
        bytes.into()
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let member = member();
        let stranger = OffsetCommit {
            generation: -1,
            member_id: "".into(),
            instance_id: None,
            topics: vec![],
            ..member.clone()
        };
        for call in [member, stranger] {
            let text = |text: &Arc<str>| StrBytes::from_string(text.to_string());
            let topics = call.topics.iter().map(|topic| {
                OffsetCommitRequestTopic::default()
                    .with_name(text(&topic.name).into())
                    .with_partitions(topic.partitions.iter().map(theirs).collect())
            });
            let expected = OffsetCommitRequest::default()
                .with_group_id(StrBytes::from("g").into())
                .with_generation_id_or_member_epoch(call.generation)
                .with_member_id(text(&call.member_id))
                .with_group_instance_id(call.instance_id.as_ref().map(text))
                .with_topics(topics.collect());
            for version in versions(ApiKey::OffsetCommit) {
                if version <= THEIR_LAST {
                    let read: OffsetCommitRequest = request(&call, version);
                    assert_eq!(read, expected, "version {version}");
                    continue;
                }
                // As Kafka's schema has it, version 10 differs from 9 in how topics are named.
                let mut ours = BytesMut::new();
                call.encode(version, &mut ours);
                let named = encoded(&expected, THEIR_LAST);
                let topics: Vec<_> = call.topics.iter().map(|t| (&*t.name, t.id)).collect();
                assert_eq!(ours.freeze(), by_id(&named, &topics), "version {version}");
            }
        }
    }

    #[test]
    fn topics_go_by_id_only_where_each_has_one() {
        let mut call = member();
        assert_eq!(call.max_version(), 10);
        call.topics[1].id = TopicId::ZERO;
        assert_eq!(call.max_version(), 9);
    }

    #[test]
    fn a_topic_made_anew_is_another_topic_in_a_request() {
        let (t, u) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let lines = [(&t, A, 1), (&u, B, 2), (&u, A, 3)].map(|(named, id, offset)| {
            let line = partition(named.partition(), offset, -1, None);
            (named, id, line)
        });
        let topics = commit_topics(lines);
        let told: Vec<_> = topics
            .iter()
            .map(|topic| {
                (
                    topic.id,
                    topic.partitions.iter().map(|p| p.offset).collect(),
                )
            })
            .collect::<Vec<(_, Vec<_>)>>();
        assert_eq!(told, [(A, vec![1, 3]), (B, vec![2])]);
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
            let named = encoded(&theirs, version.min(THEIR_LAST));
            let has_ids = version > THEIR_LAST;
            let body = if has_ids {
                by_id(&named, &[("a", A), ("b", B)])
            } else {
                named
            };
            let answer = OffsetCommit::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(7));
            let codes = answer.codes();
            let code = |name, id, number| codes.of(&TopicPartition::new(name, number), id);
            assert_eq!(code("a", A, 0), Some(ErrorCode::NONE), "version {version}");
            assert_eq!(code("a", A, 1), Some(ErrorCode::ILLEGAL_GENERATION));
            assert_eq!(code("b", B, 0), None);
            assert_eq!(code("b", A, 0).is_some(), has_ids);
            assert_eq!(code("a", B, 0).is_some(), !has_ids);
            refuses_damage::<OffsetCommit>(version, &body);
        }
    }
}
