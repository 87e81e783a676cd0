//! What members are told when their turn comes: answers to requests that waited for the others.

use bytes::Bytes;

use crate::wire::{ErrorCode, Name};

/// The answer to a request that had to wait for the other members.
#[derive(Clone, Debug)]
pub(crate) enum GroupAnswer {
    Join(JoinAnswer),
    Sync(Result<Bytes, ErrorCode>),
}

/// What a member is told of its new generation, or why it is in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinAnswer {
    pub(crate) code: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Name>,
    pub(crate) protocol: Option<Name>,
    pub(crate) leader: Name,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: Name,
    /// For the leader.
    pub(crate) members: Vec<Joined>,
}

/// A member as its leader is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) id: Name,
    pub(crate) instance: Option<Name>,
    pub(crate) metadata: Bytes,
}

impl JoinAnswer {
    pub(crate) fn error(code: ErrorCode, member_id: &str) -> Self {
        Self {
            code,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: "".into(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}
