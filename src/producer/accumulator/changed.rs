//! What a change to a partition's queue leaves to be done.

use std::sync::Arc;
use std::time::Instant;

use super::super::batch_result::BatchResult;
use crate::machine::produce::Ended;
use crate::types::BrokerId;

/// Batches that a change ended.
pub(crate) type EndedBatches = Vec<Ended<Arc<BatchResult>>>;

/// What to tell the leader's sender about a queue, once its lock is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Now(BrokerId),
    At(BrokerId, Instant),
    Lingers(BrokerId, Instant),
}

/// A change to a queue was made under its lock. What came of it is had by carrying out what it leaves to be done, with
/// no lock held: who waits for a batch that ended is told, its memory given back, and the leader's sender told when to
/// look at the queue.
#[must_use = "what the change left to be done is done by `carry_out`, and only that has what came of it"]
pub(crate) struct Changed<R> {
    result: R,
    ended: EndedBatches,
    listing: Option<Listing>,
}

impl<R> Changed<R> {
    pub(super) fn new(result: R, ended: EndedBatches, listing: Option<Listing>) -> Self {
        Self {
            result,
            ended,
            listing,
        }
    }

    /// For who carries it out: what came of it, the batches that ended, and what to tell the leader's sender.
    pub(crate) fn into_parts(self) -> (R, EndedBatches, Option<Listing>) {
        (self.result, self.ended, self.listing)
    }

    /// The broker whose sender is to be told that the queue is ready.
    pub(crate) fn ready_for(&self) -> Option<BrokerId> {
        match self.listing {
            Some(Listing::Now(broker)) => Some(broker),
            _ => None,
        }
    }

    /// The leader's sender need not be told any more.
    pub(crate) fn without_listing(self) -> Self {
        Self {
            listing: None,
            ..self
        }
    }

    /// A look at what came of the change, before it is carried out.
    pub(crate) fn look(&self) -> &R {
        &self.result
    }

    /// The batches that ended, to say more of why.
    pub(crate) fn ended_mut(&mut self) -> &mut [Ended<Arc<BatchResult>>] {
        &mut self.ended
    }

    /// For a test that has no producer around its queue.
    #[cfg(test)]
    pub(crate) fn only_result(self) -> R {
        self.result
    }
}
