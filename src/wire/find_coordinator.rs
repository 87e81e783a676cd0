//! FindCoordinator: which broker looks after a group, or after the transactions of an id.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId};

/// Of what the coordinator is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoordinatorKind {
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

#[derive(Clone, Debug)]
pub(crate) struct FindCoordinator {
    pub(crate) kind: CoordinatorKind,
    /// The group's name, or the transactional id.
    pub(crate) key: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct FindCoordinatorAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    /// `None` with an error, or when it is none that could be connected to.
    pub(crate) node: Option<(BrokerId, Address)>,
}

impl Call for FindCoordinator {
    type Response = FindCoordinatorAnswer;
    const KEY: ApiKey = ApiKey::FindCoordinator;

    fn throttle(response: &FindCoordinatorAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.key);
        body.i8(self.kind as i8);
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let message = d.nullable_owned()?;
        let id = d.broker()?;
        let address = d.address()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(FindCoordinatorAnswer {
            throttle,
            code,
            message,
            node: id.zip(address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::FindCoordinator) {
            for (kind, number) in [
                (CoordinatorKind::Group, 0),
                (CoordinatorKind::Transaction, 1),
            ] {
                let call = FindCoordinator {
                    kind,
                    key: "key \u{e9}".into(),
                };
                let read: FindCoordinatorRequest = request(&call, version);
                let expected = FindCoordinatorRequest::default()
                    .with_key("key \u{e9}".into())
                    .with_key_type(number);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::FindCoordinator) {
            let found = FindCoordinatorResponse::default()
                .with_throttle_time_ms(8)
                .with_error_message(None)
                .with_node_id(3.into())
                .with_host("kafka-3".into())
                .with_port(9092)
                .with_unknown_tagged_fields(tag());
            let body = encoded(&found, version);
            let answer = FindCoordinator::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(8));
            assert_eq!((answer.code, answer.message), (ErrorCode::NONE, None));
            let node = (BrokerId(3), Address::new("kafka-3", 9092));
            assert_eq!(answer.node, Some(node));
            refuses_damage::<FindCoordinator>(version, &body);
        }
    }

    #[test]
    fn an_error_comes_with_its_message_and_no_broker() {
        for version in versions(ApiKey::FindCoordinator) {
            for (id, host, port) in [(-1, "", -1), (1, "kafka-1", 0), (-1, "kafka-1", 9092)] {
                let failed = FindCoordinatorResponse::default()
                    .with_error_code(15)
                    .with_error_message(Some("not yet".into()))
                    .with_node_id(id.into())
                    .with_host(host.into())
                    .with_port(port);
                let answer = FindCoordinator::decode(version, encoded(&failed, version)).unwrap();
                assert_eq!(answer.code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
                assert_eq!(answer.message.as_deref(), Some("not yet"));
                assert_eq!(answer.node, None);
            }
        }
    }
}
