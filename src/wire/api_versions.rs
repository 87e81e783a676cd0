//! ApiVersions: the first call on every connection, which finds out what the broker speaks.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// Asks what the broker speaks, and tells it what asks (KIP-511).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiVersions;

#[derive(Clone, Debug)]
pub(crate) struct ApiVersionsAnswer {
    pub(crate) code: ErrorCode,
    /// Key, lowest and highest version.
    pub(crate) ranges: Vec<(i16, i16, i16)>,
    pub(crate) throttle: Duration,
    /// The level of the cluster's feature `transaction.version`, 0 where there is none: from 2 on transactions go by the
    /// second protocol (KIP-890).
    pub(crate) transaction_version: i16,
}

impl ApiVersionsAnswer {
    /// The version to ask with next, after `asked` was not understood; `None` when there is none.
    ///
    /// Always below `asked`, so that asking ends:
    ///
    /// ```text
    /// loop {
    ///     let answer = decode_api_versions(version, ask(version))?;
    ///     match answer.downgrade(version) {
    ///         Some(lower) => version = lower,
    ///         None => break answer.code.ok(),
    ///     }
    /// }
    /// ```
    pub(crate) fn downgrade(&self, asked: i16) -> Option<i16> {
        if self.code != ErrorCode::UNSUPPORTED_VERSION || asked <= 0 {
            return None;
        }
        let own = ApiKey::ApiVersions.code();
        let named = self.ranges.iter().find(|(key, _, _)| *key == own);
        // Brokers before Kafka 2.4 name no range; every broker knows version 0.
        Some(match named {
            Some((_, _, max)) if (0..asked).contains(max) => *max,
            _ => 0,
        })
    }
}

impl Call for ApiVersions {
    type Response = ApiVersionsAnswer;
    const KEY: ApiKey = ApiKey::ApiVersions;

    fn throttle(response: &ApiVersionsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        if version >= Self::KEY.flexible_from() {
            let mut body = Encoder::new(out, true);
            body.string("ottla");
            body.string(env!("CARGO_PKG_VERSION"));
            body.no_tags();
        }
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        decode_api_versions(version, body)
    }
}

/// Reads the answer to a request of `version`.
///
/// A broker that does not know the version answers UNSUPPORTED_VERSION in the layout of version 0.
pub(crate) fn decode_api_versions(
    version: i16,
    body: Bytes,
) -> Result<ApiVersionsAnswer, Malformed> {
    let refused = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.code().to_be_bytes());
    // The byte behind the code tells the layouts apart: a rigid count has its highest byte there, a compact count is
    // never 0, which would be null.
    let layout = if refused && body.get(2) == Some(&0) {
        0
    } else {
        version
    };
    let mut d = Decoder::new(body, layout >= ApiKey::ApiVersions.flexible_from());
    let code = ErrorCode::new(d.i16()?);
    let ranges = d.array(6, |d| {
        let range = (d.i16()?, d.i16()?, d.i16()?);
        d.skip_tags()?;
        Ok(range)
    })?;
    let throttle = if layout >= 1 {
        d.millis()?
    } else {
        Duration::ZERO
    };
    let mut transaction_version = 0;
    d.tags(|tag, field| {
        if tag == FINALIZED_FEATURES {
            transaction_version = read_transaction_version(field)?;
        }
        Ok(())
    })?;
    d.finish()?;
    Ok(ApiVersionsAnswer {
        code,
        ranges,
        throttle,
        transaction_version,
    })
}

/// The tagged field that tells the levels that the cluster has agreed on (KIP-584).
const FINALIZED_FEATURES: u32 = 2;

fn read_transaction_version(field: &mut Decoder) -> Result<i16, Malformed> {
    let features = field.array(6, |d| {
        let name = d.string()?;
        let (max, _min) = (d.i16()?, d.i16()?);
        d.skip_tags()?;
        Ok((name, max))
    })?;
    field.all_read()?;
    let mut levels = features.iter();
    let level = levels.find(|(name, _)| name.as_str() == "transaction.version");
    Ok(level.map_or(0, |(_, level)| *level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::api_versions_response::{
        ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
    };
    use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

    fn answer(code: i16, version: i16) -> ApiVersionsResponse {
        let range = |key, min, max| {
            let mut range = ApiVersion::default()
                .with_api_key(key)
                .with_min_version(min)
                .with_max_version(max);
            if version >= 3 {
                range.unknown_tagged_fields = tag();
            }
            range
        };
        let mut answer = ApiVersionsResponse::default()
            .with_error_code(code)
            .with_api_keys(vec![range(0, 0, 13), range(18, 0, 2), range(3, 0, 12)]);
        if version >= 1 {
            answer.throttle_time_ms = 1500;
        }
        if version >= 3 {
            answer.supported_features = vec![
                SupportedFeatureKey::default()
                    .with_name("kraft.version".into())
                    .with_max_version(1),
            ];
            answer.finalized_features_epoch = 12;
            let feature = |name: &'static str, level| {
                FinalizedFeatureKey::default()
                    .with_name(name.into())
                    .with_max_version_level(level)
                    .with_min_version_level(level)
            };
            answer.finalized_features = vec![
                feature("metadata.version", 25),
                feature("transaction.version", 2),
            ];
            answer.unknown_tagged_fields = tag();
        }
        answer
    }

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::ApiVersions) {
            let read: ApiVersionsRequest = request(&ApiVersions, version);
            let expected = if version >= 3 {
                ("ottla", env!("CARGO_PKG_VERSION"))
            } else {
                ("", "")
            };
            let names = (
                read.client_software_name.as_str(),
                read.client_software_version.as_str(),
            );
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::ApiVersions) {
            let body = encoded(&answer(0, version), version);
            let read = ApiVersions::decode(version, body.clone()).unwrap();
            assert_eq!(read.code, ErrorCode::NONE);
            assert_eq!(read.ranges, [(0, 0, 13), (18, 0, 2), (3, 0, 12)]);
            let throttle = if version >= 1 { 1500 } else { 0 };
            assert_eq!(read.throttle, Duration::from_millis(throttle));
            let level = if version >= 3 { 2 } else { 0 };
            assert_eq!(read.transaction_version, level);
            refuses_damage::<ApiVersions>(version, &body);
        }
    }

    #[test]
    fn a_refusal_in_version_0_is_read_whatever_was_asked() {
        for version in versions(ApiKey::ApiVersions) {
            let body = encoded(&answer(35, 0), 0);
            let read = ApiVersions::decode(version, body.clone()).unwrap();
            assert_eq!(read.code, ErrorCode::UNSUPPORTED_VERSION);
            assert_eq!(read.ranges, [(0, 0, 13), (18, 0, 2), (3, 0, 12)]);
            refuses_damage::<ApiVersions>(version, &body);
        }
    }

    #[test]
    fn a_refusal_in_the_version_asked_is_read_too() {
        for version in versions(ApiKey::ApiVersions).filter(|v| *v >= 3) {
            let body = encoded(&answer(35, version), version);
            assert_eq!(ApiVersions::decode(version, body).unwrap().ranges.len(), 3);
        }
    }

    #[test]
    fn downgrading_takes_the_brokers_range_or_version_0_and_ends() {
        let refused = |ranges: &[(i16, i16, i16)]| ApiVersionsAnswer {
            code: ErrorCode::UNSUPPORTED_VERSION,
            ranges: ranges.to_vec(),
            throttle: Duration::ZERO,
            transaction_version: 0,
        };
        assert_eq!(refused(&[(18, 0, 2)]).downgrade(4), Some(2));
        assert_eq!(refused(&[(0, 0, 2)]).downgrade(4), Some(0));
        assert_eq!(refused(&[]).downgrade(4), Some(0));
        assert_eq!(refused(&[(18, 0, 4)]).downgrade(4), Some(0));
        assert_eq!(refused(&[(18, 0, -1)]).downgrade(4), Some(0));
        assert_eq!(refused(&[(18, 0, 2)]).downgrade(0), None);
        let understood = ApiVersionsAnswer {
            code: ErrorCode::NONE,
            ..refused(&[(18, 0, 2)])
        };
        assert_eq!(understood.downgrade(4), None);
    }
}
