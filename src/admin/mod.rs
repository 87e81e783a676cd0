//! Administration: topics, settings, groups and their offsets, access control, transactions, and the cluster itself.

mod acl;
mod acls;
mod advice;
mod cluster;
mod configs;
mod delegation_tokens;
mod describe_groups;
mod every_broker;
mod group_offsets;
mod groups;
mod principal;
mod producers;
mod quotas;
mod scram_credentials;
mod topics;
mod transactions;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::cluster::{Calls, Cluster, Purpose, find_by, is_transient};
use crate::config::IsolationLevel;
use crate::error::{Error, ErrorCode, Result};
use crate::net::Connection;
use crate::types::TopicPartition;
use crate::wire::{Call, CoordinatorKind};

pub use crate::cluster::{OffsetSpec, PartitionOffset};
pub use acl::{
    AclBinding, AclBindingFilter, AclOperation, AclPermission, PatternType, ResourcePattern,
    ResourceType,
};
pub use acls::DeletedAcl;
pub use cluster::{BrokerDescription, ClusterDescription};
pub use configs::{ConfigChanges, ConfigEntry, ConfigResource, ConfigSource};
pub use delegation_tokens::{DelegationToken, NewDelegationToken};
pub use group_offsets::PartitionLag;
pub use groups::{GroupDescription, GroupKind, GroupListing, GroupState, MemberDescription};
pub use principal::KafkaPrincipal;
pub use producers::ActiveProducer;
pub use quotas::{ClientQuotas, QuotaChanges, QuotaEntity, QuotaFilter};
pub use scram_credentials::{ScramCredentialChange, ScramCredentialInfo, UserScramCredentials};
pub use topics::{CreatedTopic, NewPartitions, NewTopic, PartitionDescription, TopicDescription};
pub use transactions::{
    TransactionDescription, TransactionFilter, TransactionListing, TransactionState,
};

/// Calls that change or describe the cluster; made by [`Client::admin`](crate::Client::admin).
///
/// Each call is retried while the cluster is moving its controller, a group its coordinator or a
/// partition its leader, or a connection fails, for at most its timeout. A change whose answer was
/// lost is asked for again: a topic may then exist already, or a group be gone, because of the first try.
#[derive(Clone)]
pub struct Admin {
    calls: Calls,
    /// Whether descriptions tell what the client may do.
    operations: bool,
}

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            calls: Calls {
                cluster,
                timeout: Duration::from_secs(60),
            },
            operations: false,
        }
    }

    /// How long a call may take, retries included. Default 60 s. Kafka: `default.api.timeout.ms`.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.calls.timeout = limit;
        self
    }

    /// Whether topics, groups and the cluster are described with what this client may do with them. Default false:
    /// brokers ask their authorizer about each operation. Kafka: `includeAuthorizedOperations` (KIP-430).
    #[must_use]
    pub fn include_authorized_operations(mut self, include: bool) -> Self {
        self.operations = include;
        self
    }

    /// Looks up offsets of partitions; each has its own result, in order. Kafka: `ListOffsets`.
    ///
    /// # Errors
    /// When no broker could be asked. A partition's own result has the broker's error, such as
    /// `UNKNOWN_TOPIC_OR_PARTITION`, or why its leader could not be asked.
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<PartitionOffset>>> {
        self.calls.list_offsets(partitions, isolation).await
    }

    /// Asks a group's coordinator, which `check` may send on to another try.
    async fn at_coordinator<C: Call>(
        &self,
        deadline: Instant,
        what: &'static str,
        group: &Arc<str>,
        call: &C,
        check: impl Fn(&C::Response) -> Result<()>,
    ) -> Result<C::Response> {
        let check = &check;
        self.calls
            .retry_until(deadline, what, || async move {
                let connection = self.coordinator(group).await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                check(&answer)?;
                Ok(answer)
            })
            .await
    }

    async fn coordinator(&self, group: &Arc<str>) -> Result<Connection> {
        let cluster = &self.calls.cluster;
        let connection = cluster.any().await?;
        let found = find_by(
            &connection,
            CoordinatorKind::Group,
            group,
            self.calls.request_timeout(),
        )
        .await?;
        cluster.at(&found.address, Purpose::Control).await
    }
}

/// An error for the whole call when every item failed in the same way, which another try may mend.
fn retry_all(mut codes: impl Iterator<Item = ErrorCode>, context: &str) -> Result<()> {
    let Some(first) = codes.next() else {
        return Ok(());
    };
    let error = Error::broker(first, None, context);
    if is_transient(&error) && codes.all(|code| code == first) {
        Err(error)
    } else {
        Ok(())
    }
}

/// The error of one item.
fn refusal(
    code: ErrorCode,
    message: Option<&Arc<str>>,
    context: impl FnOnce() -> String,
) -> Result<()> {
    code.ok()
        .map_err(|code| Error::broker(code, message.cloned(), context()))
}

/// A broker's time, which is none before 1970.
fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("timeout", &self.calls.timeout)
            .finish_non_exhaustive()
    }
}
