//! EndTxn: a transaction's end is decided, once, whichever of its requests arrive.

use super::transaction::{Identity, LAST_EPOCH, Phase, Transaction};
use crate::wire::ErrorCode;

impl Transaction {
    /// The producer's identity for its next transaction. `bumps` says that the client speaks the second protocol,
    /// in which every end bumps the epoch (KIP-890).
    pub(crate) fn end(
        &mut self,
        producer: Identity,
        commit: bool,
        bumps: bool,
        fresh: impl FnOnce() -> i64,
    ) -> Result<Identity, ErrorCode> {
        let again = self.is_again(producer);
        if self.producer.id != producer.id && !again {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        let same = self.producer == producer;
        let timely = match self.phase {
            _ if !bumps => same,
            Phase::Empty | Phase::Ongoing => same,
            Phase::Prepare { .. } => again,
            Phase::Complete { .. } => again || same,
        };
        if !timely {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.phase {
            Phase::Ongoing => self.prepare(commit, bumps, fresh),
            // Nothing was sent, and the epoch is bumped all the same.
            Phase::Empty | Phase::Complete { .. } if bumps && !commit && !again => {
                self.prepare(commit, bumps, fresh);
            }
            Phase::Complete { commit: done } if done == commit && (again || !bumps) => {}
            Phase::Prepare { commit: done } if done == commit => {
                return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
            }
            Phase::Empty | Phase::Prepare { .. } | Phase::Complete { .. } => {
                return Err(ErrorCode::INVALID_TXN_STATE);
            }
        }
        Ok(self
            .next_id
            .map_or(self.producer, |id| Identity { id, epoch: 0 }))
    }

    /// Whether this is the end that bumped the epoch, asked for again.
    fn is_again(&self, producer: Identity) -> bool {
        let Identity { id, epoch } = self.producer;
        let bumped = producer.id == id && producer.epoch.checked_add(1) == Some(epoch);
        let replaced =
            producer.id == self.previous_id && producer.epoch == LAST_EPOCH && epoch == 0;
        self.bumps && (bumped || replaced)
    }

    fn prepare(&mut self, commit: bool, bumps: bool, fresh: impl FnOnce() -> i64) {
        self.phase = Phase::Prepare { commit };
        self.bumps = bumps;
        if !bumps {
            return;
        }
        if self.producer.is_exhausted() {
            self.next_id = Some(fresh());
        }
        self.last_epoch = self.producer.epoch;
        self.producer.epoch = self.producer.epoch.saturating_add(1);
    }

    /// All markers are written.
    pub(crate) fn complete(&mut self) {
        let Phase::Prepare { commit } = self.phase else {
            return;
        };
        self.phase = Phase::Complete { commit };
        self.partitions.clear();
        self.groups.clear();
        if let Some(id) = self.next_id.take() {
            self.previous_id = self.producer.id;
            self.last_epoch = self.producer.epoch;
            self.producer = Identity { id, epoch: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::ids::Now;

    const ABORT: bool = false;
    const COMMIT: bool = true;

    fn at(phase: Phase, bumps: bool) -> Transaction {
        let mut of = Transaction::new(7, Duration::from_secs(60));
        of.producer.epoch = 5;
        let now = Now {
            up: Duration::ZERO,
            wall: 0,
        };
        let one = Identity { id: 7, epoch: 5 };
        if phase != Phase::Empty {
            of.join(one, now, |_| {}).unwrap();
        }
        if let Phase::Prepare { commit } | Phase::Complete { commit } = phase {
            of.end(one, commit, bumps, || 99).unwrap();
        }
        if let Phase::Complete { .. } = phase {
            of.complete();
        }
        of
    }

    fn end(mut of: Transaction, id: i64, epoch: i16, commit: bool, bumps: bool) -> String {
        let producer = Identity { id, epoch };
        match of.end(producer, commit, bumps, || 99) {
            Ok(Identity { id, epoch }) => format!("{id} {epoch} {}", of.phase.name()),
            Err(code) => code.to_string(),
        }
    }

    #[test]
    fn the_first_protocol_keeps_the_epoch() {
        let prepared = |commit| Phase::Prepare { commit };
        let complete = |commit| Phase::Complete { commit };
        for (phase, epoch, commit, expected) in [
            (Phase::Ongoing, 5, COMMIT, "7 5 PrepareCommit"),
            (Phase::Ongoing, 5, ABORT, "7 5 PrepareAbort"),
            (Phase::Ongoing, 4, COMMIT, "PRODUCER_FENCED"),
            (Phase::Ongoing, 6, COMMIT, "PRODUCER_FENCED"),
            (prepared(COMMIT), 5, COMMIT, "CONCURRENT_TRANSACTIONS"),
            (prepared(COMMIT), 5, ABORT, "INVALID_TXN_STATE"),
            (complete(COMMIT), 5, COMMIT, "7 5 CompleteCommit"),
            (complete(COMMIT), 5, ABORT, "INVALID_TXN_STATE"),
            (complete(ABORT), 5, ABORT, "7 5 CompleteAbort"),
            (complete(ABORT), 5, COMMIT, "INVALID_TXN_STATE"),
            (Phase::Empty, 5, COMMIT, "INVALID_TXN_STATE"),
            (Phase::Empty, 5, ABORT, "INVALID_TXN_STATE"),
        ] {
            let told = end(at(phase, false), 7, epoch, commit, false);
            assert_eq!(told, expected, "{phase:?} {epoch} {commit}");
        }
        let other = end(at(Phase::Ongoing, false), 8, 5, COMMIT, false);
        assert_eq!(other, "INVALID_PRODUCER_ID_MAPPING");
    }

    #[test]
    fn the_second_protocol_bumps_it_and_knows_a_repeated_end_by_that() {
        let prepared = |commit| Phase::Prepare { commit };
        let complete = |commit| Phase::Complete { commit };
        for (phase, epoch, commit, expected) in [
            (Phase::Ongoing, 5, COMMIT, "7 6 PrepareCommit"),
            (Phase::Ongoing, 5, ABORT, "7 6 PrepareAbort"),
            (Phase::Ongoing, 4, COMMIT, "PRODUCER_FENCED"),
            (prepared(COMMIT), 5, COMMIT, "CONCURRENT_TRANSACTIONS"),
            (prepared(COMMIT), 5, ABORT, "INVALID_TXN_STATE"),
            (prepared(COMMIT), 6, COMMIT, "PRODUCER_FENCED"),
            (complete(COMMIT), 5, COMMIT, "7 6 CompleteCommit"),
            (complete(COMMIT), 5, ABORT, "INVALID_TXN_STATE"),
            (complete(COMMIT), 6, COMMIT, "INVALID_TXN_STATE"),
            (complete(COMMIT), 6, ABORT, "7 7 PrepareAbort"),
            (complete(ABORT), 5, ABORT, "7 6 CompleteAbort"),
            (complete(ABORT), 5, COMMIT, "INVALID_TXN_STATE"),
            (complete(ABORT), 6, ABORT, "7 7 PrepareAbort"),
            (complete(ABORT), 4, ABORT, "PRODUCER_FENCED"),
            (Phase::Empty, 5, COMMIT, "INVALID_TXN_STATE"),
            (Phase::Empty, 5, ABORT, "7 6 PrepareAbort"),
        ] {
            let told = end(at(phase, true), 7, epoch, commit, true);
            assert_eq!(told, expected, "{phase:?} {epoch} {commit}");
        }
    }

    #[test]
    fn an_id_whose_epochs_are_used_up_is_replaced_when_the_markers_are_written() {
        let mut of = at(Phase::Ongoing, true);
        of.producer.epoch = LAST_EPOCH;
        let last = Identity {
            id: 7,
            epoch: LAST_EPOCH,
        };
        let next = Identity { id: 99, epoch: 0 };
        assert_eq!(of.end(last, COMMIT, true, || 99), Ok(next));
        assert_eq!(of.producer.epoch, i16::MAX);
        of.complete();
        assert_eq!(of.producer, next);
        assert_eq!(of.end(last, COMMIT, true, || 100), Ok(next));
    }
}
