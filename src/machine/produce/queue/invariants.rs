//! What holds of a queue after every change, checked in debug builds.

use super::{BatchQueue, Place, ProducerBatch, Stamp};
use crate::machine::produce::knowledge::Knowledge;
use crate::machine::produce::sequence::advance;

/// Sequences further apart than this are taken for having wrapped.
const HALF: u32 = 1 << 30;

impl<T: Clone> BatchQueue<T> {
    /// Panics where the queue is in a state that it cannot be in.
    pub(super) fn check(&self) {
        self.check_order();
        self.check_knowledge();
        self.check_sequences();
    }

    /// Stamped batches stand before all others, in the order of their places; no place is taken twice.
    fn check_order(&self) {
        let places = self.ready.iter().map(ProducerBatch::place);
        let stamped: Vec<Place> = places.clone().map_while(|place| place).collect();
        assert!(stamped.is_sorted(), "out of order: {stamped:?}");
        let behind = places.skip(stamped.len());
        assert_eq!(
            behind.flatten().count(),
            0,
            "stamped behind an unstamped one"
        );
        let flying = self.flights.iter().filter_map(|flight| flight.place);
        let detached = self
            .detached()
            .filter_map(|away| Some((away.stamp?.serial, away.share.first)));
        let mut all: Vec<Place> = stamped
            .iter()
            .copied()
            .chain(flying)
            .chain(detached)
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "one place for two batches");
        assert!(
            self.flights.len() <= super::send::MAX_FLIGHTS,
            "too many in flight"
        );
    }

    /// Of a batch without a sequence nothing is known but that it is not written, and the doubted ones stand first.
    fn check_knowledge(&self) {
        for batch in &self.ready {
            let is_sent = batch.stamp.is_some();
            let known = batch.knowledge;
            assert!(
                is_sent || known == Knowledge::NotWritten,
                "{known:?} though never sent"
            );
            let of_later = matches!(known, Knowledge::PassedOver | Knowledge::Written);
            assert!(
                self.limits.idempotent || !of_later,
                "{known:?} without sequences"
            );
            if let Knowledge::Doubted { term } = known {
                assert!(
                    self.limits.idempotent && term <= self.term,
                    "doubted too early"
                );
            }
        }
        let doubted = self
            .ready
            .iter()
            .filter(|batch| batch.knowledge.is_doubted_in(self.term));
        assert_eq!(
            doubted.count(),
            self.doubted(),
            "doubted behind one that is not"
        );
    }

    /// Every batch that has not ended is under the identity of now, and no sequence is used that was not given out.
    fn check_sequences(&self) {
        let ready = self
            .ready
            .iter()
            .filter_map(|batch| Some((batch.stamp?, batch.share.count)));
        let detached = self
            .detached()
            .filter_map(|away| Some((away.stamp?, away.share.count)));
        for (stamp, count) in ready.chain(detached) {
            self.check_stamp(stamp, count);
        }
        for stamp in self.flights.iter().filter_map(|flight| flight.stamp) {
            self.check_stamp(stamp, 1);
        }
    }

    fn check_stamp(&self, stamp: Stamp, count: u32) {
        assert!(
            stamp.serial < self.next_serial,
            "a serial that was not given out"
        );
        match self.sequences.next() {
            None => assert_eq!(stamp.base_sequence, -1, "a sequence without an identity"),
            Some((producer, next)) => {
                assert_eq!(stamp.producer, producer, "a stamp of another identity");
                let end = advance(stamp.base_sequence, count);
                let left = u32::try_from((i64::from(next) - i64::from(end)).rem_euclid(1 << 31));
                assert!(
                    left.is_ok_and(|left| left < HALF),
                    "{stamp:?} is behind {next}"
                );
            }
        }
    }
}
