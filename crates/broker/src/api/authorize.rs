//! What somebody must be allowed for each call, as Kafka asks it.

use super::At;
use crate::acl::{AclOperation, ResourceKind};
use crate::wire::{ApiKey, ErrorCode};

/// What a call does to a topic that it names.
fn on_topic(key: ApiKey) -> Option<AclOperation> {
    match key {
        ApiKey::Produce | ApiKey::AddPartitionsToTxn => Some(AclOperation::Write),
        ApiKey::Fetch
        | ApiKey::OffsetCommit
        | ApiKey::OffsetDelete
        | ApiKey::TxnOffsetCommit
        | ApiKey::DescribeProducers => Some(AclOperation::Read),
        ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::OffsetFetch
        | ApiKey::OffsetForLeaderEpoch => Some(AclOperation::Describe),
        ApiKey::CreateTopics => Some(AclOperation::Create),
        ApiKey::DeleteTopics | ApiKey::DeleteRecords => Some(AclOperation::Delete),
        ApiKey::CreatePartitions => Some(AclOperation::Alter),
        _ => None,
    }
}

/// What a call does to a group that it names.
fn on_group(key: ApiKey) -> Option<AclOperation> {
    match key {
        ApiKey::OffsetCommit
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::AddOffsetsToTxn
        | ApiKey::TxnOffsetCommit => Some(AclOperation::Read),
        ApiKey::OffsetFetch
        | ApiKey::FindCoordinator
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups => Some(AclOperation::Describe),
        ApiKey::DeleteGroups | ApiKey::OffsetDelete => Some(AclOperation::Delete),
        _ => None,
    }
}

/// What a call does to a transactional id that it names.
fn on_transaction(key: ApiKey) -> AclOperation {
    match key {
        ApiKey::FindCoordinator | ApiKey::DescribeTransactions | ApiKey::ListTransactions => {
            AclOperation::Describe
        }
        _ => AclOperation::Write,
    }
}

impl At<'_> {
    fn may(&self, operation: AclOperation, kind: ResourceKind, name: &str) -> bool {
        let acls = &self.state.security.acls;
        acls.allow(&self.client.user, operation, kind, name)
    }

    pub(super) fn may_on_cluster(&self, operation: AclOperation) -> bool {
        self.may(operation, ResourceKind::Cluster, "kafka-cluster")
    }

    pub(super) fn authorize_topic(&self, topic: &str) -> Result<(), ErrorCode> {
        let operation = on_topic(self.key);
        let allowed = operation.is_none_or(|operation| {
            self.may(operation, ResourceKind::Topic, topic)
                // Who may make any topic may make this one.
                || (operation == AclOperation::Create && self.may_on_cluster(operation))
        });
        allowed
            .then_some(())
            .ok_or(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    }

    /// Whether a topic may be made because it was asked for.
    pub(super) fn authorize_creation(&self, topic: &str) -> Result<(), ErrorCode> {
        let allowed = self.may_on_cluster(AclOperation::Create)
            || self.may(AclOperation::Create, ResourceKind::Topic, topic);
        allowed
            .then_some(())
            .ok_or(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    }

    /// Settings of a topic, or of a broker, which are the cluster's.
    pub(super) fn authorize_configs(&self, topic: Option<&str>) -> Result<(), ErrorCode> {
        let operation = match self.key {
            ApiKey::IncrementalAlterConfigs => AclOperation::AlterConfigs,
            _ => AclOperation::DescribeConfigs,
        };
        match topic {
            Some(topic) if self.may(operation, ResourceKind::Topic, topic) => Ok(()),
            Some(_) => Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            None if self.may_on_cluster(operation) => Ok(()),
            None => Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
        }
    }

    pub(super) fn authorize_group(&self, group: &str) -> Result<(), ErrorCode> {
        let operation = on_group(self.key);
        let allowed = operation.is_none_or(|operation| {
            self.may(operation, ResourceKind::Group, group)
                // Who may be told of the cluster may be told which groups it has.
                || (self.key == ApiKey::ListGroups && self.may_on_cluster(operation))
        });
        allowed
            .then_some(())
            .ok_or(ErrorCode::GROUP_AUTHORIZATION_FAILED)
    }

    pub(super) fn authorize_transaction(&self, id: &str) -> Result<(), ErrorCode> {
        let operation = on_transaction(self.key);
        let allowed = self.may(operation, ResourceKind::TransactionalId, id);
        allowed
            .then_some(())
            .ok_or(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    }

    /// An idempotent producer needs its id, or a topic that it may write to.
    pub(super) fn authorize_producer(&self) -> Result<(), ErrorCode> {
        let acls = &self.state.security.acls;
        let writes = acls.allow_any(&self.client.user, AclOperation::Write, ResourceKind::Topic);
        let allowed = writes || self.may_on_cluster(AclOperation::IdempotentWrite);
        allowed
            .then_some(())
            .ok_or(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
    }
}
