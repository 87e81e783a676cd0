//! DescribeConfigs: the settings of topics and brokers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// From here on a setting's type and documentation are told (KIP-569).
const DOCUMENTED_FROM: i16 = 3;

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    /// Kafka's number for the kind of thing.
    pub(crate) kind: i8,
    /// A topic's name, a broker's id.
    pub(crate) name: Arc<str>,
}

impl Resource {
    pub(crate) const TOPIC: i8 = 2;
    pub(crate) const BROKER: i8 = 4;

    pub(super) fn encode(&self, body: &mut Encoder<'_>) {
        body.i8(self.kind);
        body.string(&self.name);
    }

    pub(super) fn decode(d: &mut Decoder) -> Result<Self, Malformed> {
        Ok(Self {
            kind: d.i8()?,
            name: d.owned()?,
        })
    }
}

/// Asks for every setting of each.
#[derive(Clone, Debug)]
pub(crate) struct DescribeConfigs {
    pub(crate) resources: Vec<Resource>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeConfigsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) resources: Vec<DescribedConfigs>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedConfigs {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) resource: Resource,
    pub(crate) configs: Vec<DescribedConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedConfig {
    pub(crate) name: Arc<str>,
    /// `None` for a sensitive one, too.
    pub(crate) value: Option<Arc<str>>,
    pub(crate) read_only: bool,
    /// Kafka's number for where the value comes from.
    pub(crate) source: i8,
    pub(crate) sensitive: bool,
}

impl Call for DescribeConfigs {
    type Response = DescribeConfigsAnswer;
    const KEY: ApiKey = ApiKey::DescribeConfigs;

    fn throttle(response: &DescribeConfigsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, version >= Self::KEY.flexible_from());
        body.array(&self.resources, |body, resource| {
            resource.encode(body);
            body.null_array(); // every setting
            body.no_tags();
        });
        body.bool(false); // without synonyms
        if version >= DOCUMENTED_FROM {
            body.bool(false); // without documentation
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, version >= Self::KEY.flexible_from());
        let throttle = d.millis()?;
        let resources = d.array(7, |d| {
            let described = DescribedConfigs {
                code: d.code()?,
                message: d.nullable_owned()?,
                resource: Resource::decode(d)?,
                configs: d.array(6, |d| read_config(version, d))?,
            };
            d.skip_tags()?;
            Ok(described)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeConfigsAnswer {
            throttle,
            resources,
        })
    }
}

fn read_config(version: i16, d: &mut Decoder) -> Result<DescribedConfig, Malformed> {
    let config = DescribedConfig {
        name: d.owned()?,
        value: d.nullable_owned()?,
        read_only: d.bool()?,
        source: d.i8()?,
        sensitive: d.bool()?,
    };
    for _ in 0..d.array_len(4)? {
        d.string()?; // a synonym
        d.nullable_string()?; // its value
        d.i8()?; // where it comes from
        d.skip_tags()?;
    }
    if version >= DOCUMENTED_FROM {
        d.i8()?; // its type
        d.nullable_string()?; // its documentation
    }
    d.skip_tags()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    use kafka_protocol::messages::describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
    };
    use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

    fn resource(kind: i8, name: &str) -> Resource {
        Resource {
            kind,
            name: name.into(),
        }
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DescribeConfigs {
            resources: vec![
                resource(Resource::TOPIC, "t"),
                resource(Resource::BROKER, "1"),
            ],
        };
        let theirs = |kind, name: &'static str| {
            DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(name.into())
                .with_configuration_keys(None)
        };
        let expected =
            DescribeConfigsRequest::default().with_resources(vec![theirs(2, "t"), theirs(4, "1")]);
        for version in versions(ApiKey::DescribeConfigs) {
            let read: DescribeConfigsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    fn theirs(version: i16) -> DescribeConfigsResponse {
        let mut synonym = DescribeConfigsSynonym::default()
            .with_name("log.retention.ms".into())
            .with_source(5);
        let mut config = DescribeConfigsResourceResult::default()
            .with_name("retention.ms".into())
            .with_value(Some("7".into()))
            .with_config_source(1);
        let mut good = DescribeConfigsResult::default()
            .with_error_message(None)
            .with_resource_type(2)
            .with_resource_name("t".into());
        let mut theirs = DescribeConfigsResponse::default().with_throttle_time_ms(6);
        if version >= 3 {
            config.config_type = 5;
            config.documentation = Some("how long".into());
        }
        if version >= 4 {
            synonym.unknown_tagged_fields = tag();
            config.unknown_tagged_fields = tag();
            good.unknown_tagged_fields = tag();
            theirs.unknown_tagged_fields = tag();
        }
        config.synonyms = vec![synonym];
        let secret = DescribeConfigsResourceResult::default()
            .with_name("password".into())
            .with_value(None)
            .with_read_only(true)
            .with_config_source(4)
            .with_is_sensitive(true);
        let bad = DescribeConfigsResult::default()
            .with_error_code(3)
            .with_error_message(Some("no such topic".into()))
            .with_resource_type(2)
            .with_resource_name("u".into());
        theirs.with_results(vec![good.with_configs(vec![config, secret]), bad])
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeConfigs) {
            let body = encoded(&theirs(version), version);
            let answer = DescribeConfigs::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(6));
            let retention = DescribedConfig {
                name: "retention.ms".into(),
                value: Some("7".into()),
                read_only: false,
                source: 1,
                sensitive: false,
            };
            let secret = DescribedConfig {
                name: "password".into(),
                value: None,
                read_only: true,
                source: 4,
                sensitive: true,
            };
            let good = DescribedConfigs {
                code: ErrorCode::NONE,
                message: None,
                resource: resource(2, "t"),
                configs: vec![retention, secret],
            };
            let bad = DescribedConfigs {
                code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                message: Some("no such topic".into()),
                resource: resource(2, "u"),
                configs: vec![],
            };
            assert_eq!(answer.resources, [good, bad], "version {version}");
            refuses_damage::<DescribeConfigs>(version, &body);
        }
    }
}
