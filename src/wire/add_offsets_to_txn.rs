//! AddOffsetsToTxn: a group's offsets become part of a transaction, before the first of them is written.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::ProducerId;

#[derive(Clone, Debug)]
pub(crate) struct AddOffsetsToTxn {
    pub(crate) transactional_id: Arc<str>,
    pub(crate) producer: ProducerId,
    pub(crate) group: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct AddOffsetsToTxnAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
}

impl Call for AddOffsetsToTxn {
    type Response = AddOffsetsToTxnAnswer;
    const KEY: ApiKey = ApiKey::AddOffsetsToTxn;

    fn throttle(response: &AddOffsetsToTxnAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.string(&self.transactional_id);
        body.producer(self.producer);
        body.string(&self.group);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let code = d.code()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(AddOffsetsToTxnAnswer { throttle, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = AddOffsetsToTxn {
            transactional_id: "payments-1".into(),
            producer: ProducerId { id: 7, epoch: 3 },
            group: "g".into(),
        };
        let expected = AddOffsetsToTxnRequest::default()
            .with_transactional_id(StrBytes::from("payments-1").into())
            .with_producer_id(7.into())
            .with_producer_epoch(3)
            .with_group_id(StrBytes::from("g").into());
        for version in versions(ApiKey::AddOffsetsToTxn) {
            let read: AddOffsetsToTxnRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::AddOffsetsToTxn) {
            let theirs = AddOffsetsToTxnResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(51);
            let body = encoded(&theirs, version);
            let answer = AddOffsetsToTxn::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::CONCURRENT_TRANSACTIONS);
            refuses_damage::<AddOffsetsToTxn>(version, &body);
        }
    }
}
