//! OffsetDelete: makes a group forget offsets (KIP-496), at its coordinator.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct OffsetDelete {
    pub(crate) group: Arc<str>,
    pub(crate) topics: Topics<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct OffsetDeleteAnswer {
    pub(crate) throttle: Duration,
    /// The whole request's; then there are no topics.
    pub(crate) code: ErrorCode,
    pub(crate) topics: Topics<(i32, ErrorCode)>,
}

impl Call for OffsetDelete {
    type Response = OffsetDeleteAnswer;
    const KEY: ApiKey = ApiKey::OffsetDelete;

    fn throttle(response: &OffsetDeleteAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, false);
        body.string(&self.group);
        body.topics(&self.topics, |body, partition| body.i32(*partition));
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, false);
        let code = d.code()?;
        let throttle = d.millis()?;
        let topics = d.topics(6, |d| Ok((d.i32()?, d.code()?)))?;
        d.finish()?;
        Ok(OffsetDeleteAnswer {
            throttle,
            code,
            topics,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::offset_delete_request::{
        OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    };
    use kafka_protocol::messages::offset_delete_response::{
        OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
    };
    use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};
    use kafka_protocol::protocol::StrBytes;

    fn name(text: &'static str) -> TopicName {
        StrBytes::from(text).into()
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = OffsetDelete {
            group: "g".into(),
            topics: vec![("a".into(), vec![0, 5]), ("b".into(), vec![1])],
        };
        let topic = |text, partitions: &[i32]| {
            let partition =
                |index: &i32| OffsetDeleteRequestPartition::default().with_partition_index(*index);
            OffsetDeleteRequestTopic::default()
                .with_name(name(text))
                .with_partitions(partitions.iter().map(partition).collect())
        };
        let expected = OffsetDeleteRequest::default()
            .with_group_id(StrBytes::from("g").into())
            .with_topics(vec![topic("a", &[0, 5]), topic("b", &[1])]);
        for version in versions(ApiKey::OffsetDelete) {
            let read: OffsetDeleteRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::OffsetDelete) {
            let partition = |index, code| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
            };
            let topic = OffsetDeleteResponseTopic::default()
                .with_name(name("a"))
                .with_partitions(vec![partition(0, 0), partition(5, 86)]);
            let theirs = OffsetDeleteResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(16)
                .with_topics(vec![topic]);
            let body = encoded(&theirs, version);
            let answer = OffsetDelete::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::NOT_COORDINATOR);
            let told = vec![
                (0, ErrorCode::NONE),
                (5, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC),
            ];
            assert_eq!(answer.topics, [("a".into(), told)], "version {version}");
            refuses_damage::<OffsetDelete>(version, &body);
        }
    }
}
