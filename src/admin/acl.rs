//! Access control entries as applications write them: who may do what, with which resource.

use std::fmt;
use std::sync::Arc;

use crate::wire::{AclEntry, AclMatch};

/// Kafka's name of the one resource of its kind.
const CLUSTER: &str = "kafka-cluster";
/// Every host.
const ANY_HOST: &str = "*";
/// Kafka's number of what leaves a part of a filter open.
const ANY: i8 = 1;

/// Defines an enum of Kafka's numbers, with what is not known as one more case.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $number:literal, $kafka:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
            /// Something else, which this version of the library does not know; brokers refuse to be asked for it.
            Other,
        }

        impl $name {
            pub(super) fn of(number: i8) -> Self {
                match number {
                    $($number => Self::$case,)*
                    _ => Self::Other,
                }
            }

            pub(super) fn number(self) -> i8 {
                match self {
                    $(Self::$case => $number,)*
                    Self::Other => 0,
                }
            }
        }

        /// Kafka's word for it.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$case => $kafka,)*
                    Self::Other => "UNKNOWN",
                })
            }
        }
    };
}

numbered! {
    /// What can be protected. Kafka: `ResourceType`.
    ResourceType {
        /// A topic.
        Topic = 2, "TOPIC";
        /// A group of consumers.
        Group = 3, "GROUP";
        /// The cluster itself.
        Cluster = 4, "CLUSTER";
        /// A transactional id.
        TransactionalId = 5, "TRANSACTIONAL_ID";
        /// A delegation token (KIP-48).
        DelegationToken = 6, "DELEGATION_TOKEN";
        /// A user, for whom others make delegation tokens (KIP-373, Kafka 3.3).
        User = 7, "USER";
    }
}

numbered! {
    /// What can be allowed. Kafka: `AclOperation`.
    AclOperation {
        /// Everything.
        All = 2, "ALL";
        /// Reading a topic; being a member of a group, and committing its offsets.
        Read = 3, "READ";
        /// Writing to a topic; using a transactional id.
        Write = 4, "WRITE";
        /// Creating a topic.
        Create = 5, "CREATE";
        /// Deleting a topic, its records, or a group.
        Delete = 6, "DELETE";
        /// Changing: partitions of a topic; access control, quotas and passwords of the cluster.
        Alter = 7, "ALTER";
        /// Being told of it; contained in reading, writing, deleting and changing.
        Describe = 8, "DESCRIBE";
        /// What brokers do among themselves.
        ClusterAction = 9, "CLUSTER_ACTION";
        /// Reading its settings; contained in changing them.
        DescribeConfigs = 10, "DESCRIBE_CONFIGS";
        /// Changing its settings.
        AlterConfigs = 11, "ALTER_CONFIGS";
        /// Producing with idempotence; contained in writing to any topic since Kafka 2.8 (KIP-679).
        IdempotentWrite = 12, "IDEMPOTENT_WRITE";
        /// Making delegation tokens for a user (KIP-373).
        CreateTokens = 13, "CREATE_TOKENS";
        /// Being told of a user's delegation tokens (KIP-373).
        DescribeTokens = 14, "DESCRIBE_TOKENS";
        /// Taking part in a two phase commit from outside (KIP-939).
        TwoPhaseCommit = 15, "TWO_PHASE_COMMIT";
    }
}

numbered! {
    /// Whether an entry gives or takes; what is denied is denied, whatever is allowed besides. Kafka:
    /// `AclPermissionType`.
    AclPermission {
        /// It must not be done.
        Deny = 2, "DENY";
        /// It may be done.
        Allow = 3, "ALLOW";
    }
}

numbered! {
    /// What an entry's resource name is taken for (KIP-290). Kafka: `PatternType`.
    PatternType {
        /// The name itself, or all if it is `*`.
        Literal = 3, "LITERAL";
        /// The beginning of names.
        Prefixed = 4, "PREFIXED";
    }
}

/// The operations that a broker allows, of its bits; `None` where it does not tell.
pub(super) fn authorized(bits: i32) -> Option<Vec<AclOperation>> {
    let is_set = |number: &i8| bits & (1 << *number) != 0;
    let known = |number| Some(AclOperation::of(number)).filter(|told| *told != AclOperation::Other);
    (bits != i32::MIN).then(|| (0..31).filter(is_set).filter_map(known).collect())
}

/// One resource, or all whose names begin alike. Kafka: `ResourcePattern`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ResourcePattern {
    /// What it is.
    pub resource_type: ResourceType,
    /// Its name, `*` for all.
    pub name: Arc<str>,
    /// What the name is taken for.
    pub pattern_type: PatternType,
}

impl ResourcePattern {
    /// The resource of this type and name; `*` is all of them.
    pub fn new(resource_type: ResourceType, name: impl Into<Arc<str>>) -> Self {
        Self {
            resource_type,
            name: name.into(),
            pattern_type: PatternType::Literal,
        }
    }

    /// The topic of this name; `*` is all topics.
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceType::Topic, name)
    }

    /// The group of this name; `*` is all groups.
    pub fn group(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceType::Group, name)
    }

    /// The transactional id of this name; `*` is all.
    pub fn transactional_id(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceType::TransactionalId, name)
    }

    /// The cluster itself.
    #[must_use]
    pub fn cluster() -> Self {
        Self::new(ResourceType::Cluster, CLUSTER)
    }

    /// All whose names begin with this one (KIP-290).
    #[must_use]
    pub fn prefixed(mut self) -> Self {
        self.pattern_type = PatternType::Prefixed;
        self
    }
}

/// `TOPIC events-* (PREFIXED)` and the like.
impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource_type, self.name)?;
        match self.pattern_type {
            PatternType::Literal => Ok(()),
            other => write!(f, " ({other})"),
        }
    }
}

/// One access control entry. Kafka: `AclBinding`.
///
/// ```
/// use ottla::{AclBinding, AclOperation, ResourcePattern};
///
/// let topics = ResourcePattern::topic("events-").prefixed();
/// let reads = AclBinding::allow("User:alice", AclOperation::Read, topics).host("10.0.0.7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AclBinding {
    /// Of what it speaks.
    pub resource: ResourcePattern,
    /// Of whom it speaks, with the kind before it: `User:alice`, `User:*` for everybody.
    pub principal: Arc<str>,
    /// From which address, `*` from anywhere.
    pub host: Arc<str>,
    /// What may or must not be done.
    pub operation: AclOperation,
    /// Whether it may.
    pub permission: AclPermission,
}

impl AclBinding {
    /// The principal, such as `User:alice`, may do this, from anywhere.
    pub fn allow(
        principal: impl Into<Arc<str>>,
        operation: AclOperation,
        resource: ResourcePattern,
    ) -> Self {
        Self {
            resource,
            principal: principal.into(),
            host: ANY_HOST.into(),
            operation,
            permission: AclPermission::Allow,
        }
    }

    /// The principal, such as `User:alice`, must not do this, wherever it is.
    pub fn deny(
        principal: impl Into<Arc<str>>,
        operation: AclOperation,
        resource: ResourcePattern,
    ) -> Self {
        Self {
            permission: AclPermission::Deny,
            ..Self::allow(principal, operation, resource)
        }
    }

    /// From this address alone, as the broker sees it; no name and no network. Default `*`, from anywhere.
    #[must_use]
    pub fn host(mut self, address: impl Into<Arc<str>>) -> Self {
        self.host = address.into();
        self
    }

    pub(super) fn wire(&self) -> AclEntry {
        AclEntry {
            resource: self.resource.resource_type.number(),
            name: Arc::clone(&self.resource.name),
            pattern: self.resource.pattern_type.number(),
            principal: Arc::clone(&self.principal),
            host: Arc::clone(&self.host),
            operation: self.operation.number(),
            permission: self.permission.number(),
        }
    }

    pub(super) fn of(entry: AclEntry) -> Self {
        Self {
            resource: ResourcePattern {
                resource_type: ResourceType::of(entry.resource),
                name: entry.name,
                pattern_type: PatternType::of(entry.pattern),
            },
            principal: entry.principal,
            host: entry.host,
            operation: AclOperation::of(entry.operation),
            permission: AclPermission::of(entry.permission),
        }
    }
}

/// `ALLOW READ on TOPIC events for User:alice from *` and the like.
impl fmt::Display for AclBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (permission, operation) = (self.permission, self.operation);
        write!(f, "{permission} {operation} on {}", self.resource)?;
        write!(f, " for {} from {}", self.principal, self.host)
    }
}

/// Which access control entries; without anything said, all. Kafka: `AclBindingFilter`.
///
/// ```
/// use ottla::{AclBindingFilter, AclOperation, ResourceType};
///
/// // Whatever says that somebody may read the topic "events", by its name, a prefix or `*`.
/// let readers = AclBindingFilter::all()
///     .resource_type(ResourceType::Topic)
///     .matching("events")
///     .operation(AclOperation::Read);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AclBindingFilter(AclMatch);

/// Kafka's number of a pattern that is whatever would apply to a name.
const MATCH: i8 = 2;

impl AclBindingFilter {
    /// All entries.
    pub fn all() -> Self {
        Self(AclMatch {
            resource: ANY,
            name: None,
            pattern: ANY,
            principal: None,
            host: None,
            operation: ANY,
            permission: ANY,
        })
    }

    /// This entry and no other.
    pub fn exactly(binding: &AclBinding) -> Self {
        let entry = binding.wire();
        Self(AclMatch {
            resource: entry.resource,
            name: Some(entry.name),
            pattern: entry.pattern,
            principal: Some(entry.principal),
            host: Some(entry.host),
            operation: entry.operation,
            permission: entry.permission,
        })
    }

    /// Those of this kind of resource.
    pub fn resource_type(mut self, resource_type: ResourceType) -> Self {
        self.0.resource = resource_type.number();
        self
    }

    /// Those that have this very name, whatever their pattern is. Kafka: `PatternType.ANY`.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.name = Some(name.into());
        self.0.pattern = ANY;
        self
    }

    /// Those that apply to the resource of this name: by the name itself, by a prefix of it, or by `*`. Kafka:
    /// `PatternType.MATCH`.
    pub fn matching(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.name = Some(name.into());
        self.0.pattern = MATCH;
        self
    }

    /// Those whose name is taken for this; after [`named`](Self::named), if both are said.
    pub fn pattern_type(mut self, pattern_type: PatternType) -> Self {
        self.0.pattern = pattern_type.number();
        self
    }

    /// Those of this principal, such as `User:alice`.
    pub fn principal(mut self, principal: impl Into<Arc<str>>) -> Self {
        self.0.principal = Some(principal.into());
        self
    }

    /// Those of this host; `*` is those that say `*`.
    pub fn host(mut self, host: impl Into<Arc<str>>) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// Those of this operation; [`AclOperation::All`] is those that say so.
    pub fn operation(mut self, operation: AclOperation) -> Self {
        self.0.operation = operation.number();
        self
    }

    /// Those that allow, or those that deny.
    pub fn permission(mut self, permission: AclPermission) -> Self {
        self.0.permission = permission.number();
        self
    }

    pub(super) fn wire(self) -> AclMatch {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_calls_it_is_what_is_shown() {
        let prefix = ResourcePattern::topic("events-").prefixed();
        let binding = AclBinding::allow("User:alice", AclOperation::DescribeConfigs, prefix);
        assert_eq!(
            binding.to_string(),
            "ALLOW DESCRIBE_CONFIGS on TOPIC events- (PREFIXED) for User:alice from *"
        );
        let cluster = ResourcePattern::cluster();
        let binding = AclBinding::deny("User:*", AclOperation::Alter, cluster).host("10.0.0.1");
        assert_eq!(
            binding.to_string(),
            "DENY ALTER on CLUSTER kafka-cluster for User:* from 10.0.0.1"
        );
    }

    #[test]
    fn an_entry_is_the_same_after_the_wire_and_numbers_that_are_not_known_are_shown_as_that() {
        let prefix = ResourcePattern::group("g").prefixed();
        let binding = AclBinding::deny("User:bob", AclOperation::All, prefix).host("::1");
        assert_eq!(AclBinding::of(binding.wire()), binding);
        for number in 2..=15 {
            assert_eq!(AclOperation::of(number).number(), number);
        }
        let strange = AclEntry {
            resource: 99,
            pattern: 99,
            operation: 99,
            permission: 99,
            ..binding.wire()
        };
        let strange = AclBinding::of(strange);
        assert_eq!(strange.resource.resource_type, ResourceType::Other);
        assert_eq!(strange.operation, AclOperation::Other);
        assert_eq!(strange.wire().operation, 0);
    }

    #[test]
    fn each_bit_is_an_operation_and_the_lowest_number_is_silence() {
        assert_eq!(authorized(i32::MIN), None);
        assert_eq!(authorized(0), Some(vec![]));
        let both = vec![AclOperation::Read, AclOperation::Describe];
        assert_eq!(authorized(1 << 3 | 1 << 8 | 1 << 30 | 1), Some(both));
    }

    #[test]
    fn a_filter_leaves_open_what_is_not_said() {
        let all = AclBindingFilter::all().wire();
        assert_eq!((all.resource, all.pattern, all.operation), (ANY, ANY, ANY));
        assert_eq!((all.name, all.principal, all.host), (None, None, None));
        let filter = AclBindingFilter::all().matching("t").wire();
        assert_eq!((filter.name.as_deref(), filter.pattern), (Some("t"), MATCH));
        let filter = AclBindingFilter::all()
            .named("t")
            .pattern_type(PatternType::Prefixed);
        assert_eq!(filter.wire().pattern, 4);
    }
}
