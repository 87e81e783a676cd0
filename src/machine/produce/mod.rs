//! The producer's pure half: queues, sequences, partitions, and what an answer means.

mod advice;
mod batch;
mod fit;
mod knowledge;
mod missing;
pub(crate) mod partition;
mod queue;
mod retries;
mod sequence;
mod split;
#[cfg(test)]
mod tests;
mod verdict;
pub(crate) mod waiters;

pub(crate) use advice::{Refused, TopicLimits, advice};
pub(crate) use fit::Fit;
pub(crate) use missing::Missing;
#[cfg(test)]
pub(crate) use queue::Added;
pub(crate) use queue::{
    Answered, Append, BatchQueue, Body, Ended, Limits, ProducerBatch, Readiness, ResultShare, Room,
    Take, Taken,
};
pub(crate) use retries::{Retried, Retries};
pub(crate) use split::split;
pub(crate) use verdict::Answer;
