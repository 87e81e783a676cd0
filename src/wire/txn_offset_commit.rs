//! TxnOffsetCommit: where a group will go on once a transaction is committed (KIP-447).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use super::offset_commit::CommitPartition;
use crate::error::ErrorCode;
use crate::types::ProducerId;

/// From here on the offsets make the group part of the transaction (KIP-890).
const JOINS_FROM: i16 = 5;

#[derive(Clone, Debug)]
pub(crate) struct TxnOffsetCommit {
    pub(crate) transactional_id: Arc<str>,
    pub(crate) producer: ProducerId,
    pub(crate) group: Arc<str>,
    /// -1 from one that is no member.
    pub(crate) generation: i32,
    /// Empty from one that is no member.
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) topics: Topics<CommitPartition>,
    /// Whether by the second protocol, in which no AddOffsetsToTxn comes before.
    pub(crate) joins: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct TxnOffsetCommitAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Topics<(i32, ErrorCode)>,
}

impl Call for TxnOffsetCommit {
    type Response = TxnOffsetCommitAnswer;
    const KEY: ApiKey = ApiKey::TxnOffsetCommit;

    fn max_version(&self) -> i16 {
        if self.joins {
            Self::KEY.supported().1
        } else {
            JOINS_FROM - 1
        }
    }

    fn throttle(response: &TxnOffsetCommitAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.transactional_id);
        body.string(&self.group);
        body.producer(self.producer);
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
            let outcome = (d.i32()?, d.code()?);
            d.skip_tags()?;
            Ok(outcome)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(TxnOffsetCommitAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::txn_offset_commit_request::{
        TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::txn_offset_commit_response::{
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    };
    use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
    use kafka_protocol::protocol::StrBytes;

    fn call(joins: bool) -> TxnOffsetCommit {
        let partition = CommitPartition {
            partition: 5,
            offset: 42,
            leader_epoch: 3,
            metadata: Some("note".into()),
        };
        TxnOffsetCommit {
            transactional_id: "payments-1".into(),
            producer: ProducerId { id: 7, epoch: 3 },
            group: "g".into(),
            generation: 9,
            member_id: "m".into(),
            instance_id: Some("i".into()),
            topics: vec![("a".into(), vec![partition])],
            joins,
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(5)
            .with_committed_offset(42)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some("note".into()));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(StrBytes::from("a").into())
            .with_partitions(vec![partition]);
        let expected = TxnOffsetCommitRequest::default()
            .with_transactional_id(StrBytes::from("payments-1").into())
            .with_group_id(StrBytes::from("g").into())
            .with_producer_id(7.into())
            .with_producer_epoch(3)
            .with_generation_id(9)
            .with_member_id("m".into())
            .with_group_instance_id(Some("i".into()))
            .with_topics(vec![topic]);
        for version in versions(ApiKey::TxnOffsetCommit) {
            let read: TxnOffsetCommitRequest = request(&call(true), version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_first_protocol_never_asks_in_the_version_that_joins_the_group() {
        assert_eq!(call(false).max_version(), 4);
        assert_eq!(call(true).max_version(), 5);
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::TxnOffsetCommit) {
            let partition = |index, code| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
            };
            let topic = TxnOffsetCommitResponseTopic::default()
                .with_name(StrBytes::from("a").into())
                .with_partitions(vec![partition(0, 0), partition(5, 22)]);
            let theirs = TxnOffsetCommitResponse::default()
                .with_throttle_time_ms(3)
                .with_topics(vec![topic])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = TxnOffsetCommit::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let told = vec![(0, ErrorCode::NONE), (5, ErrorCode::ILLEGAL_GENERATION)];
            assert_eq!(answer.topics, [("a".into(), told)], "version {version}");
            refuses_damage::<TxnOffsetCommit>(version, &body);
        }
    }
}
