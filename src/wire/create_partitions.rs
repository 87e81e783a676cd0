//! CreatePartitions: lets topics grow, at the controller.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::TopicName;

#[derive(Clone, Debug)]
pub(crate) struct CreatePartitions {
    pub(crate) topics: Vec<GrownTopic>,
    /// How long the broker may take.
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct GrownTopic {
    pub(crate) name: TopicName,
    /// How many partitions it is to have, those that it has included.
    pub(crate) count: i32,
    /// The brokers that hold each new partition; `None` lets the controller choose.
    pub(crate) assignments: Option<Vec<Vec<i32>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct CreatePartitionsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Vec<GrownTopicAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrownTopicAnswer {
    pub(crate) name: TopicName,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
}

impl Call for CreatePartitions {
    type Response = CreatePartitionsAnswer;
    const KEY: ApiKey = ApiKey::CreatePartitions;

    fn throttle(response: &CreatePartitionsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.topics, |body, topic| {
            body.string(&topic.name);
            body.i32(topic.count);
            match &topic.assignments {
                Some(assignments) => body.array(assignments, |body, brokers| {
                    body.array(brokers, |body, broker| body.i32(*broker));
                    body.no_tags();
                }),
                None => body.null_array(),
            }
            body.no_tags();
        });
        body.millis(self.timeout);
        body.bool(false); // not only to say whether it could be done
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.array(5, |d| {
            let topic = GrownTopicAnswer {
                name: d.owned()?,
                code: d.code()?,
                message: d.nullable_owned()?,
            };
            d.skip_tags()?;
            Ok(topic)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(CreatePartitionsAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::create_partitions_request::{
        CreatePartitionsAssignment, CreatePartitionsTopic,
    };
    use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
    use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let grown = |name: &str, assignments| GrownTopic {
            name: name.into(),
            count: 7,
            assignments,
        };
        let call = CreatePartitions {
            topics: vec![grown("a", None), grown("b", Some(vec![vec![1, 2], vec![]]))],
            timeout: Duration::from_secs(30),
        };
        let brokers = |ids: &[i32]| {
            CreatePartitionsAssignment::default()
                .with_broker_ids(ids.iter().map(|id| (*id).into()).collect())
        };
        let topic = |name: &'static str, assignments| {
            CreatePartitionsTopic::default()
                .with_name(StrBytes::from(name).into())
                .with_count(7)
                .with_assignments(assignments)
        };
        let placed = Some(vec![brokers(&[1, 2]), brokers(&[])]);
        let expected = CreatePartitionsRequest::default()
            .with_topics(vec![topic("a", None), topic("b", placed)])
            .with_timeout_ms(30_000);
        for version in versions(ApiKey::CreatePartitions) {
            let read: CreatePartitionsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::CreatePartitions) {
            let good = CreatePartitionsTopicResult::default()
                .with_name(StrBytes::from("a").into())
                .with_unknown_tagged_fields(tag());
            let bad = CreatePartitionsTopicResult::default()
                .with_name(StrBytes::from("b").into())
                .with_error_code(37)
                .with_error_message(Some("has more".into()));
            let theirs = CreatePartitionsResponse::default()
                .with_throttle_time_ms(8)
                .with_results(vec![good, bad])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = CreatePartitions::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(8));
            let told = |name: &str, code, message: Option<&str>| GrownTopicAnswer {
                name: name.into(),
                code,
                message: message.map(Into::into),
            };
            let expected = [
                told("a", ErrorCode::NONE, None),
                told("b", ErrorCode::INVALID_PARTITIONS, Some("has more")),
            ];
            assert_eq!(answer.topics, expected, "version {version}");
            refuses_damage::<CreatePartitions>(version, &body);
        }
    }
}
