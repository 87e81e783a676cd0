//! What a runner knows of a partition that is assigned to it.

use std::sync::Arc;

use crate::machine::runner::PartitionAcks;
use crate::types::TopicPartition;

use super::context::Assignment;

/// A partition, for as long as it is assigned.
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Its place was another one's before.
    pub(super) generation: u64,
    /// What is handed out of it has this version or a later one.
    pub(super) since: u64,
    pub(super) acks: PartitionAcks,
    pub(super) assignment: Arc<Assignment>,
    /// Handlers in flight.
    pub(super) running: usize,
    /// No handler is to begin any more.
    pub(super) is_stopped: bool,
    /// Nothing is taken: its oldest unfinished record has too many behind it.
    pub(super) is_full: bool,
}

impl Partition {
    pub(super) fn new(name: TopicPartition, generation: u64, since: u64) -> Self {
        Self {
            name,
            generation,
            since,
            acks: PartitionAcks::default(),
            assignment: Assignment::new(),
            running: 0,
            is_stopped: false,
            is_full: false,
        }
    }
}
