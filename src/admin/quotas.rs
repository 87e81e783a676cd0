//! Quotas of users, clients and addresses: who is slowed down, and from where on (KIP-546).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::advice::advised;
use super::{Admin, refusal, retry_all};
use crate::cluster::unanswered;
use crate::error::Result;
use crate::wire::{
    AlterClientQuotas, DescribeClientQuotas, QuotaChange, QuotaMatch, QuotaMatchName, QuotaNames,
};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// To whom quotas apply: a user, a client id, both together, or an address. Kafka: `ClientQuotaEntity`.
///
/// ```
/// use ottla::QuotaEntity;
///
/// let one = QuotaEntity::new().user("alice").client_id("reports");
/// let everybody = QuotaEntity::new().default_user();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use]
pub struct QuotaEntity(BTreeMap<Arc<str>, Option<Arc<str>>>);

impl QuotaEntity {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This user, by the name without `User:`.
    pub fn user(self, name: impl Into<Arc<str>>) -> Self {
        self.with(USER, Some(name.into()))
    }

    /// Each user without a quota of its own.
    pub fn default_user(self) -> Self {
        self.with(USER, None)
    }

    /// Clients of this `client.id`.
    pub fn client_id(self, id: impl Into<Arc<str>>) -> Self {
        self.with(CLIENT_ID, Some(id.into()))
    }

    /// Clients of each `client.id` without a quota of its own.
    pub fn default_client_id(self) -> Self {
        self.with(CLIENT_ID, None)
    }

    /// Connections from this address (Kafka 2.7); not together with the others.
    pub fn ip(self, address: impl Into<Arc<str>>) -> Self {
        self.with(IP, Some(address.into()))
    }

    /// Connections from each address without a quota of its own (Kafka 2.7); not together with the others.
    pub fn default_ip(self) -> Self {
        self.with(IP, None)
    }

    /// Each kind (`user`, `client-id`, `ip`) with its name, `None` for the default of all.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(kind, name)| (&**kind, name.as_deref()))
    }

    fn with(mut self, kind: &str, name: Option<Arc<str>>) -> Self {
        self.0.insert(kind.into(), name);
        self
    }

    fn of(names: QuotaNames) -> Self {
        Self(names.into_iter().collect())
    }

    fn wire(&self) -> QuotaNames {
        let parts = self.0.iter();
        parts
            .map(|(kind, name)| (kind.clone(), name.clone()))
            .collect()
    }
}

/// `user alice, client-id <default>` and the like.
impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, name)) in self.parts().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {}", name.unwrap_or("<default>"))?;
        }
        Ok(())
    }
}

/// What applies to somebody.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientQuotas {
    /// To whom.
    pub entity: QuotaEntity,
    /// Each quota by its Kafka name: `producer_byte_rate` and `consumer_byte_rate` (bytes a second, of each broker),
    /// `request_percentage` (of a broker's threads), `controller_mutation_rate` (partitions a second, KIP-599),
    /// `connection_creation_rate` (a second, of addresses, KIP-612).
    pub quotas: BTreeMap<Arc<str>, f64>,
}

/// Whose quotas are to be described; without anything said, everybody's. Kafka: `ClientQuotaFilter`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct QuotaFilter {
    components: Vec<QuotaMatch>,
    strict: bool,
}

impl QuotaFilter {
    /// Everybody's.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of this user.
    pub fn user(self, name: impl Into<Arc<str>>) -> Self {
        self.with(USER, QuotaMatchName::Exact(name.into()))
    }

    /// Those of users without one of their own.
    pub fn default_user(self) -> Self {
        self.with(USER, QuotaMatchName::Default)
    }

    /// Those that speak of users, by name or not.
    pub fn any_user(self) -> Self {
        self.with(USER, QuotaMatchName::Any)
    }

    /// Those of this `client.id`.
    pub fn client_id(self, id: impl Into<Arc<str>>) -> Self {
        self.with(CLIENT_ID, QuotaMatchName::Exact(id.into()))
    }

    /// Those of client ids without one of their own.
    pub fn default_client_id(self) -> Self {
        self.with(CLIENT_ID, QuotaMatchName::Default)
    }

    /// Those that speak of client ids, by name or not.
    pub fn any_client_id(self) -> Self {
        self.with(CLIENT_ID, QuotaMatchName::Any)
    }

    /// Those of this address (Kafka 2.7).
    pub fn ip(self, address: impl Into<Arc<str>>) -> Self {
        self.with(IP, QuotaMatchName::Exact(address.into()))
    }

    /// Those of addresses without one of their own (Kafka 2.7).
    pub fn default_ip(self) -> Self {
        self.with(IP, QuotaMatchName::Default)
    }

    /// Those that speak of addresses, by name or not (Kafka 2.7).
    pub fn any_ip(self) -> Self {
        self.with(IP, QuotaMatchName::Any)
    }

    /// Leaves out those that speak of more kinds than were named here: of `user("alice")`, what is of alice together
    /// with a client id. Kafka: `ClientQuotaFilter.containsOnly`.
    pub fn only(mut self) -> Self {
        self.strict = true;
        self
    }

    fn with(mut self, kind: &str, name: QuotaMatchName) -> Self {
        self.components.retain(|component| &*component.kind != kind);
        self.components.push(QuotaMatch {
            kind: kind.into(),
            name,
        });
        self
    }
}

/// Changes to somebody's quotas; the others stay as they are. Kafka: `ClientQuotaAlteration`.
///
/// ```
/// use ottla::{QuotaChanges, QuotaEntity};
///
/// let changes = QuotaChanges::of(QuotaEntity::new().user("alice"))
///     .set("producer_byte_rate", 1024.0 * 1024.0)
///     .remove("request_percentage");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct QuotaChanges {
    entity: QuotaEntity,
    values: Vec<(Arc<str>, Option<f64>)>,
}

impl QuotaChanges {
    /// No change yet.
    pub fn of(entity: QuotaEntity) -> Self {
        Self {
            entity,
            values: Vec::new(),
        }
    }

    /// Sets a quota; [`ClientQuotas::quotas`] has the names.
    pub fn set(mut self, name: impl Into<Arc<str>>, value: f64) -> Self {
        self.values.push((name.into(), Some(value)));
        self
    }

    /// Removes a quota: a default applies again, if there is one. That there is none is no error.
    pub fn remove(mut self, name: impl Into<Arc<str>>) -> Self {
        self.values.push((name.into(), None));
        self
    }
}

impl Admin {
    /// The quotas that a filter lets through, in the order of whom they apply to. Kafka: `DescribeClientQuotas`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `CLUSTER_AUTHORIZATION_FAILED`, or
    /// [`Error::Unsupported`](crate::Error::Unsupported) of a broker older than Kafka 2.6.
    pub async fn describe_client_quotas(&self, filter: QuotaFilter) -> Result<Vec<ClientQuotas>> {
        let call = &DescribeClientQuotas {
            components: filter.components,
            strict: filter.strict,
        };
        let answer = self
            .calls
            .with_retries("describe client quotas", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing client quotas".to_owned();
                advised(refusal(answer.code, answer.message.as_ref(), context))?;
                Ok(answer)
            })
            .await?;
        let entries = answer.entries.into_iter();
        let quotas = entries.map(|(entity, values)| ClientQuotas {
            entity: QuotaEntity::of(entity),
            quotas: values.into_iter().collect(),
        });
        let mut quotas: Vec<_> = quotas.collect();
        quotas.sort_by(|a, b| a.entity.cmp(&b.entity));
        Ok(quotas)
    }

    /// Changes quotas; each of whom they apply to has its own result, in order, and all or none of its changes. Kafka:
    /// `AlterClientQuotas`.
    ///
    /// # Errors
    /// When no broker could be asked, or [`Error::Unsupported`](crate::Error::Unsupported) of a broker older than Kafka
    /// 2.6. Each one's own result has the broker's error: `CLUSTER_AUTHORIZATION_FAILED`, `INVALID_REQUEST` for a
    /// quota or a combination that there is not.
    pub async fn alter_client_quotas(
        &self,
        changes: impl IntoIterator<Item = QuotaChanges>,
    ) -> Result<Vec<Result<()>>> {
        let changes: Vec<_> = changes.into_iter().collect();
        let entries = changes.iter().map(|one| QuotaChange {
            entity: one.entity.wire(),
            values: one.values.clone(),
        });
        let call = &AlterClientQuotas {
            entries: entries.collect(),
        };
        let answer = self
            .calls
            .with_retries("alter client quotas", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let codes = answer.entries.iter().map(|told| told.code);
                retry_all(codes, "changing client quotas")?;
                Ok(answer)
            })
            .await?;
        let told: BTreeMap<_, _> = answer
            .entries
            .into_iter()
            .map(|told| (QuotaEntity::of(told.entity), (told.code, told.message)))
            .collect();
        let result = |one: &QuotaChanges| {
            let context = || format!("changing the quotas of {}", one.entity);
            let told = told.get(&one.entity);
            let (code, message) = told.ok_or_else(|| unanswered(context()))?;
            advised(refusal(*code, message.as_ref(), context))
        };
        Ok(changes.iter().map(result).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_quotas_apply_to_is_the_same_in_whatever_order_it_is_said() {
        let one = QuotaEntity::new().user("alice").default_client_id();
        let other = QuotaEntity::new().default_client_id().user("alice");
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "client-id <default>, user alice");
        assert_eq!(QuotaEntity::of(one.wire()), one);
        let parts: Vec<_> = one.parts().collect();
        assert_eq!(parts, [("client-id", None), ("user", Some("alice"))]);
    }

    #[test]
    fn what_is_said_last_of_a_kind_counts() {
        let filter = QuotaFilter::all().any_user().user("alice").only();
        let expected = QuotaMatch {
            kind: "user".into(),
            name: QuotaMatchName::Exact("alice".into()),
        };
        assert_eq!(filter.components, [expected]);
        assert!(filter.strict);
        assert_eq!(
            QuotaEntity::new().user("a").user("b"),
            QuotaEntity::new().user("b")
        );
    }
}
