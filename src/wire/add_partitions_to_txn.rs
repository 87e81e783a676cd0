//! AddPartitionsToTxn: partitions become part of a transaction, before its first batch is written to them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;
use crate::types::ProducerId;

#[derive(Clone, Debug)]
pub(crate) struct AddPartitionsToTxn {
    pub(crate) transactional_id: Arc<str>,
    pub(crate) producer: ProducerId,
    pub(crate) topics: Topics<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct AddPartitionsToTxnAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Topics<(i32, ErrorCode)>,
}

impl Call for AddPartitionsToTxn {
    type Response = AddPartitionsToTxnAnswer;
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;

    fn throttle(response: &AddPartitionsToTxnAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.string(&self.transactional_id);
        body.producer(self.producer);
        body.topics(&self.topics, |body, partition| body.i32(*partition));
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let topics = d.topics(6, |d| {
            let outcome = (d.i32()?, d.code()?);
            d.skip_tags()?;
            Ok(outcome)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(AddPartitionsToTxnAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
    use kafka_protocol::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
    };
    use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = AddPartitionsToTxn {
            transactional_id: "payments-1".into(),
            producer: ProducerId { id: 7, epoch: 3 },
            topics: vec![("a".into(), vec![0, 5]), ("b".into(), vec![1])],
        };
        let topic = |name: &'static str, partitions: &[i32]| {
            AddPartitionsToTxnTopic::default()
                .with_name(StrBytes::from(name).into())
                .with_partitions(partitions.to_vec())
        };
        let expected = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(StrBytes::from("payments-1").into())
            .with_v3_and_below_producer_id(7.into())
            .with_v3_and_below_producer_epoch(3)
            .with_v3_and_below_topics(vec![topic("a", &[0, 5]), topic("b", &[1])]);
        for version in versions(ApiKey::AddPartitionsToTxn) {
            let read: AddPartitionsToTxnRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::AddPartitionsToTxn) {
            let result = |partition, code| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(partition)
                    .with_partition_error_code(code)
            };
            let topic = AddPartitionsToTxnTopicResult::default()
                .with_name(StrBytes::from("a").into())
                .with_results_by_partition(vec![result(0, 0), result(5, 51)]);
            let theirs = AddPartitionsToTxnResponse::default()
                .with_throttle_time_ms(3)
                .with_results_by_topic_v3_and_below(vec![topic]);
            let body = encoded(&theirs, version);
            let answer = AddPartitionsToTxn::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let told = vec![
                (0, ErrorCode::NONE),
                (5, ErrorCode::CONCURRENT_TRANSACTIONS),
            ];
            assert_eq!(answer.topics, [("a".into(), told)], "version {version}");
            refuses_damage::<AddPartitionsToTxn>(version, &body);
        }
    }
}
