//! DescribeCluster: the cluster's id, brokers and controller (KIP-700, Kafka 2.8).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::metadata::{BrokerMeta, read_broker};
use crate::error::ErrorCode;
use crate::types::BrokerId;

/// From here on the request says which kind of server it asks for (KIP-919).
const ENDPOINT_FROM: i16 = 1;
const BROKERS: i8 = 1;

#[derive(Clone, Copy, Debug)]
pub(crate) struct DescribeCluster {
    /// Whether to tell what the asker may do (KIP-430).
    pub(crate) operations: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeClusterAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) cluster_id: Arc<str>,
    pub(crate) controller: Option<BrokerId>,
    /// Those with an id and a port that can be connected to.
    pub(crate) brokers: Vec<BrokerMeta>,
    /// What the asker may do, a bit for each of Kafka's numbers; `i32::MIN` where that is not told.
    pub(crate) operations: i32,
}

impl Call for DescribeCluster {
    type Response = DescribeClusterAnswer;
    const KEY: ApiKey = ApiKey::DescribeCluster;

    fn throttle(response: &DescribeClusterAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.bool(self.operations);
        if version >= ENDPOINT_FROM {
            body.i8(BROKERS);
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let message = d.nullable_owned()?;
        if version >= ENDPOINT_FROM {
            d.i8()?; // what was asked for
        }
        let answer = DescribeClusterAnswer {
            throttle,
            code,
            message,
            cluster_id: d.owned()?,
            controller: d.broker()?,
            brokers: d.array(11, read_broker)?.into_iter().flatten().collect(),
            operations: d.i32()?,
        };
        d.skip_tags()?;
        d.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Address;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
    use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::DescribeCluster) {
            for operations in [false, true] {
                let call = DescribeCluster { operations };
                let read: DescribeClusterRequest = request(&call, version);
                let expected = DescribeClusterRequest::default()
                    .with_include_cluster_authorized_operations(operations)
                    .with_endpoint_type(1);
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        let theirs = |id: i32, rack: Option<&'static str>| {
            DescribeClusterBroker::default()
                .with_broker_id(id.into())
                .with_host("kafka".into())
                .with_port(9092)
                .with_rack(rack.map(Into::into))
                .with_unknown_tagged_fields(tag())
        };
        let ours = |id, rack: Option<&str>| BrokerMeta {
            id: BrokerId(id),
            address: Address::new("kafka", 9092),
            rack: rack.map(Into::into),
        };
        for version in versions(ApiKey::DescribeCluster) {
            for controller in [-1, 2] {
                let theirs = DescribeClusterResponse::default()
                    .with_throttle_time_ms(5)
                    .with_error_code(31)
                    .with_error_message(Some("no".into()))
                    .with_cluster_id("c-1".into())
                    .with_controller_id(controller.into())
                    .with_brokers(vec![theirs(1, None), theirs(2, Some("r"))])
                    .with_cluster_authorized_operations(1 << 8)
                    .with_unknown_tagged_fields(tag());
                let body = encoded(&theirs, version);
                let answer = DescribeCluster::decode(version, body.clone()).unwrap();
                assert_eq!(answer.throttle, Duration::from_millis(5));
                assert_eq!(answer.code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
                assert_eq!(answer.message.as_deref(), Some("no"));
                assert_eq!(&*answer.cluster_id, "c-1");
                let known = (controller >= 0).then_some(BrokerId(controller));
                assert_eq!(answer.controller, known);
                assert_eq!(answer.operations, 1 << 8);
                assert_eq!(answer.brokers, [ours(1, None), ours(2, Some("r"))]);
                refuses_damage::<DescribeCluster>(version, &body);
            }
        }
    }
}
