//! ListOffsets: the offset of a time, or of a partition's beginning or end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

/// From here on the request says how long the broker may take (KIP-1075).
const TIMEOUT_FROM: i16 = 10;

#[derive(Clone, Debug)]
pub(crate) struct ListOffsets {
    /// Whether the end is the first open transaction's begin.
    pub(crate) read_committed: bool,
    pub(crate) topics: Topics<ListOffset>,
    /// How long the broker may take where it has to look at remote storage.
    pub(crate) timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListOffset {
    pub(crate) partition: i32,
    /// The leader's epoch as this client knows it, -1 for unknown (KIP-320).
    pub(crate) leader_epoch: i32,
    /// Milliseconds since 1970, or -1 for the end, -2 for the beginning.
    pub(crate) timestamp: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ListOffsetsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Topics<ListedOffset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedOffset {
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    /// The found record's, -1 for none.
    pub(crate) timestamp: i64,
    /// -1 when no record is as late as the time that was asked for.
    pub(crate) offset: i64,
    /// The found record's, -1 when the broker does not tell.
    pub(crate) leader_epoch: i32,
}

impl Call for ListOffsets {
    type Response = ListOffsetsAnswer;
    const KEY: ApiKey = ApiKey::ListOffsets;

    fn throttle(response: &ListOffsetsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.i32(-1); // no replica
        body.i8(self.read_committed.into());
        body.topics(&self.topics, |body, asked| {
            body.i32(asked.partition);
            body.i32(asked.leader_epoch);
            body.i64(asked.timestamp);
            body.no_tags();
        });
        if version >= TIMEOUT_FROM {
            body.millis(self.timeout);
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let topics = d.topics(26, |d| {
            let listed = ListedOffset {
                partition: d.i32()?,
                code: d.code()?,
                timestamp: d.i64()?,
                offset: d.i64()?,
                leader_epoch: d.i32()?,
            };
            d.skip_tags()?;
            Ok(listed)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(ListOffsetsAnswer { throttle, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use kafka_protocol::messages::list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
    };
    use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
    use kafka_protocol::protocol::StrBytes;

    fn ask(partition: i32, leader_epoch: i32, timestamp: i64) -> ListOffset {
        ListOffset {
            partition,
            leader_epoch,
            timestamp,
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let partition = |index, epoch, timestamp| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_current_leader_epoch(epoch)
                .with_timestamp(timestamp)
        };
        let topic = |name: &'static str, partitions| {
            ListOffsetsTopic::default()
                .with_name(StrBytes::from(name).into())
                .with_partitions(partitions)
        };
        for version in versions(ApiKey::ListOffsets) {
            for read_committed in [false, true] {
                let call = ListOffsets {
                    read_committed,
                    topics: vec![
                        ("a".into(), vec![ask(0, 3, -1), ask(7, -1, -2)]),
                        ("b".into(), vec![ask(1, 5, 1_700_000_000_000)]),
                    ],
                    timeout: Duration::from_secs(30),
                };
                let mut expected = ListOffsetsRequest::default()
                    .with_replica_id((-1).into())
                    .with_isolation_level(i8::from(read_committed))
                    .with_topics(vec![
                        topic("a", vec![partition(0, 3, -1), partition(7, -1, -2)]),
                        topic("b", vec![partition(1, 5, 1_700_000_000_000)]),
                    ]);
                if version >= 10 {
                    expected.timeout_ms = 30_000;
                }
                let read: ListOffsetsRequest = request(&call, version);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::ListOffsets) {
            let mut found = ListOffsetsPartitionResponse::default()
                .with_partition_index(3)
                .with_timestamp(1_700_000_000_001)
                .with_offset(1 << 40)
                .with_leader_epoch(9);
            let failed = ListOffsetsPartitionResponse::default()
                .with_partition_index(4)
                .with_error_code(6);
            let mut topic =
                ListOffsetsTopicResponse::default().with_name(StrBytes::from("t").into());
            let mut theirs = ListOffsetsResponse::default().with_throttle_time_ms(12);
            if version >= 6 {
                found.unknown_tagged_fields = tag();
                topic.unknown_tagged_fields = tag();
                theirs.unknown_tagged_fields = tag();
            }
            let empty = ListOffsetsTopicResponse::default().with_name(StrBytes::from("e").into());
            theirs.topics = vec![topic.with_partitions(vec![found, failed]), empty];
            let body = encoded(&theirs, version);
            let answer = ListOffsets::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(12));
            let found = ListedOffset {
                partition: 3,
                code: ErrorCode::NONE,
                timestamp: 1_700_000_000_001,
                offset: 1 << 40,
                leader_epoch: 9,
            };
            let failed = ListedOffset {
                partition: 4,
                code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
            };
            let expected = [("t".into(), vec![found, failed]), ("e".into(), vec![])];
            assert_eq!(answer.topics, expected, "version {version}");
            refuses_damage::<ListOffsets>(version, &body);
        }
    }
}
