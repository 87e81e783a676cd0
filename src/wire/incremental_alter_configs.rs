//! IncrementalAlterConfigs: changes some settings of topics and brokers, and leaves the others (KIP-339).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::describe_configs::Resource;
use super::encode::Encoder;
use crate::error::ErrorCode;

#[derive(Clone, Debug)]
pub(crate) struct IncrementalAlterConfigs {
    pub(crate) resources: Vec<(Resource, Vec<AlteredConfig>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct AlteredConfig {
    pub(crate) name: Arc<str>,
    pub(crate) change: ConfigChange,
    /// `None` for [`ConfigChange::Delete`].
    pub(crate) value: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigChange {
    Set = 0,
    Delete = 1,
    /// To a list.
    Append = 2,
    /// From a list.
    Subtract = 3,
}

#[derive(Clone, Debug)]
pub(crate) struct IncrementalAlterConfigsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) resources: Vec<AlteredResource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlteredResource {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) resource: Resource,
}

impl Call for IncrementalAlterConfigs {
    type Response = IncrementalAlterConfigsAnswer;
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;

    fn throttle(response: &IncrementalAlterConfigsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.resources, |body, (resource, configs)| {
            resource.encode(body);
            body.array(configs, |body, config| {
                body.string(&config.name);
                body.i8(config.change as i8);
                body.nullable_string(config.value.as_deref());
                body.no_tags();
            });
            body.no_tags();
        });
        body.bool(false); // not only to say whether it could be done
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let resources = d.array(6, |d| {
            let altered = AlteredResource {
                code: d.code()?,
                message: d.nullable_owned()?,
                resource: Resource::decode(d)?,
            };
            d.skip_tags()?;
            Ok(altered)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(IncrementalAlterConfigsAnswer {
            throttle,
            resources,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
    use kafka_protocol::messages::{
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    };

    fn topic(name: &str) -> Resource {
        Resource {
            kind: Resource::TOPIC,
            name: name.into(),
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let config = |name: &str, change, value: Option<&str>| AlteredConfig {
            name: name.into(),
            change,
            value: value.map(Into::into),
        };
        let call = IncrementalAlterConfigs {
            resources: vec![(
                topic("t"),
                vec![
                    config("a", ConfigChange::Set, Some("1")),
                    config("b", ConfigChange::Delete, None),
                    config("c", ConfigChange::Append, Some("2")),
                    config("d", ConfigChange::Subtract, Some("3")),
                ],
            )],
        };
        let theirs = |name: &'static str, operation, value: Option<&'static str>| {
            AlterableConfig::default()
                .with_name(name.into())
                .with_config_operation(operation)
                .with_value(value.map(Into::into))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_configs(vec![
                theirs("a", 0, Some("1")),
                theirs("b", 1, None),
                theirs("c", 2, Some("2")),
                theirs("d", 3, Some("3")),
            ]);
        let expected = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        for version in versions(ApiKey::IncrementalAlterConfigs) {
            let read: IncrementalAlterConfigsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::IncrementalAlterConfigs) {
            let good = AlterConfigsResourceResponse::default()
                .with_resource_type(2)
                .with_resource_name("t".into())
                .with_error_message(None)
                .with_unknown_tagged_fields(tag());
            let bad = AlterConfigsResourceResponse::default()
                .with_error_code(40)
                .with_error_message(Some("no such setting".into()))
                .with_resource_type(2)
                .with_resource_name("u".into());
            let theirs = IncrementalAlterConfigsResponse::default()
                .with_throttle_time_ms(2)
                .with_responses(vec![good, bad])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = IncrementalAlterConfigs::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(2));
            let told = |code, message: Option<&str>, name| AlteredResource {
                code,
                message: message.map(Into::into),
                resource: topic(name),
            };
            let expected = [
                told(ErrorCode::NONE, None, "t"),
                told(ErrorCode::INVALID_CONFIG, Some("no such setting"), "u"),
            ];
            assert_eq!(answer.resources, expected, "version {version}");
            refuses_damage::<IncrementalAlterConfigs>(version, &body);
        }
    }
}
