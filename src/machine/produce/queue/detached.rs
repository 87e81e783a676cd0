//! What a queue keeps of a batch that is detached: with whoever compresses or splits it, and expected back.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::machine::produce::batch::{Ended, ProducerBatch, ResultShare, Stamp};
use crate::machine::produce::knowledge::Knowledge;

/// What the queue keeps of a batch that is detached, so that it still counts as unresolved.
pub(super) struct Detached<T> {
    pub(super) share: ResultShare<T>,
    pub(super) stamp: Option<Stamp>,
    pub(super) opened: Instant,
    pub(super) knowledge: Knowledge,
    attempts: u32,
    last_error: Option<Arc<Error>>,
    /// As [`ProducerBatch::compressing`].
    pub(super) compressing: u64,
}

impl<T: Clone> Detached<T> {
    /// Of a batch that was sent so many times.
    pub(super) fn of(batch: &ProducerBatch<T>, attempts: u32) -> Self {
        Self {
            share: batch.share.clone(),
            stamp: batch.stamp,
            opened: batch.opened,
            knowledge: batch.knowledge,
            attempts,
            last_error: batch.last_error.clone(),
            compressing: batch.compressing,
        }
    }

    /// Who has the batch gives its memory back.
    pub(super) fn end(self, error: impl Fn(Option<Arc<Error>>) -> Error) -> Ended<T> {
        Ended {
            share: self.share,
            error: Arc::new(error(self.last_error)),
            possibly_written: self.knowledge.may_be_written(),
            attempts: self.attempts,
            charged: 0,
            flying: false,
        }
    }
}
