//! EndTxn: a transaction is committed or aborted.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::ProducerId;

/// From here on a transaction's end bumps the producer's epoch (KIP-890).
const BUMPS_FROM: i16 = 5;

#[derive(Clone, Debug)]
pub(crate) struct EndTxn {
    pub(crate) transactional_id: Arc<str>,
    pub(crate) producer: ProducerId,
    pub(crate) commit: bool,
    /// Whether by the second protocol, in which the end bumps the epoch.
    pub(crate) bumps: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct EndTxnAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    /// The identity of the next transaction, where the end has bumped the epoch.
    pub(crate) producer: Option<ProducerId>,
}

impl Call for EndTxn {
    type Response = EndTxnAnswer;
    const KEY: ApiKey = ApiKey::EndTxn;

    fn max_version(&self) -> i16 {
        if self.bumps {
            Self::KEY.supported().1
        } else {
            BUMPS_FROM - 1
        }
    }

    fn throttle(response: &EndTxnAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.string(&self.transactional_id);
        body.producer(self.producer);
        body.bool(self.commit);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let code = d.code()?;
        let producer = if version >= BUMPS_FROM {
            let producer = d.producer()?;
            (producer.id >= 0).then_some(producer)
        } else {
            None
        };
        d.skip_tags()?;
        d.finish()?;
        Ok(EndTxnAnswer {
            throttle,
            code,
            producer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};
    use kafka_protocol::protocol::StrBytes;

    fn call(bumps: bool) -> EndTxn {
        EndTxn {
            transactional_id: "payments-1".into(),
            producer: ProducerId { id: 7, epoch: 3 },
            commit: true,
            bumps,
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let expected = EndTxnRequest::default()
            .with_transactional_id(StrBytes::from("payments-1").into())
            .with_producer_id(7.into())
            .with_producer_epoch(3)
            .with_committed(true);
        for version in versions(ApiKey::EndTxn) {
            let read: EndTxnRequest = request(&call(true), version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_first_protocol_never_asks_in_the_version_that_bumps_the_epoch() {
        assert_eq!(call(false).max_version(), 4);
        assert_eq!(call(true).max_version(), 5);
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::EndTxn) {
            let mut theirs = EndTxnResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(51);
            if version >= BUMPS_FROM {
                theirs = theirs.with_producer_id(7.into()).with_producer_epoch(4);
            }
            let body = encoded(&theirs, version);
            let answer = EndTxn::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::CONCURRENT_TRANSACTIONS);
            let next = ProducerId { id: 7, epoch: 4 };
            assert_eq!(answer.producer, (version >= BUMPS_FROM).then_some(next));
            refuses_damage::<EndTxn>(version, &body);
        }
    }

    #[test]
    fn an_answer_without_an_identity_has_none() {
        let body = encoded(&EndTxnResponse::default().with_producer_id((-1).into()), 5);
        assert_eq!(EndTxn::decode(5, body).unwrap().producer, None);
    }
}
