//! The consumer's pure half: positions, what is buffered, fetch sessions, and what an answer means.

mod aborted;
mod chunk;
mod growth;
mod partition;
mod position;
mod refusals;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod whole;

pub(crate) use chunk::{Block, Chunk, Damage, Filter, Step};
pub(crate) use growth::Growth;
pub(crate) use partition::Partition;
pub(crate) use position::{Answered, Need, Position, Start, Wanted};
pub(crate) use refusals::{Refusals, Word};
pub(crate) use session::{Asked, Heard, Session};
pub(crate) use verdict::{Lookup, Verdict, is_refusal, lookup, verdict};
pub(crate) use whole::WholeTopics;
