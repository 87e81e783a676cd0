//! ListTransactions: the transactional ids that this node coordinates (KIP-664).

use super::{At, Call, Step};
use crate::state::transactions::{Phase, Transaction};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// Kafka's states, those included that nothing here is ever in.
const STATES: &[&str] = &[
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
    "Dead",
];

pub(super) struct ListTransactions {
    /// Only those in one of these states; empty for all.
    states: Vec<Name>,
    /// Only those of one of these producers; empty for all.
    producers: Vec<i64>,
    /// Only those that go on for longer, in milliseconds; negative for all.
    longer_than: i64,
}

pub(super) fn read(r: &mut Reader) -> Result<ListTransactions, Malformed> {
    Ok(ListTransactions {
        states: r.array(Reader::string)?,
        producers: r.array(Reader::i64)?,
        longer_than: if r.version >= 1 { r.i64()? } else { -1 },
    })
}

impl Call for ListTransactions {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let whole = at.forced_whole();
        let mut unknown: Vec<_> = self.states.iter().collect();
        unknown.retain(|state| !STATES.contains(&&***state));
        let mut found: Vec<_> = at.state.transactions.iter().collect();
        found.retain(|(id, of)| {
            whole.is_none() && at.coordinates_transaction(id).is_ok() && self.means(of, at)
        });
        out.throttle();
        out.code(whole.unwrap_or(ErrorCode::NONE));
        out.array(unknown, |out, state| out.string(state));
        out.array(found, |out, (id, of)| {
            out.string(id);
            out.i64(of.producer.id);
            out.string(of.phase.name());
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

impl ListTransactions {
    fn means(&self, of: &Transaction, at: &At<'_>) -> bool {
        let state = |state: &Name| **state == *of.phase.name();
        let long = self.longer_than < 0
            || (matches!(of.phase, Phase::Ongoing | Phase::Prepare { .. })
                && of
                    .begun
                    .is_some_and(|begun| at.now.wall - begun.wall > self.longer_than));
        (self.states.is_empty() || self.states.iter().any(state))
            && (self.producers.is_empty() || self.producers.contains(&of.producer.id))
            && long
    }
}
