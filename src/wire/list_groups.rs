//! ListGroups: the groups that one broker coordinates.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// From here on a group's state is told (KIP-518).
const STATE_FROM: i16 = 4;
/// From here on a group's type is told (KIP-848).
const TYPE_FROM: i16 = 5;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ListGroups;

#[derive(Clone, Debug)]
pub(crate) struct ListGroupsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) groups: Vec<ListedGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedGroup {
    pub(crate) group: Arc<str>,
    /// `consumer` for consumers, empty for a group that only keeps offsets.
    pub(crate) protocol_type: Arc<str>,
    /// `None` below version 4.
    pub(crate) state: Option<Arc<str>>,
    /// `classic`, `consumer`, `share`, `streams`; `None` below version 5.
    pub(crate) kind: Option<Arc<str>>,
}

impl Call for ListGroups {
    type Response = ListGroupsAnswer;
    const KEY: ApiKey = ApiKey::ListGroups;

    fn throttle(response: &ListGroupsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        // Of every state, and of every type.
        if version >= STATE_FROM {
            body.long_length(0);
        }
        if version >= TYPE_FROM {
            body.long_length(0);
        }
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        let groups = d.array(3, |d| {
            let group = ListedGroup {
                group: d.owned()?,
                protocol_type: d.owned()?,
                state: (version >= STATE_FROM).then(|| d.owned()).transpose()?,
                kind: (version >= TYPE_FROM).then(|| d.owned()).transpose()?,
            };
            d.skip_tags()?;
            Ok(group)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(ListGroupsAnswer {
            throttle,
            code,
            groups,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::list_groups_response::ListedGroup as TheirGroup;
    use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::ListGroups) {
            let read: ListGroupsRequest = request(&ListGroups, version);
            assert_eq!(read, ListGroupsRequest::default(), "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::ListGroups) {
            let mut theirs = TheirGroup::default()
                .with_group_id(StrBytes::from("g").into())
                .with_protocol_type("consumer".into())
                .with_unknown_tagged_fields(tag());
            if version >= 4 {
                theirs.group_state = "Stable".into();
            }
            if version >= 5 {
                theirs.group_type = "classic".into();
            }
            let empty = TheirGroup::default().with_group_id(StrBytes::from("offsets").into());
            let theirs = ListGroupsResponse::default()
                .with_throttle_time_ms(9)
                .with_error_code(15)
                .with_groups(vec![theirs, empty])
                .with_unknown_tagged_fields(tag());
            let body = encoded(&theirs, version);
            let answer = ListGroups::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(9));
            assert_eq!(answer.code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
            let told = |from: i16, text: &str| (version >= from).then(|| text.into());
            let group = ListedGroup {
                group: "g".into(),
                protocol_type: "consumer".into(),
                state: told(4, "Stable"),
                kind: told(5, "classic"),
            };
            let offsets = ListedGroup {
                group: "offsets".into(),
                protocol_type: "".into(),
                state: told(4, ""),
                kind: told(5, ""),
            };
            assert_eq!(answer.groups, [group, offsets], "version {version}");
            refuses_damage::<ListGroups>(version, &body);
        }
    }
}
