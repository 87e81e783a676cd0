//! DescribeProducers: who has lately written to partitions, told by their leader (KIP-664, Kafka 2.8).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DescribeProducers {
    pub(crate) topics: Topics<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeProducersAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Topics<PartitionProducers>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionProducers {
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) producers: Vec<WritingProducer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WritingProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) last_sequence: i32,
    /// Milliseconds since 1970.
    pub(crate) last_timestamp: i64,
    pub(crate) coordinator_epoch: i32,
    /// Where its open transaction begins; below zero without one.
    pub(crate) transaction_start: i64,
}

impl Call for DescribeProducers {
    type Response = DescribeProducersAnswer;
    const KEY: ApiKey = ApiKey::DescribeProducers;

    fn throttle(response: &DescribeProducersAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.topics(&self.topics, |body, partition| body.i32(*partition));
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.topics(9, read_partition)?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeProducersAnswer { throttle, topics })
    }
}

fn read_partition(d: &mut Decoder) -> Result<PartitionProducers, Malformed> {
    let partition = PartitionProducers {
        partition: d.i32()?,
        code: d.code()?,
        message: d.nullable_owned()?,
        producers: d.array(37, |d| {
            let producer = WritingProducer {
                id: d.i64()?,
                epoch: d.i32()?,
                last_sequence: d.i32()?,
                last_timestamp: d.i64()?,
                coordinator_epoch: d.i32()?,
                transaction_start: d.i64()?,
            };
            d.skip_tags()?;
            Ok(producer)
        })?,
    };
    d.skip_tags()?;
    Ok(partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_producers_request::TopicRequest;
    use kafka_protocol::messages::describe_producers_response::{
        PartitionResponse, ProducerState, TopicResponse,
    };
    use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DescribeProducers {
            topics: vec![("a".into(), vec![0, 2])],
        };
        let topic = TopicRequest::default()
            .with_name(StrBytes::from("a").into())
            .with_partition_indexes(vec![0, 2]);
        let expected = DescribeProducersRequest::default().with_topics(vec![topic]);
        for version in versions(ApiKey::DescribeProducers) {
            let read: DescribeProducersRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeProducers) {
            let producer = ProducerState::default()
                .with_producer_id(7.into())
                .with_producer_epoch(1)
                .with_last_sequence(2)
                .with_last_timestamp(3)
                .with_coordinator_epoch(4)
                .with_current_txn_start_offset(5)
                .with_unknown_tagged_fields(tag());
            let partition = PartitionResponse::default()
                .with_partition_index(2)
                .with_error_code(6)
                .with_error_message(Some("moved".into()))
                .with_active_producers(vec![producer]);
            let topic = TopicResponse::default()
                .with_name(StrBytes::from("a").into())
                .with_partitions(vec![partition]);
            let theirs = DescribeProducersResponse::default()
                .with_throttle_time_ms(3)
                .with_topics(vec![topic]);
            let body = encoded(&theirs, version);
            let answer = DescribeProducers::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let producer = WritingProducer {
                id: 7,
                epoch: 1,
                last_sequence: 2,
                last_timestamp: 3,
                coordinator_epoch: 4,
                transaction_start: 5,
            };
            let partition = PartitionProducers {
                partition: 2,
                code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
                message: Some("moved".into()),
                producers: vec![producer],
            };
            assert_eq!(answer.topics, [("a".into(), vec![partition])]);
            refuses_damage::<DescribeProducers>(version, &body);
        }
    }
}
