//! What the calls about transactions have in common.

use super::At;
use crate::state::CoordinatorKind;
use crate::state::transactions::Identity;
use crate::wire::{ErrorCode, Malformed, Name, Reader};

impl At<'_> {
    /// Whether this node is the one to ask about the transactional id, and the client one to ask it.
    pub(super) fn coordinates_transaction(&self, id: &str) -> Result<(), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.authorize_transaction(id)?;
        let kind = CoordinatorKind::Transaction;
        match self.state.nodes.coordinator(kind, id) {
            Some(node) if node == self.node => Ok(()),
            Some(_) => Err(ErrorCode::NOT_COORDINATOR),
            None => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        }
    }
}

pub(super) fn read_identity(r: &mut Reader) -> Result<Identity, Malformed> {
    Ok(Identity {
        id: r.i64()?,
        epoch: r.i16()?,
    })
}

/// Topics with numbers of partitions.
pub(super) fn read_topics(r: &mut Reader) -> Result<Vec<(Name, Vec<i32>)>, Malformed> {
    r.array(|r| {
        let topic = (r.string()?, r.array(Reader::i32)?);
        r.tagged(topic)
    })
}

/// Versions before `since` know only the other name of a producer that was fenced.
pub(super) fn told(code: ErrorCode, version: i16, since: i16) -> ErrorCode {
    if code == ErrorCode::PRODUCER_FENCED && version < since {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        code
    }
}

/// What a partition or group is told that is asked for work of a transaction, by Produce or TxnOffsetCommit.
pub(super) fn told_by_verification(code: ErrorCode, busy: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::CONCURRENT_TRANSACTIONS => busy,
        other => other,
    }
}
