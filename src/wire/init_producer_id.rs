//! InitProducerId: the identity under which a producer's batches are written once, alone or in transactions.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::ProducerId;

/// Asks for an identity.
#[derive(Clone, Debug)]
pub(crate) struct InitProducerId {
    /// `None` for an identity without transactions.
    pub(crate) transactional_id: Option<Arc<str>>,
    /// After so long the coordinator aborts a transaction by itself.
    pub(crate) transaction_timeout: Duration,
    /// The identity that is to get another epoch (KIP-360); [`ProducerId::NONE`] fences whoever has the id.
    pub(crate) producer: ProducerId,
}

impl InitProducerId {
    /// For a producer without transactions; the timeout, which means nothing to it, is Java's.
    pub(crate) const IDEMPOTENT: Self = Self {
        transactional_id: None,
        transaction_timeout: Duration::from_millis(i32::MAX as u64),
        producer: ProducerId::NONE,
    };
}

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
        body.nullable_string(self.transactional_id.as_deref());
        body.millis(self.transaction_timeout);
        if version >= 3 {
            body.producer(self.producer);
        }
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let answer = InitProducerIdAnswer {
            throttle: d.millis()?,
            code: d.code()?,
            producer: d.producer()?,
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
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::InitProducerId) {
            let read: InitProducerIdRequest = request(&InitProducerId::IDEMPOTENT, version);
            let expected = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn an_epoch_is_bumped_from_version_3_on() {
        let call = InitProducerId {
            transactional_id: Some("payments-1".into()),
            transaction_timeout: Duration::from_secs(10),
            producer: ProducerId { id: 7, epoch: 3 },
        };
        for version in versions(ApiKey::InitProducerId) {
            let (id, epoch) = if version >= 3 { (7, 3) } else { (-1, -1) };
            let read: InitProducerIdRequest = request(&call, version);
            let expected = InitProducerIdRequest::default()
                .with_transactional_id(Some(StrBytes::from("payments-1").into()))
                .with_transaction_timeout_ms(10_000)
                .with_producer_id(id.into())
                .with_producer_epoch(epoch);
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
