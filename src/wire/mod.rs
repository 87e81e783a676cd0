//! Kafka's requests and answers as bytes, in both directions and every version that is spoken.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_user_scram_credentials;
mod api_versions;
mod call;
mod change_delegation_token;
mod create_acls;
mod create_delegation_token;
mod create_partitions;
mod decode;
mod delete_acls;
mod delete_groups;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_delegation_token;
mod describe_groups;
mod describe_producers;
mod describe_transactions;
mod describe_user_scram_credentials;
mod encode;
mod end_txn;
mod fetch;
mod fields;
mod find_coordinator;
mod frame;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod modern_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod principal;
mod produce;
mod quotas;
mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
#[cfg(test)]
mod testing;
mod topics;
mod txn_offset_commit;
mod version;
mod write_txn_markers;

pub(crate) use acls::{AclEntry, AclMatch};
pub(crate) use add_offsets_to_txn::AddOffsetsToTxn;
pub(crate) use add_partitions_to_txn::AddPartitionsToTxn;
pub(crate) use alter_client_quotas::{AlterClientQuotas, QuotaChange};
pub(crate) use alter_user_scram_credentials::{AlterUserScramCredentials, ScramUpsertion};
pub(crate) use api_versions::ApiVersions;
pub(crate) use call::{ApiKey, Call};
pub(crate) use change_delegation_token::{
    ChangeDelegationToken, ExpireDelegationToken, RenewDelegationToken,
};
pub(crate) use create_acls::CreateAcls;
pub(crate) use create_delegation_token::CreateDelegationToken;
pub(crate) use create_partitions::{CreatePartitions, GrownTopic};
pub(crate) use decode::{Decoder, Malformed};
pub(crate) use delete_acls::DeleteAcls;
pub(crate) use delete_groups::DeleteGroups;
pub(crate) use describe_acls::DescribeAcls;
pub(crate) use describe_client_quotas::{DescribeClientQuotas, QuotaMatch, QuotaMatchName};
pub(crate) use describe_cluster::DescribeCluster;
pub(crate) use describe_configs::{DescribeConfigs, DescribedConfig, Resource};
pub(crate) use describe_delegation_token::{DescribeDelegationToken, DescribedToken};
pub(crate) use describe_groups::{DescribeGroups, DescribedGroup, DescribedMember};
pub(crate) use describe_producers::{DescribeProducers, PartitionProducers, WritingProducer};
pub(crate) use describe_transactions::{DescribeTransactions, DescribedTransaction};
pub(crate) use describe_user_scram_credentials::{DescribeUserScramCredentials, ScramUser};
pub(crate) use encode::Encoder;
pub(crate) use end_txn::EndTxn;
pub(crate) use fetch::{
    AbortedTransaction, Fetch, FetchAnswer, FetchPartition, FetchTopic, FetchedPartition,
    ForgottenTopic, TooLarge,
};
pub(crate) use find_coordinator::{CoordinatorKind, FindCoordinator};
pub(crate) use frame::{recognise_foreign, request_header, split_response};
pub(crate) use heartbeat::Heartbeat;
pub(crate) use incremental_alter_configs::{AlteredConfig, ConfigChange, IncrementalAlterConfigs};
pub(crate) use init_producer_id::InitProducerId;
pub(crate) use join_group::{GroupMember, JoinGroup, JoinGroupAnswer};
pub(crate) use leave_group::LeaveGroup;
pub(crate) use list_groups::{ListGroups, ListedGroup};
pub(crate) use list_offsets::{ListOffset, ListOffsets, ListedOffset};
pub(crate) use list_transactions::ListTransactions;
pub(crate) use metadata::{
    BrokerMeta, MetadataAnswer, MetadataCall, MetadataTopics, PartitionMeta, TopicMeta,
};
pub(crate) use modern_groups::{
    ConsumerGroupDescribe, ModernGroup, ModernGroups, ModernMember, ShareGroupDescribe,
};
pub(crate) use offset_commit::{CommitPartition, OffsetCommit, OffsetCommitAnswer, commit_topics};
pub(crate) use offset_delete::OffsetDelete;
pub(crate) use offset_fetch::{FetchedOffset, OffsetFetch};
pub(crate) use offset_for_leader_epoch::{EpochQuestion, OffsetForLeaderEpoch};
pub(crate) use principal::Principal;
pub(crate) use produce::{
    InTransaction, ProducePart, ProducePartitionAnswer, TopicRef, decode_produce, encode_produce,
    highest_produce,
};
pub(crate) use quotas::QuotaNames;
pub(crate) use sasl_authenticate::SaslAuthenticate;
pub(crate) use sasl_handshake::SaslHandshake;
pub(crate) use sync_group::SyncGroup;
#[cfg(test)]
pub(crate) use testing::ALL;
pub(crate) use topics::{CreateTopics, DeleteTopics, NewTopicSpec};
pub(crate) use txn_offset_commit::TxnOffsetCommit;
pub(crate) use version::Versions;
pub(crate) use write_txn_markers::WriteTxnMarkers;
