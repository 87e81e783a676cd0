//! Access control entries and filters of them, as three calls carry them.

use std::sync::Arc;

use super::call::ApiKey;
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;

/// Whether this version of a call about ACLs has flexible fields.
pub(super) fn is_flexible(key: ApiKey, version: i16) -> bool {
    version >= key.flexible_from()
}

/// One entry: a principal, from a host, may or may not do something with a resource. Its kinds are Kafka's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AclEntry {
    pub(crate) resource: i8,
    pub(crate) name: Arc<str>,
    pub(crate) pattern: i8,
    pub(crate) principal: Arc<str>,
    pub(crate) host: Arc<str>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

/// The least that an entry takes: four kinds, and three strings that are empty.
pub(super) const LEAST_ENTRY: usize = 7;

impl AclEntry {
    pub(super) fn encode(&self, body: &mut Encoder<'_>) {
        body.i8(self.resource);
        body.string(&self.name);
        body.i8(self.pattern);
        body.string(&self.principal);
        body.string(&self.host);
        body.i8(self.operation);
        body.i8(self.permission);
        body.no_tags();
    }

    pub(super) fn decode(d: &mut Decoder) -> Result<Self, Malformed> {
        Ok(Self {
            resource: d.i8()?,
            name: d.owned()?,
            pattern: d.i8()?,
            principal: d.owned()?,
            host: d.owned()?,
            operation: d.i8()?,
            permission: d.i8()?,
        })
    }
}

/// What entries are to have; `None` and Kafka's `ANY` (1) leave it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AclMatch {
    pub(crate) resource: i8,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) pattern: i8,
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

impl AclMatch {
    pub(super) fn encode(&self, body: &mut Encoder<'_>) {
        body.i8(self.resource);
        body.nullable_string(self.name.as_deref());
        body.i8(self.pattern);
        body.nullable_string(self.principal.as_deref());
        body.nullable_string(self.host.as_deref());
        body.i8(self.operation);
        body.i8(self.permission);
        body.no_tags();
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(in crate::wire) fn entry() -> AclEntry {
        AclEntry {
            resource: 2,
            name: "events-".into(),
            pattern: 4,
            principal: "User:alice".into(),
            host: "*".into(),
            operation: 3,
            permission: 3,
        }
    }

    pub(in crate::wire) fn filter() -> AclMatch {
        AclMatch {
            resource: 2,
            name: Some("events".into()),
            pattern: 2,
            principal: None,
            host: Some("10.0.0.1".into()),
            operation: 1,
            permission: 1,
        }
    }
}
