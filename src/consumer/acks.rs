//! How a consumer knows what its application is done with, where calling again does not say it.

use std::future::Future;
use std::pin::Pin;

use super::offsets::Commit;
use crate::error::Error;
use crate::types::{OffsetAndMetadata, TopicId, TopicPartition};

/// The end of all handlers that are under way.
pub(crate) type Settling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What can be committed of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FinishedOffset {
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) offset: OffsetAndMetadata,
    /// All that was taken is finished: what follows and is handed to nobody is, too.
    pub(crate) is_all: bool,
}

/// How far an application is that goes on reading while handlers of records are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handling {
    /// Handlers that have come to an end so far.
    pub(crate) ended: u64,
    /// Whether any is under way.
    pub(crate) is_busy: bool,
}

/// Who keeps account of an application's records.
///
/// With one, only what it tells is committed, a partition that is revoked waits for it, and the member is alive for as
/// long as handlers come to an end. No call of it comes while a lock of the consumer is held.
pub(crate) trait AckTracker: Send + Sync + 'static {
    /// The partition is assigned: what is handed out of it has this version or a later one.
    fn hold(&self, partition: &TopicPartition, version: u64);

    /// What the group has committed of it.
    fn begin(&self, partition: &TopicPartition, committed: &OffsetAndMetadata);

    /// No handler of these is to begin any more.
    fn stop(&self, partitions: &[TopicPartition]);

    /// Waits until none is under way.
    fn settled<'a>(&'a self, partitions: &'a [TopicPartition]) -> Settling<'a>;

    /// They are not this consumer's any more: handlers under way are told.
    fn remove(&self, partitions: &[TopicPartition]);

    /// What is finished of these partitions, or of all, and is not committed.
    fn finished(&self, partitions: Option<&[TopicPartition]>) -> Vec<FinishedOffset>;

    /// These are committed.
    fn committed(&self, offsets: &[(TopicPartition, Commit)]);

    /// A commit was refused.
    fn refused(&self, error: &Error);

    /// Whether the application goes on.
    fn handling(&self) -> Handling;
}
