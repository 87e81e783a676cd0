//! A commit as it is asked for, and what came of it.

use crate::error::{ErrorCode, Result};
use crate::types::{OffsetAndMetadata, TopicId, TopicPartition};

/// An offset to commit, and of which topic it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) offset: OffsetAndMetadata,
    /// Of the topic whose records were read; zero for the one that has the name, whichever that is.
    pub(crate) topic_id: TopicId,
}

impl From<OffsetAndMetadata> for Commit {
    fn from(offset: OffsetAndMetadata) -> Self {
        Self {
            offset,
            topic_id: TopicId::ZERO,
        }
    }
}

/// Offsets to commit, by partition.
pub(in crate::consumer) type Commits = Vec<(TopicPartition, Commit)>;

/// What came of a commit.
pub(in crate::consumer) struct Outcome {
    /// What the group has by it, which may be a part of what was to be committed.
    pub(in crate::consumer) committed: Commits,
    pub(in crate::consumer) result: Result<()>,
}

/// A commit that the coordinator refused because of who made it.
#[derive(Clone, Copy, Debug)]
pub(in crate::consumer) struct Refusal {
    pub(in crate::consumer) generation: i32,
    pub(in crate::consumer) code: ErrorCode,
}

/// What a commit does when it cannot be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum Manner {
    /// The application's: a rebalance is told to it, everything else is tried again.
    Asked,
    /// Made without anybody waiting for it, and made again: passes over topics that are gone.
    Regular,
    /// Made when partitions are given up: waits for the generation in which it counts, passes over topics that are
    /// gone.
    Parting,
}
