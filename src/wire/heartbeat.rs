//! Heartbeat: a member is alive, and learns that its group rebalances.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) group: Arc<str>,
    pub(crate) generation: i32,
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct HeartbeatAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
}

impl Call for Heartbeat {
    type Response = HeartbeatAnswer;
    const KEY: ApiKey = ApiKey::Heartbeat;

    fn throttle(response: &HeartbeatAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.string(&self.group);
        body.i32(self.generation);
        body.string(&self.member_id);
        body.nullable_string(self.instance_id.as_deref());
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        d.skip_tags()?;
        d.finish()?;
        Ok(HeartbeatAnswer { throttle, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::Heartbeat) {
            for instance in [None, Some("i")] {
                let call = Heartbeat {
                    group: "g".into(),
                    generation: 17,
                    member_id: "m".into(),
                    instance_id: instance.map(Into::into),
                };
                let read: HeartbeatRequest = request(&call, version);
                let expected = HeartbeatRequest::default()
                    .with_group_id(StrBytes::from("g").into())
                    .with_generation_id(17)
                    .with_member_id("m".into())
                    .with_group_instance_id(instance.map(StrBytes::from));
                assert_eq!(read, expected, "version {version}");
            }
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::Heartbeat) {
            let theirs = HeartbeatResponse::default()
                .with_throttle_time_ms(2)
                .with_error_code(27)
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = Heartbeat::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(2));
            assert_eq!(answer.code, ErrorCode::REBALANCE_IN_PROGRESS);
            refuses_damage::<Heartbeat>(version, &body);
        }
    }
}
