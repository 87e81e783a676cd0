//! The sequences that a partition's batches are given, and what its leader is known to have of them.
//!
//! ```text
//!            identity              acknowledged in this term
//!   Fresh ─────────────▶ Unproven ───────────────────────────▶ Proven
//!                         ▲ ▲  │ ◀──────────────────────────── │ another leader, a topic made anew, a long silence
//!             another     │ │  │ a batch is given up           │ a batch is given up
//!             identity or │ │  ▼                               │
//!             epoch       │ └─ Gap { last } ◀──────────────────┘   acknowledged behind the gap: as from Unproven
//!                         │      │
//!                         │      │ refused at the head, or nothing left that could tell what was written
//!                         │      ▼                       (from Unproven and Proven as well)
//!                         └─── Restart
//! ```
//!
//! An idempotent producer's queue begins Fresh; one without sequences stays so. Sequences begin at 0 under each identity
//! or epoch, which is where the next transaction of a partition begins, too, wherever its epoch is a new one.

use crate::machine::produce::batch::{Place, Stamp};
use crate::machine::produce::sequence::advance;
use crate::types::ProducerId;

/// Under which identity sequences are given out.
#[derive(Debug)]
pub(super) enum Sequences {
    /// None was given out.
    Fresh,
    /// Under one identity and epoch.
    Under {
        producer: ProducerId,
        next: i32,
        standing: Standing,
    },
}

/// What the leader is known to have of the sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may not know the producer: then it takes any sequence. One batch is in flight.
    Unproven,
    /// It knows the producer's sequences, so that it refuses a later batch when it has refused an earlier one.
    Proven,
    /// Sequences up to this place were spent and then given up: it may miss them. Who is taken at this place or behind
    /// it proves that it does not; unless that is still expected, only a new epoch is sure to be accepted.
    Gap { last: Place },
    /// Sequences must restart under a new epoch before anything is sent again.
    Restart,
}

impl Sequences {
    pub(super) fn producer(&self) -> Option<ProducerId> {
        match self {
            Self::Fresh => None,
            Self::Under { producer, .. } => Some(*producer),
        }
    }

    /// The identity, and the sequence that is given out next.
    #[cfg(debug_assertions)]
    pub(super) fn next(&self) -> Option<(ProducerId, i32)> {
        match self {
            Self::Fresh => None,
            Self::Under { producer, next, .. } => Some((*producer, *next)),
        }
    }

    fn standing(&self) -> Option<Standing> {
        match self {
            Self::Fresh => None,
            Self::Under { standing, .. } => Some(*standing),
        }
    }

    /// Whether more than one batch may be in flight.
    pub(super) fn is_proven(&self) -> bool {
        self.standing() == Some(Standing::Proven)
    }

    /// Whether nothing may be sent before sequences restart.
    pub(super) fn must_restart(&self) -> bool {
        self.standing() == Some(Standing::Restart)
    }

    /// Under which identity the next batch is sent; `stamped` tells whether it has its sequence, `flying` whether
    /// others are in flight. `current` is the producer's identity, `bump` asks for an epoch after the one of now.
    pub(super) fn identity_of_next(
        &self,
        stamped: bool,
        flying: bool,
        current: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> Option<ProducerId> {
        match self {
            Self::Fresh => Some(current),
            Self::Under {
                producer, standing, ..
            } => match standing {
                Standing::Restart => bump(*producer),
                // What follows a lost sequence may be refused.
                Standing::Gap { .. } if !stamped => bump(*producer),
                _ if stamped || flying => Some(*producer),
                _ => Some(current),
            },
        }
    }

    /// Begins anew under another identity; false when it is the one of now.
    pub(super) fn begin(&mut self, identity: ProducerId) -> bool {
        if self.producer() == Some(identity) {
            return false;
        }
        *self = Self::Under {
            producer: identity,
            next: 0,
            standing: Standing::Unproven,
        };
        true
    }

    /// Gives out the sequences of so many records: the identity, and the first one.
    pub(super) fn give(&mut self, count: u32) -> (ProducerId, i32) {
        match self {
            Self::Fresh => (ProducerId::NONE, -1),
            Self::Under { producer, next, .. } => {
                let base = *next;
                *next = advance(base, count);
                (*producer, base)
            }
        }
    }

    /// Whether no sequence was given out behind those of a batch that had so many records.
    pub(super) fn is_newest(&self, stamp: &Stamp, count: u32) -> bool {
        match self {
            Self::Fresh => false,
            Self::Under { producer, next, .. } => {
                *producer == stamp.producer && *next == advance(stamp.base_sequence, count)
            }
        }
    }

    /// Takes the newest sequences back, from this one on: the broker has certainly refused them.
    pub(super) fn take_back(&mut self, from: i32) {
        if let Self::Under { next, .. } = self {
            *next = from;
        }
    }

    /// A batch at `place` was acknowledged; `in_term` tells whether by the leader of now, under the identity of now.
    pub(super) fn acked(&mut self, place: Option<Place>, in_term: bool) {
        let Self::Under { standing, .. } = self else {
            return;
        };
        *standing = match *standing {
            Standing::Restart => Standing::Restart,
            Standing::Gap { last } if place < Some(last) => Standing::Gap { last },
            _ if in_term => Standing::Proven,
            _ => Standing::Unproven,
        };
    }

    /// The leader may not know the producer: it is another one, or of a topic made anew, or may have forgotten it.
    pub(super) fn distrust(&mut self) {
        if let Self::Under { standing, .. } = self
            && *standing == Standing::Proven
        {
            *standing = Standing::Unproven;
        }
    }

    /// Sequences up to `place` were spent, and their batch was given up.
    pub(super) fn lose(&mut self, place: Place) {
        let Self::Under { standing, .. } = self else {
            return;
        };
        *standing = match *standing {
            Standing::Restart => Standing::Restart,
            Standing::Gap { last } => Standing::Gap {
                last: last.max(place),
            },
            Standing::Unproven | Standing::Proven => Standing::Gap { last: place },
        };
    }

    /// Sequences must restart under a new epoch.
    pub(super) fn restart(&mut self) {
        if let Self::Under { standing, .. } = self {
            *standing = Standing::Restart;
        }
    }

    #[cfg(test)]
    pub(super) fn name(&self) -> &'static str {
        match self.standing() {
            None => "Fresh",
            Some(Standing::Unproven) => "Unproven",
            Some(Standing::Proven) => "Proven",
            Some(Standing::Gap { .. }) => "Gap",
            Some(Standing::Restart) => "Restart",
        }
    }

    /// As after a first acknowledgement.
    #[cfg(test)]
    pub(super) fn prove(&mut self, producer: ProducerId) {
        self.begin(producer);
        self.acked(None, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: ProducerId = ProducerId { id: 9, epoch: 0 };
    const NEXT: ProducerId = ProducerId { id: 9, epoch: 1 };
    const GAP: Standing = Standing::Gap { last: (4, 0) };

    fn under(standing: Standing) -> Sequences {
        Sequences::Under {
            producer: OWN,
            next: 7,
            standing,
        }
    }

    /// What comes of an event in each standing.
    fn after(event: impl Fn(&mut Sequences)) -> [Standing; 4] {
        [Standing::Unproven, Standing::Proven, GAP, Standing::Restart].map(|standing| {
            let mut sequences = under(standing);
            event(&mut sequences);
            sequences.standing().unwrap()
        })
    }

    #[test]
    fn every_event_takes_sequences_where_the_diagram_says() {
        use Standing::{Proven, Restart, Unproven};
        let later = Standing::Gap { last: (5, 0) };
        let (before, at) = (Some((3, 9)), Some((4, 0)));
        assert_eq!(
            after(|s| s.acked(before, true)),
            [Proven, Proven, GAP, Restart]
        );
        assert_eq!(
            after(|s| s.acked(at, true)),
            [Proven, Proven, Proven, Restart]
        );
        assert_eq!(
            after(|s| s.acked(at, false)),
            [Unproven, Unproven, Unproven, Restart]
        );
        assert_eq!(
            after(Sequences::distrust),
            [Unproven, Unproven, GAP, Restart]
        );
        assert_eq!(after(|s| s.lose((5, 0))), [later, later, later, Restart]);
        assert_eq!(after(|s| s.lose((4, 0))), [GAP, GAP, GAP, Restart]);
        assert_eq!(
            after(|s| s.lose((1, 0)))[2],
            GAP,
            "a later one was lost already"
        );
        assert_eq!(after(Sequences::restart), [Restart; 4]);
        assert_eq!(after(|s| assert!(s.begin(NEXT))), [Unproven; 4]);
        assert_eq!(
            after(|s| assert!(!s.begin(OWN))),
            [Unproven, Proven, GAP, Restart]
        );
    }

    #[test]
    fn a_queue_without_sequences_stays_fresh() {
        let mut fresh = Sequences::Fresh;
        fresh.acked(Some((0, 0)), true);
        fresh.lose((0, 0));
        fresh.restart();
        assert_eq!(fresh.give(5), (ProducerId::NONE, -1));
        assert!(fresh.producer().is_none() && !fresh.is_proven() && !fresh.must_restart());
    }

    #[test]
    fn the_next_batch_goes_under_a_new_epoch_exactly_when_the_one_of_now_may_be_refused() {
        let other = ProducerId { id: 9, epoch: 5 };
        let next = |standing, stamped, flying| {
            let sequences = under(standing);
            sequences.identity_of_next(stamped, flying, other, |own| {
                assert_eq!(own, OWN);
                Some(NEXT)
            })
        };
        for standing in [Standing::Unproven, Standing::Proven] {
            assert_eq!(next(standing, false, false), Some(other));
            assert_eq!(next(standing, false, true), Some(OWN));
            assert_eq!(next(standing, true, false), Some(OWN));
        }
        assert_eq!(next(GAP, true, false), Some(OWN), "it may close the gap");
        assert_eq!(next(GAP, false, false), Some(NEXT));
        for stamped in [false, true] {
            assert_eq!(next(Standing::Restart, stamped, false), Some(NEXT));
        }
    }

    #[test]
    fn sequences_are_given_out_in_order_and_the_newest_can_be_taken_back() {
        let mut sequences = under(Standing::Proven);
        let stamp = |base_sequence| Stamp {
            producer: OWN,
            base_sequence,
            serial: 0,
        };
        assert_eq!(sequences.give(3), (OWN, 7));
        assert_eq!(sequences.give(2), (OWN, 10));
        assert!(!sequences.is_newest(&stamp(7), 3) && sequences.is_newest(&stamp(10), 2));
        sequences.take_back(10);
        assert_eq!(sequences.give(1), (OWN, 10));
    }
}
