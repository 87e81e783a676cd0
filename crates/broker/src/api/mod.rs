//! The calls, one file each: what a request says, what it does to the cluster, what is answered.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod api_versions;
mod authorize;
mod call;
mod committed_topics;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_groups;
mod describe_producers;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leaders;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
#[cfg(test)]
mod tests;
mod transactions;
mod txn_offset_commit;
mod write_txn_markers;
#[cfg(test)]
pub(crate) use tests::test_batch;

use call::millis;
pub(crate) use call::{At, Call, Step};

use crate::wire::{ApiKey, Header, Malformed, Reader, Writer};

/// Reads the body of a request.
pub(crate) fn read(header: &Header, reader: &mut Reader) -> Result<Box<dyn Call>, Malformed> {
    let r = reader;
    let call: Box<dyn Call> = match header.key {
        ApiKey::Produce => Box::new(produce::read(r)?),
        ApiKey::Fetch => Box::new(fetch::read(r)?),
        ApiKey::ListOffsets => Box::new(list_offsets::read(r)?),
        ApiKey::Metadata => Box::new(metadata::read(r)?),
        key if !key.versions().contains(&header.version) => {
            return Ok(Box::new(api_versions::unreadable()));
        }
        ApiKey::ApiVersions => Box::new(api_versions::read(r)?),
        ApiKey::InitProducerId => Box::new(init_producer_id::read(r)?),
        ApiKey::OffsetCommit => Box::new(offset_commit::read(r)?),
        ApiKey::OffsetFetch => Box::new(offset_fetch::read(r)?),
        ApiKey::FindCoordinator => Box::new(find_coordinator::read(r)?),
        ApiKey::JoinGroup => Box::new(join_group::read(r)?),
        ApiKey::Heartbeat => Box::new(heartbeat::read(r)?),
        ApiKey::LeaveGroup => Box::new(leave_group::read(r)?),
        ApiKey::SyncGroup => Box::new(sync_group::read(r)?),
        ApiKey::DescribeGroups => Box::new(describe_groups::read(r)?),
        ApiKey::ListGroups => Box::new(list_groups::read(r)?),
        ApiKey::DeleteGroups => Box::new(delete_groups::read(r)?),
        ApiKey::OffsetDelete => Box::new(offset_delete::read(r)?),
        ApiKey::SaslHandshake => Box::new(sasl_handshake::read(r)?),
        ApiKey::SaslAuthenticate => Box::new(sasl_authenticate::read(r)?),
        ApiKey::AddPartitionsToTxn => Box::new(add_partitions_to_txn::read(r)?),
        ApiKey::AddOffsetsToTxn => Box::new(add_offsets_to_txn::read(r)?),
        ApiKey::EndTxn => Box::new(end_txn::read(r)?),
        ApiKey::WriteTxnMarkers => Box::new(write_txn_markers::read(r)?),
        ApiKey::TxnOffsetCommit => Box::new(txn_offset_commit::read(r)?),
        ApiKey::DescribeProducers => Box::new(describe_producers::read(r)?),
        ApiKey::DescribeTransactions => Box::new(describe_transactions::read(r)?),
        ApiKey::ListTransactions => Box::new(list_transactions::read(r)?),
        ApiKey::CreateTopics => Box::new(create_topics::read(r)?),
        ApiKey::DeleteTopics => Box::new(delete_topics::read(r)?),
        ApiKey::DeleteRecords => Box::new(delete_records::read(r)?),
        ApiKey::OffsetForLeaderEpoch => Box::new(offset_for_leader_epoch::read(r)?),
        ApiKey::DescribeConfigs => Box::new(configs::read_describe(r)?),
        ApiKey::CreatePartitions => Box::new(create_partitions::read(r)?),
        ApiKey::IncrementalAlterConfigs => Box::new(configs::read_alter(r)?),
        ApiKey::DescribeCluster => Box::new(describe_cluster::read(r)?),
    };
    r.tags()?;
    if r.left() > 0 {
        return Err(Malformed("bytes are left behind the request"));
    }
    Ok(call)
}

/// Begins the answer to a request.
pub(crate) fn writer(header: &Header) -> Writer {
    let flexible = header.version >= header.key.flexible_from();
    // Its reader does not know yet what the broker speaks.
    let header_tags = flexible && header.key != ApiKey::ApiVersions;
    Writer::new(header.correlation_id, header.version, flexible, header_tags)
}
