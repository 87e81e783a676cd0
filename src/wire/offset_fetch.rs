//! OffsetFetch: how far a group has come.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct OffsetFetch {
    pub(crate) group: Arc<str>,
    /// Partitions by topic; `None` asks for all that the group has committed.
    pub(crate) topics: Option<Topics<i32>>,
    /// Whether an offset that an open transaction may replace is an error (KIP-447).
    pub(crate) require_stable: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct OffsetFetchAnswer {
    pub(crate) throttle: Duration,
    /// The whole group's.
    pub(crate) code: ErrorCode,
    pub(crate) topics: Topics<FetchedOffset>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchedOffset {
    pub(crate) partition: i32,
    /// The next one to read, -1 when nothing is committed.
    pub(crate) offset: i64,
    /// Of the last record that was read, -1 for unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<Arc<str>>,
    pub(crate) code: ErrorCode,
}

impl Call for OffsetFetch {
    type Response = OffsetFetchAnswer;
    const KEY: ApiKey = ApiKey::OffsetFetch;

    fn throttle(response: &OffsetFetchAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        match &self.topics {
            Some(topics) => body.topics(topics, |body, partition| body.i32(*partition)),
            None => body.null_array(),
        }
        body.bool(self.require_stable);
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.topics(20, |d| {
            let fetched = FetchedOffset {
                partition: d.i32()?,
                offset: d.i64()?,
                leader_epoch: d.i32()?,
                metadata: d.nullable_owned()?,
                code: d.code()?,
            };
            d.skip_tags()?;
            Ok(fetched)
        })?;
        let code = d.code()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(OffsetFetchAnswer {
            throttle,
            code,
            topics,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    };
    use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let some = vec![("a".into(), vec![0, 5]), ("b".into(), vec![1])];
        for topics in [None, Some(vec![]), Some(some)] {
            for require_stable in [false, true] {
                let topic = |(name, partitions): &(Arc<str>, Vec<i32>)| {
                    OffsetFetchRequestTopic::default()
                        .with_name(StrBytes::from_string(name.to_string()).into())
                        .with_partition_indexes(partitions.clone())
                };
                let theirs = topics.as_ref();
                let expected = OffsetFetchRequest::default()
                    .with_group_id(StrBytes::from("g").into())
                    .with_topics(theirs.map(|topics| topics.iter().map(topic).collect()))
                    .with_require_stable(require_stable);
                let call = OffsetFetch {
                    group: "g".into(),
                    topics: topics.clone(),
                    require_stable,
                };
                for version in versions(ApiKey::OffsetFetch) {
                    let read: OffsetFetchRequest = request(&call, version);
                    assert_eq!(read, expected, "version {version}");
                }
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::OffsetFetch) {
            let committed = OffsetFetchResponsePartition::default()
                .with_partition_index(3)
                .with_committed_offset(1 << 40)
                .with_committed_leader_epoch(5)
                .with_metadata(Some("by us".into()))
                .with_unknown_tagged_fields(tag());
            let unstable = OffsetFetchResponsePartition::default()
                .with_partition_index(4)
                .with_committed_offset(-1)
                .with_metadata(None)
                .with_error_code(88);
            let topic = OffsetFetchResponseTopic::default()
                .with_name(StrBytes::from("t").into())
                .with_partitions(vec![committed, unstable])
                .with_unknown_tagged_fields(tag());
            let theirs = OffsetFetchResponse::default()
                .with_throttle_time_ms(9)
                .with_topics(vec![topic])
                .with_error_code(14)
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = OffsetFetch::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(9));
            assert_eq!(answer.code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
            let committed = FetchedOffset {
                partition: 3,
                offset: 1 << 40,
                leader_epoch: 5,
                metadata: Some("by us".into()),
                code: ErrorCode::NONE,
            };
            let unstable = FetchedOffset {
                partition: 4,
                offset: -1,
                leader_epoch: -1,
                metadata: None,
                code: ErrorCode::UNSTABLE_OFFSET_COMMIT,
            };
            let expected = [("t".into(), vec![committed, unstable])];
            assert_eq!(answer.topics, expected, "version {version}");
            refuses_damage::<OffsetFetch>(version, &body);
        }
    }
}
