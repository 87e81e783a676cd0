//! As whom a consumer's offsets are made part of a producer's transaction.

use super::ConsumerHandle;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::group::MemberStanding;
use crate::types::GroupMetadata;

impl ConsumerHandle {
    /// As whom this consumer's offsets are made part of a transaction, by
    /// [`Transaction::send_offsets`](crate::Transaction::send_offsets): its group, and the member and generation that it is
    /// of now. Kafka: `groupMetadata`.
    ///
    /// Take it together with the records, before they are handled: should the group go on without this member meanwhile,
    /// their offsets are refused, and the transaction with them.
    ///
    /// # Errors
    /// [`Error::Config`] without a group, and with `enable.auto.commit`, which would commit the same offsets outside of the
    /// transaction; [`Error::Commit`] while the member has no generation: the group rebalances, or has lost the member.
    pub fn group_metadata(&self) -> Result<GroupMetadata> {
        let inner = self.inner();
        let Some(offsets) = &inner.offsets else {
            return Err(Error::config(
                "group.id",
                "offsets belong to a group: make the consumer by client.consumer(group)",
            ));
        };
        if inner.settings.auto_commit.is_some() {
            return Err(Error::config(
                "enable.auto.commit",
                "it would commit offsets outside of transactions: set enable.auto.commit=false",
            ));
        }
        let metadata = GroupMetadata::new(offsets.group().clone());
        let refused = |rejoining, code| {
            let context = format!("the member of group {}", metadata.group());
            Err(Error::Commit {
                rejoining,
                cause: Error::broker(code, None, context).into(),
            })
        };
        match offsets.standing() {
            MemberStanding::Member(own) | MemberStanding::Joining(own) => {
                Ok(metadata.with_member(own.generation, own.member_id, own.instance_id))
            }
            MemberStanding::Alone => Ok(metadata),
            MemberStanding::Rebalancing => refused(true, ErrorCode::REBALANCE_IN_PROGRESS),
            MemberStanding::Outside => refused(false, ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }
}
