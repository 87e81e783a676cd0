//! Where a partition is read, what is asked about that, and what is answered.

use super::completed_fetch::CompletedFetch;
use crate::types::{TopicId, TopicPartition};

/// An offset, and the leader epoch of the record before it, by which truncation is noticed (KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: i64,
    /// -1 when it is not known.
    pub(crate) leader_epoch: i32,
}

/// Where a partition is read of which that is not known.
pub(super) const NOWHERE: Position = Position {
    offset: -1,
    leader_epoch: -1,
};

/// Where to start reading, when that has to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    Latest,
    /// The first record at or after this time; the end when there is none.
    Timestamp(i64),
}

/// What is missing before a partition can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Committed,
    Offset(Start),
    EndOf { position: Position },
}

/// A partition to fetch, and under which version.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) index: u32,
    pub(crate) version: u64,
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
}

impl Wanted {
    /// Whether both are of the same partition of the same topic.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.topic_id == other.topic_id && self.partition == other.partition
    }
}

/// A partition's part of a good answer.
#[derive(Debug)]
pub(crate) struct FetchedPart {
    /// Whole batches; none when there is nothing new.
    pub(crate) completed: Option<CompletedFetch>,
    /// Behind the last of them.
    pub(crate) next: Option<Position>,
    /// Nothing can be fetched behind this before it has been looked at.
    pub(crate) is_damaged: bool,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
}
