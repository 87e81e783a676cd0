//! Figures about what a runner has done so far, and what became of its records at its end.

use std::time::Duration;

use crate::error::Error;
use crate::metrics::{ConsumerMetrics, Histogram, Latency};
use crate::types::TopicPartition;

/// What a runner counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handled: u64,
    pub(super) skipped: u64,
    pub(super) retries: u64,
    pub(super) dead_letters: u64,
    pub(super) time: Histogram,
}

/// A runner's figures since it was started; an owned copy, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunnerMetrics {
    /// Handlers that are running now.
    pub in_flight: usize,
    /// Records that were taken from the consumer and wait for their turn, those among them that wait to be tried again.
    pub queued: usize,
    /// Of them, records that wait to be tried again.
    pub waiting_to_retry: usize,
    /// Bytes of memory that records in flight and queued keep in use; they count against the consumer's
    /// [`buffer_memory`](crate::ConsumerBuilder::buffer_memory).
    pub held_bytes: usize,
    /// Records whose handlers have succeeded.
    pub handled: u64,
    /// Records that count as finished though their handlers have failed: [`OnFailure::Skip`](super::OnFailure::Skip).
    pub skipped: u64,
    /// How often a handler was called again with the same record.
    pub retries: u64,
    /// Records that are in a dead-letter topic.
    pub dead_letters: u64,
    /// The record that has been unfinished for longest, of all partitions; `None` when all that was taken is finished.
    pub oldest: Option<OldestUnfinished>,
    /// Partitions of which nothing is taken for now, because their oldest unfinished record has too many behind it:
    /// [`max_unfinished`](super::RunnerBuilder::max_unfinished).
    pub held_up: Vec<TopicPartition>,
    /// How long handlers ran, whatever came of it.
    pub handler_time: Latency,
    /// The consumer's figures, lag among them.
    pub consumer: ConsumerMetrics,
}

/// The oldest unfinished record: nothing behind it can be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldestUnfinished {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Since it was taken from the consumer.
    pub age: Duration,
}

/// What became of the records of a runner that was [shut down](super::Runner::shutdown).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct Account {
    /// Records whose handlers have succeeded.
    pub handled: u64,
    /// How often a handler was called again with the same record.
    pub retries: u64,
    /// Records that are in a dead-letter topic.
    pub dead_letters: u64,
    /// Records that count as finished though their handlers have failed.
    pub skipped: u64,
    /// Records that were taken from the consumer and are not finished: whoever reads on begins with them.
    pub left: usize,
    /// Why the runner ended by itself, if it did; else why the last offsets were not committed, if they were not.
    pub error: Option<Error>,
}
