//! One transactional id: its producer, its phase, and what its transaction has touched.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::state::ids::Now;
use crate::wire::{ErrorCode, Name};

/// The highest epoch is never given out, so that whoever has an epoch can be fenced by a higher one.
pub(super) const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer's id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Identity {
    pub(super) fn is_exhausted(self) -> bool {
        self.epoch >= LAST_EPOCH
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    /// Its end is decided; the markers are on their way.
    Prepare {
        commit: bool,
    },
    Complete {
        commit: bool,
    },
}

impl Phase {
    /// Kafka's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::Prepare { commit: true } => "PrepareCommit",
            Self::Prepare { commit: false } => "PrepareAbort",
            Self::Complete { commit: true } => "CompleteCommit",
            Self::Complete { commit: false } => "CompleteAbort",
        }
    }
}

/// Whether something belongs to the transaction that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Part,
    NoPart,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) producer: Identity,
    /// The epoch that the last bump replaced, so that a repeated call is known; -1 for none.
    pub(super) last_epoch: i16,
    /// Whose epochs were exhausted.
    pub(super) previous_id: i64,
    /// Who takes over once the markers are written.
    pub(super) next_id: Option<i64>,
    pub(crate) timeout: Duration,
    pub(crate) phase: Phase,
    pub(crate) partitions: BTreeSet<(Name, i32)>,
    /// Groups whose offsets it commits.
    pub(crate) groups: BTreeSet<Name>,
    /// When its first partition or group came.
    pub(crate) begun: Option<Now>,
    /// Its last end was one of the second protocol's, which bumps the epoch (KIP-890).
    pub(super) bumps: bool,
}

impl Transaction {
    pub(crate) fn new(producer_id: i64, timeout: Duration) -> Self {
        Self {
            producer: Identity {
                id: producer_id,
                epoch: -1,
            },
            last_epoch: -1,
            previous_id: -1,
            next_id: None,
            timeout,
            phase: Phase::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            begun: None,
            bumps: false,
        }
    }

    fn check(&self, producer: Identity) -> Result<(), ErrorCode> {
        if self.producer.id != producer.id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.producer.epoch != producer.epoch {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.phase {
            Phase::Prepare { .. } => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            Phase::Empty | Phase::Ongoing | Phase::Complete { .. } => Ok(()),
        }
    }

    /// Something becomes part of the transaction, which begins with the first.
    pub(crate) fn join(
        &mut self,
        producer: Identity,
        now: Now,
        part: impl FnOnce(&mut Self),
    ) -> Result<(), ErrorCode> {
        self.check(producer)?;
        if self.phase != Phase::Ongoing {
            self.phase = Phase::Ongoing;
            self.begun = Some(now);
        }
        part(self);
        Ok(())
    }

    /// Whether something is part of it, as `found` sees it.
    pub(crate) fn verify(
        &self,
        producer: Identity,
        found: impl FnOnce(&Self) -> bool,
    ) -> Result<Verdict, ErrorCode> {
        self.check(producer)?;
        if self.phase == Phase::Ongoing && found(self) {
            Ok(Verdict::Part)
        } else {
            Ok(Verdict::NoPart)
        }
    }

    /// Ends what goes on in a way that its producer can add nothing to it: the transaction timed out, or another
    /// producer comes.
    pub(crate) fn fence(&mut self, bumps: bool) {
        self.last_epoch = if bumps { self.producer.epoch } else { -1 };
        self.producer.epoch = self.producer.epoch.saturating_add(1);
        self.bumps = bumps;
        self.phase = Phase::Prepare { commit: false };
    }
}
