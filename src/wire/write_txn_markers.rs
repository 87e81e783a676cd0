//! WriteTxnMarkers: ends a transaction in partitions, at their leader, past its coordinator (KIP-664).

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;

/// Aborts one producer's transaction.
#[derive(Clone, Debug)]
pub(crate) struct WriteTxnMarkers {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) topics: Topics<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct WriteTxnMarkersAnswer {
    pub(crate) topics: Topics<(i32, ErrorCode)>,
}

impl Call for WriteTxnMarkers {
    type Response = WriteTxnMarkersAnswer;
    const KEY: ApiKey = ApiKey::WriteTxnMarkers;

    fn throttle(_response: &WriteTxnMarkersAnswer) -> Duration {
        Duration::ZERO
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&[self], |body, marker| {
            body.i64(marker.producer);
            body.i16(marker.epoch);
            body.bool(false); // aborted
            body.topics(&marker.topics, |body, partition| body.i32(*partition));
            body.i32(marker.coordinator_epoch);
            body.no_tags();
        });
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let markers = d.array(10, |d| {
            d.i64()?; // the producer
            let topics = d.topics(7, |d| {
                let partition = (d.i32()?, d.code()?);
                d.skip_tags()?;
                Ok(partition)
            })?;
            d.skip_tags()?;
            Ok(topics)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(WriteTxnMarkersAnswer {
            topics: markers.into_iter().flatten().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::write_txn_markers_request::{
        WritableTxnMarker, WritableTxnMarkerTopic,
    };
    use kafka_protocol::messages::write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };
    use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = WriteTxnMarkers {
            producer: 7,
            epoch: 8,
            coordinator_epoch: 9,
            topics: vec![("a".into(), vec![2])],
        };
        let topic = WritableTxnMarkerTopic::default()
            .with_name(StrBytes::from("a").into())
            .with_partition_indexes(vec![2]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(7.into())
            .with_producer_epoch(8)
            .with_transaction_result(false)
            .with_topics(vec![topic])
            .with_coordinator_epoch(9);
        let expected = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        for version in versions(ApiKey::WriteTxnMarkers) {
            let read: WriteTxnMarkersRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::WriteTxnMarkers) {
            let partition = WritableTxnMarkerPartitionResult::default()
                .with_partition_index(2)
                .with_error_code(47)
                .with_unknown_tagged_fields(tag());
            let topic = WritableTxnMarkerTopicResult::default()
                .with_name(StrBytes::from("a").into())
                .with_partitions(vec![partition]);
            let marker = WritableTxnMarkerResult::default()
                .with_producer_id(7.into())
                .with_topics(vec![topic]);
            let theirs = WriteTxnMarkersResponse::default().with_markers(vec![marker]);
            let body = encoded(&theirs, version);
            let answer = WriteTxnMarkers::decode(version, body.clone()).unwrap();
            let fenced = (2, ErrorCode::INVALID_PRODUCER_EPOCH);
            assert_eq!(answer.topics, [("a".into(), vec![fenced])]);
            refuses_damage::<WriteTxnMarkers>(version, &body);
        }
    }
}
