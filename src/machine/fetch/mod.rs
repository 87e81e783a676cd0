//! The consumer's pure half: positions, what is buffered, fetch sessions, and what an answer means.

mod aborted;
mod completed_fetch;
mod growth;
mod partition_state;
mod position;
mod refusals;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod whole;

pub(crate) use completed_fetch::{Block, CompletedFetch, Damage, Filter, NextRecords};
pub(crate) use growth::Growth;
pub(crate) use partition_state::PartitionState;
pub(crate) use position::{FetchedPart, Need, Position, Start, Wanted};
pub(crate) use refusals::{Refusals, Word};
pub(crate) use session::{Asked, Heard, Session};
pub(crate) use verdict::{FetchVerdict, LookupVerdict, fetch_verdict, is_refusal, lookup_verdict};
pub(crate) use whole::WholeTopics;
