//! AlterClientQuotas: sets and removes quotas of users, clients and addresses (KIP-546, Kafka 2.6).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::quotas::{QuotaNames, read_entity, write_entity};
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct AlterClientQuotas {
    pub(crate) entries: Vec<QuotaChange>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuotaChange {
    pub(crate) entity: QuotaNames,
    /// Each quota's name with its value; `None` removes it.
    pub(crate) values: Vec<(Arc<str>, Option<f64>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct AlterClientQuotasAnswer {
    pub(crate) throttle: Duration,
    pub(crate) entries: Vec<AlteredQuota>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlteredQuota {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) entity: QuotaNames,
}

fn is_flexible(version: i16) -> bool {
    version >= ApiKey::AlterClientQuotas.flexible_from()
}

impl Call for AlterClientQuotas {
    type Response = AlterClientQuotasAnswer;
    const KEY: ApiKey = ApiKey::AlterClientQuotas;

    fn throttle(response: &AlterClientQuotasAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(version));
        body.array(&self.entries, |body, entry| {
            write_entity(body, &entry.entity);
            body.array(&entry.values, |body, (name, value)| {
                body.string(name);
                body.f64(value.unwrap_or_default());
                body.bool(value.is_none());
                body.no_tags();
            });
            body.no_tags();
        });
        body.bool(false); // not only to say whether it could be done
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(version));
        let throttle = d.millis()?;
        let entries = d.array(4, |d| {
            let entry = AlteredQuota {
                code: d.code()?,
                message: d.nullable_owned()?,
                entity: read_entity(d)?,
            };
            d.skip_tags()?;
            Ok(entry)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(AlterClientQuotasAnswer { throttle, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
    use kafka_protocol::messages::alter_client_quotas_response as response;
    use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let change = QuotaChange {
            entity: vec![("user".into(), None)],
            values: vec![
                ("producer_byte_rate".into(), Some(1024.5)),
                ("request_percentage".into(), None),
            ],
        };
        let call = AlterClientQuotas {
            entries: vec![change],
        };
        let set = OpData::default()
            .with_key("producer_byte_rate".into())
            .with_value(1024.5);
        let removed = OpData::default()
            .with_key("request_percentage".into())
            .with_remove(true);
        let entity = EntityData::default()
            .with_entity_type("user".into())
            .with_entity_name(None);
        let entry = EntryData::default()
            .with_entity(vec![entity])
            .with_ops(vec![set, removed]);
        let expected = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        for version in versions(ApiKey::AlterClientQuotas) {
            let read: AlterClientQuotasRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::AlterClientQuotas) {
            let entity = response::EntityData::default()
                .with_entity_type("user".into())
                .with_entity_name(Some("alice".into()));
            let entry = response::EntryData::default()
                .with_error_code(42)
                .with_error_message(Some("below zero".into()))
                .with_entity(vec![entity]);
            let theirs = AlterClientQuotasResponse::default()
                .with_throttle_time_ms(3)
                .with_entries(vec![entry]);
            let body = encoded(&theirs, version);
            let answer = AlterClientQuotas::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let expected = AlteredQuota {
                code: ErrorCode::INVALID_REQUEST,
                message: Some("below zero".into()),
                entity: vec![("user".into(), Some("alice".into()))],
            };
            assert_eq!(answer.entries, [expected]);
            refuses_damage::<AlterClientQuotas>(version, &body);
        }
    }
}
