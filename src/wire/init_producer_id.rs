//! InitProducerId: the identity under which an idempotent producer's batches are written once.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::ProducerId;

/// Asks for a new identity, not a transactional one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitProducerId;

#[derive(Clone, Debug)]
pub(crate) struct InitProducerIdAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) producer: ProducerId,
}

impl Call for InitProducerId {
    type Response = InitProducerIdAnswer;
    const KEY: ApiKey = ApiKey::InitProducerId;

    fn throttle(response: &InitProducerIdAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.nullable_string(None); // transactional id
        body.i32(i32::MAX); // the transaction timeout, of no meaning here: Java's value
        if version >= 3 {
            body.i64(ProducerId::NONE.id);
            body.i16(ProducerId::NONE.epoch);
        }
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let answer = InitProducerIdAnswer {
            throttle: d.millis()?,
            code: d.code()?,
            producer: ProducerId {
                id: d.i64()?,
                epoch: d.i16()?,
            },
        };
        d.skip_tags()?;
        d.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::InitProducerId) {
            let read: InitProducerIdRequest = request(&InitProducerId, version);
            let expected = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::InitProducerId) {
            let answer = InitProducerIdResponse::default()
                .with_throttle_time_ms(-1)
                .with_error_code(51)
                .with_producer_id(1_234_567_890_123.into())
                .with_producer_epoch(7)
                .with_unknown_tagged_fields(tag());
            let body = encoded(&answer, version);
            let read = InitProducerId::decode(version, body.clone()).unwrap();
            assert_eq!(read.throttle, Duration::ZERO);
            assert_eq!(read.code, ErrorCode::CONCURRENT_TRANSACTIONS);
            let expected = ProducerId {
                id: 1_234_567_890_123,
                epoch: 7,
            };
            assert_eq!(read.producer, expected);
            refuses_damage::<InitProducerId>(version, &body);
        }
    }
}
