//! The runner's pure half: what is finished of each partition, whose turn it is, and what a failure leads to.

mod acks;
mod finished;
mod lanes;
mod pace;
mod verdict;

pub(crate) use acks::{Origin, PartitionAcks};
use finished::Finished;
pub(crate) use lanes::{Lanes, Place};
pub(crate) use pace::Bucket;
pub use pace::Pace;
pub use verdict::OnFailure;
pub(crate) use verdict::{Attempts, Step, step};
