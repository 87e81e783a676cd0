//! Who may do what: a list of what is allowed, and a refusal of all else.

use crate::wire::Name;

/// What is done to a resource, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AclOperation {
    /// Any of the others.
    All,
    /// Fetching from a topic, or being in a group and committing for it; implies `Describe`.
    Read,
    /// Producing to a topic, or transactions under a transactional id; implies `Describe`.
    Write,
    /// Making topics.
    Create,
    /// Deleting topics, records or groups; implies `Describe`.
    Delete,
    /// Adding partitions to a topic, or ending others' transactions in the cluster; implies `Describe`.
    Alter,
    /// Being told that it is there, and of what it consists.
    Describe,
    /// Being told a topic's or the cluster's settings.
    DescribeConfigs,
    /// Changing settings; implies `DescribeConfigs`.
    AlterConfigs,
    /// An idempotent producer's id, of the cluster.
    IdempotentWrite,
}

impl AclOperation {
    fn implies(self, other: Self) -> bool {
        match self {
            Self::All => true,
            Self::Read | Self::Write | Self::Delete | Self::Alter => {
                other == self || other == Self::Describe
            }
            Self::AlterConfigs => other == self || other == Self::DescribeConfigs,
            _ => other == self,
        }
    }
}

/// What something is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceKind {
    Topic,
    Group,
    Cluster,
    TransactionalId,
}

/// Something that a user may do; Kafka's `ALLOW` of an access control list.
///
/// A user is named as it logs in, without `User:` in front; who has not logged in is `ANONYMOUS`, and `*` is everybody.
/// A resource's name that ends with `*` means all that begin with what is before it.
///
/// ```
/// use ottla_broker::{Acl, AclOperation, Cluster};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ottla_broker::Error> {
/// let cluster = Cluster::builder()
///     .user("alice", "alice's secret")
///     .allow(Acl::topic("alice", AclOperation::Read, "payments"))
///     .allow(Acl::group("alice", AclOperation::Read, "audit-*"))
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    principal: Name,
    operation: AclOperation,
    /// `None` for everything there is.
    resource: Option<(ResourceKind, Name)>,
}

impl Acl {
    fn new(principal: &str, operation: AclOperation, kind: ResourceKind, name: &str) -> Self {
        Self {
            principal: principal.into(),
            operation,
            resource: Some((kind, name.into())),
        }
    }

    /// Everything, to whatever there is: a super user.
    #[must_use]
    pub fn all(principal: impl AsRef<str>) -> Self {
        Self {
            principal: principal.as_ref().into(),
            operation: AclOperation::All,
            resource: None,
        }
    }

    /// An operation on a topic, or on those whose names begin as `name` does before its `*`.
    #[must_use]
    pub fn topic(
        principal: impl AsRef<str>,
        operation: AclOperation,
        name: impl AsRef<str>,
    ) -> Self {
        let kind = ResourceKind::Topic;
        Self::new(principal.as_ref(), operation, kind, name.as_ref())
    }

    /// An operation on a consumer group (`group.id`), or on those whose names begin as `name` does before its `*`.
    #[must_use]
    pub fn group(
        principal: impl AsRef<str>,
        operation: AclOperation,
        name: impl AsRef<str>,
    ) -> Self {
        let kind = ResourceKind::Group;
        Self::new(principal.as_ref(), operation, kind, name.as_ref())
    }

    /// An operation on transactions of an id (`transactional.id`), or of those that begin as `id` does before its `*`.
    #[must_use]
    pub fn transactional_id(
        principal: impl AsRef<str>,
        operation: AclOperation,
        id: impl AsRef<str>,
    ) -> Self {
        let kind = ResourceKind::TransactionalId;
        Self::new(principal.as_ref(), operation, kind, id.as_ref())
    }

    /// An operation on the cluster as a whole.
    #[must_use]
    pub fn cluster(principal: impl AsRef<str>, operation: AclOperation) -> Self {
        Self::new(principal.as_ref(), operation, ResourceKind::Cluster, "*")
    }

    fn allows(&self, principal: &str, wanted: AclOperation, of: ResourceKind, name: &str) -> bool {
        let same = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        };
        let covers = |(kind, pattern): &(ResourceKind, Name)| *kind == of && same(pattern);
        (*self.principal == *principal || *self.principal == *"*")
            && self.operation.implies(wanted)
            && self.resource.as_ref().is_none_or(covers)
    }
}

/// All that is allowed; everything, until anything is said.
#[derive(Debug, Default)]
pub(crate) struct Acls {
    /// `None` before the first.
    allowed: Option<Vec<Acl>>,
}

impl Acls {
    pub(crate) fn add(&mut self, acl: Acl) {
        let allowed = self.allowed.get_or_insert_default();
        if !allowed.contains(&acl) {
            allowed.push(acl);
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, acl: &Acl) -> bool {
        let allowed = self.allowed.get_or_insert_default();
        let before = allowed.len();
        allowed.retain(|one| one != acl);
        allowed.len() < before
    }

    pub(crate) fn allow(
        &self,
        principal: &str,
        operation: AclOperation,
        of: ResourceKind,
        name: &str,
    ) -> bool {
        let allows = |acl: &Acl| acl.allows(principal, operation, of, name);
        let all = self.allowed.as_ref();
        all.is_none_or(|all| all.iter().any(allows))
    }

    /// Whether there is any resource of the kind that this may be done to.
    pub(crate) fn allow_any(
        &self,
        principal: &str,
        operation: AclOperation,
        of: ResourceKind,
    ) -> bool {
        let allows = |acl: &Acl| match &acl.resource {
            Some((kind, pattern)) => {
                *kind == of && acl.allows(principal, operation, of, pattern.trim_end_matches('*'))
            }
            None => acl.allows(principal, operation, of, ""),
        };
        let all = self.allowed.as_ref();
        all.is_none_or(|all| all.iter().any(allows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_what_a_rule_covers() {
        use AclOperation::*;
        use ResourceKind::*;
        let mut acls = Acls::default();
        assert!(acls.allow("anybody", Write, Topic, "t"));
        for acl in [
            Acl::topic("alice", Read, "payments"),
            Acl::topic("alice", Write, "audit-*"),
            Acl::topic("*", Describe, "public"),
            Acl::group("bob", All, "*"),
            Acl::cluster("bob", Create),
            Acl::all("root"),
        ] {
            acls.add(acl);
        }
        for (principal, operation, kind, name, allowed) in [
            ("alice", Read, Topic, "payments", true),
            ("alice", Describe, Topic, "payments", true),
            ("alice", Write, Topic, "payments", false),
            ("alice", Read, Topic, "payments-2", false),
            ("bob", Read, Topic, "payments", false),
            ("alice", Write, Topic, "audit-1", true),
            ("alice", Write, Topic, "audit", false),
            ("alice", Read, Group, "payments", false),
            ("bob", Describe, Topic, "public", true),
            ("bob", Delete, Group, "g", true),
            ("bob", Create, Cluster, "kafka-cluster", true),
            ("bob", Describe, Cluster, "kafka-cluster", false),
            ("root", AlterConfigs, Topic, "payments", true),
        ] {
            let told = acls.allow(principal, operation, kind, name);
            assert_eq!(told, allowed, "{principal} {operation:?} {kind:?} {name}");
        }
        assert!(acls.allow_any("alice", Write, Topic));
        assert!(!acls.allow_any("bob", Write, Topic));
        assert!(acls.allow_any("root", Write, Topic));
        // Once there are rules, the end of the last allows nothing.
        let mut one = Acls::default();
        one.add(Acl::all("root"));
        assert!(one.remove(&Acl::all("root")));
        assert!(!one.allow("root", Read, Topic, "t"));
    }
}
