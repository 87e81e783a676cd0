//! What the calls about groups have in common.

use super::At;
use crate::state::CoordinatorKind;
use crate::wire::{ErrorCode, Malformed, Name, Reader};

impl At<'_> {
    /// Whether this node is the one to ask about the group, and the client one to ask it.
    pub(super) fn coordinates(&self, group: &str) -> Result<(), ErrorCode> {
        if group.is_empty() {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        self.is_coordinator(group)
    }

    /// The same where a group may have no name.
    pub(super) fn is_coordinator(&self, group: &str) -> Result<(), ErrorCode> {
        self.authorize_group(group)?;
        match self.state.nodes.coordinator(CoordinatorKind::Group, group) {
            Some(node) if node == self.node => Ok(()),
            Some(_) => Err(ErrorCode::NOT_COORDINATOR),
            None => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        }
    }
}

/// A field that only later versions have, null before.
pub(super) fn string_since(r: &mut Reader, since: i16) -> Result<Option<Name>, Malformed> {
    if r.version >= since {
        r.nullable_string()
    } else {
        Ok(None)
    }
}

/// The code of a result.
pub(super) fn code<T>(result: &Result<T, ErrorCode>) -> ErrorCode {
    result.as_ref().err().copied().unwrap_or(ErrorCode::NONE)
}
