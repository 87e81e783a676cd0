//! OffsetForLeaderEpoch: where a leader's epoch ends, which tells whether a log was cut behind a reader (KIP-320).

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct OffsetForLeaderEpoch {
    pub(crate) topics: Topics<EpochQuestion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochQuestion {
    pub(crate) partition: i32,
    /// The leader's epoch as this client knows it, -1 for unknown.
    pub(crate) current_epoch: i32,
    /// The one whose end is asked for.
    pub(crate) epoch: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct OffsetForLeaderEpochAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Topics<EpochEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochEnd {
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    /// The largest epoch in the log up to the one asked for, -1 for none.
    pub(crate) epoch: i32,
    /// The offset after the last record of `epoch`, -1 for none.
    pub(crate) end_offset: i64,
}

impl Call for OffsetForLeaderEpoch {
    type Response = OffsetForLeaderEpochAnswer;
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;

    fn throttle(response: &OffsetForLeaderEpochAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.i32(-1); // no replica
        body.topics(&self.topics, |body, asked| {
            body.i32(asked.partition);
            body.i32(asked.current_epoch);
            body.i32(asked.epoch);
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let topics = d.topics(18, |d| {
            let code = d.code()?;
            let end = EpochEnd {
                partition: d.i32()?,
                code,
                epoch: d.i32()?,
                end_offset: d.i64()?,
            };
            d.skip_tags()?;
            Ok(end)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(OffsetForLeaderEpochAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::offset_for_leader_epoch_request::{
        OffsetForLeaderPartition, OffsetForLeaderTopic,
    };
    use kafka_protocol::messages::offset_for_leader_epoch_response::{
        EpochEndOffset, OffsetForLeaderTopicResult,
    };
    use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let ask = |partition, current_epoch, epoch| EpochQuestion {
            partition,
            current_epoch,
            epoch,
        };
        let call = OffsetForLeaderEpoch {
            topics: vec![
                ("a".into(), vec![ask(0, 6, 5), ask(9, -1, 0)]),
                ("b".into(), vec![ask(2, 4, 4)]),
            ],
        };
        let partition = |partition, current, epoch| {
            OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch)
        };
        let topic = |name: &'static str, partitions| {
            OffsetForLeaderTopic::default()
                .with_topic(StrBytes::from(name).into())
                .with_partitions(partitions)
        };
        let expected = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![
                topic("a", vec![partition(0, 6, 5), partition(9, -1, 0)]),
                topic("b", vec![partition(2, 4, 4)]),
            ]);
        for version in versions(ApiKey::OffsetForLeaderEpoch) {
            let read: OffsetForLeaderEpochRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::OffsetForLeaderEpoch) {
            let mut good = EpochEndOffset::default()
                .with_partition(2)
                .with_leader_epoch(5)
                .with_end_offset(1 << 40);
            let bad = EpochEndOffset::default()
                .with_partition(3)
                .with_error_code(74);
            let mut topic =
                OffsetForLeaderTopicResult::default().with_topic(StrBytes::from("t").into());
            let mut theirs = OffsetForLeaderEpochResponse::default().with_throttle_time_ms(5);
            if version >= 4 {
                good.unknown_tagged_fields = tag();
                topic.unknown_tagged_fields = tag();
                theirs.unknown_tagged_fields = tag();
            }
            theirs.topics = vec![topic.with_partitions(vec![good, bad])];
            let body = encoded(&theirs, version);
            let answer = OffsetForLeaderEpoch::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(5));
            let good = EpochEnd {
                partition: 2,
                code: ErrorCode::NONE,
                epoch: 5,
                end_offset: 1 << 40,
            };
            let bad = EpochEnd {
                partition: 3,
                code: ErrorCode::FENCED_LEADER_EPOCH,
                epoch: -1,
                end_offset: -1,
            };
            let expected = [("t".into(), vec![good, bad])];
            assert_eq!(answer.topics, expected, "version {version}");
            refuses_damage::<OffsetForLeaderEpoch>(version, &body);
        }
    }
}
