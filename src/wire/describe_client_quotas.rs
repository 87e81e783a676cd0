//! DescribeClientQuotas: the quotas of users, clients and addresses (KIP-546, Kafka 2.6).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::quotas::{QuotaNames, read_entity};
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct DescribeClientQuotas {
    pub(crate) components: Vec<QuotaMatch>,
    /// Whether those that have other kinds besides are left out.
    pub(crate) strict: bool,
}

/// What one kind's name is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuotaMatch {
    pub(crate) kind: Arc<str>,
    pub(crate) name: QuotaMatchName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuotaMatchName {
    Exact(Arc<str>),
    Default,
    /// One of its own or the default.
    Any,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeClientQuotasAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) entries: Vec<QuotaEntry>,
}

/// To whom quotas apply, and each quota by its name.
pub(crate) type QuotaEntry = (QuotaNames, Vec<(Arc<str>, f64)>);

fn is_flexible(version: i16) -> bool {
    version >= ApiKey::DescribeClientQuotas.flexible_from()
}

impl Call for DescribeClientQuotas {
    type Response = DescribeClientQuotasAnswer;
    const KEY: ApiKey = ApiKey::DescribeClientQuotas;

    fn throttle(response: &DescribeClientQuotasAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, is_flexible(version));
        body.array(&self.components, |body, component| {
            body.string(&component.kind);
            let (kind, name) = match &component.name {
                QuotaMatchName::Exact(name) => (0, Some(&**name)),
                QuotaMatchName::Default => (1, None),
                QuotaMatchName::Any => (2, None),
            };
            body.i8(kind);
            body.nullable_string(name);
            body.no_tags();
        });
        body.bool(self.strict);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, is_flexible(version));
        let throttle = d.millis()?;
        let code = d.code()?;
        let message = d.nullable_owned()?;
        let entries = d.array(3, |d| {
            let entity = read_entity(d)?;
            let values = d.array(10, |d| {
                let value = (d.owned()?, d.f64()?);
                d.skip_tags()?;
                Ok(value)
            })?;
            d.skip_tags()?;
            Ok((entity, values))
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeClientQuotasAnswer {
            throttle,
            code,
            message,
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, versions};
    use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
    use kafka_protocol::messages::describe_client_quotas_response::{
        EntityData, EntryData, ValueData,
    };
    use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let component = |kind: &str, name| QuotaMatch {
            kind: kind.into(),
            name,
        };
        let call = DescribeClientQuotas {
            components: vec![
                component("user", QuotaMatchName::Exact("alice".into())),
                component("client-id", QuotaMatchName::Default),
                component("ip", QuotaMatchName::Any),
            ],
            strict: true,
        };
        let theirs = |kind: &'static str, number, name: Option<&'static str>| {
            ComponentData::default()
                .with_entity_type(kind.into())
                .with_match_type(number)
                .with_match(name.map(StrBytes::from))
        };
        let expected = DescribeClientQuotasRequest::default()
            .with_components(vec![
                theirs("user", 0, Some("alice")),
                theirs("client-id", 1, None),
                theirs("ip", 2, None),
            ])
            .with_strict(true);
        for version in versions(ApiKey::DescribeClientQuotas) {
            let read: DescribeClientQuotasRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeClientQuotas) {
            let entity = |kind: &'static str, name: Option<&'static str>| {
                EntityData::default()
                    .with_entity_type(kind.into())
                    .with_entity_name(name.map(StrBytes::from))
            };
            let value = ValueData::default()
                .with_key("producer_byte_rate".into())
                .with_value(1024.5);
            let entry = EntryData::default()
                .with_entity(vec![entity("user", None), entity("client-id", Some("app"))])
                .with_values(vec![value]);
            let theirs = DescribeClientQuotasResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(31)
                .with_error_message(Some("no".into()))
                .with_entries(Some(vec![entry]));
            let body = encoded(&theirs, version);
            let answer = DescribeClientQuotas::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
            assert_eq!(answer.message.as_deref(), Some("no"));
            let names: QuotaNames = vec![
                ("user".into(), None),
                ("client-id".into(), Some("app".into())),
            ];
            let values = vec![("producer_byte_rate".into(), 1024.5)];
            assert_eq!(answer.entries, [(names, values)]);
            refuses_damage::<DescribeClientQuotas>(version, &body);
        }
    }
}
