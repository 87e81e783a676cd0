//! What a partition remembers of idempotent producers: exactly as much as Kafka does.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::head::Head;
use crate::wire::ErrorCode;

/// As many batches can be in flight; older duplicates are not recognised.
const REMEMBERED: usize = 5;

/// All producers that wrote to one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Transactions that go on, by their first offsets.
    open: BTreeSet<(i64, i64)>,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// Its latest batches, oldest first; none since a marker with a new epoch.
    batches: VecDeque<Written>,
    /// Where its transaction begins here, while one goes on.
    open_since: Option<i64>,
}

/// A producer as it is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) open_since: Option<i64>,
}

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    first_sequence: i32,
    last_sequence: i32,
    pub(crate) base_offset: i64,
    /// The batch's highest timestamp, which Kafka tells for the time of appending when it comes again.
    pub(crate) timestamp: i64,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// Append it.
    Next,
    /// It is in the log already: answer as the first time.
    Duplicate(Written),
}

impl Producers {
    /// Kafka's `ProducerStateManager`: a duplicate first, then the epoch, then the sequence.
    pub(crate) fn check(&self, batch: &Head) -> Result<Sequence, ErrorCode> {
        if batch.producer_id < 0 {
            return Ok(Sequence::Next);
        }
        // Of an unknown producer any sequence is taken: its records may have gone by retention.
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            return Ok(Sequence::Next);
        };
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        if batch.producer_epoch == producer.epoch {
            let same = |w: &&Written| (w.first_sequence, w.last_sequence) == (first, last);
            if let Some(written) = producer.batches.iter().find(same) {
                return Ok(Sequence::Duplicate(*written));
            }
            let before = producer.batches.back().map_or(-1, |w| w.last_sequence);
            let follows = first == before.checked_add(1).unwrap_or(0);
            if !follows {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
            return if producer.open_since.is_some() && !batch.is_transactional() {
                Err(ErrorCode::INVALID_TXN_STATE)
            } else {
                Ok(Sequence::Next)
            };
        }
        if batch.producer_epoch < producer.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if first == 0 {
            Ok(Sequence::Next)
        } else {
            Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        }
    }

    /// Remembers a batch that `check` let through.
    pub(crate) fn wrote(&mut self, batch: &Head, base_offset: i64, timestamp: i64) {
        if batch.producer_id < 0 {
            return;
        }
        let producer = self.by_id.entry(batch.producer_id).or_insert(Producer {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
            open_since: None,
        });
        if batch.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(base_offset);
            self.open.insert((base_offset, batch.producer_id));
        }
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
            timestamp,
        });
    }
}

impl Producers {
    /// The first offset of all transactions that go on.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// The epoch that a producer last wrote in.
    pub(crate) fn epoch(&self, id: i64) -> Option<i16> {
        self.by_id.get(&id).map(|producer| producer.epoch)
    }

    /// A marker ends a producer's transaction: where that began, if it had any records here.
    pub(crate) fn marked(&mut self, id: i64, epoch: i16) -> Option<i64> {
        let producer = self.by_id.entry(id).or_insert(Producer {
            epoch,
            batches: VecDeque::new(),
            open_since: None,
        });
        if producer.epoch < epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        let first = producer.open_since.take()?;
        self.open.remove(&(first, id));
        Some(first)
    }

    /// All that are remembered, by their ids.
    pub(crate) fn active(&self) -> Vec<Active> {
        let told = |(id, producer): (&i64, &Producer)| {
            let last = producer.batches.back();
            Active {
                id: *id,
                epoch: producer.epoch,
                last_sequence: last.map_or(-1, |last| last.last_sequence),
                last_timestamp: last.map_or(-1, |last| last.timestamp),
                open_since: producer.open_since,
            }
        };
        let mut all: Vec<_> = self.by_id.iter().map(told).collect();
        all.sort_unstable_by_key(|one| one.id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> Head {
        Head {
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            count,
        }
    }

    fn after(batches: &[(i16, i32, i32)]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 0;
        for &(epoch, sequence, count) in batches {
            let head = batch(epoch, sequence, count);
            assert_eq!(producers.check(&head), Ok(Sequence::Next));
            producers.wrote(&head, offset, -1);
            offset += i64::from(count);
        }
        producers
    }

    fn offset_of(answer: Result<Sequence, ErrorCode>) -> Option<i64> {
        match answer {
            Ok(Sequence::Duplicate(written)) => Some(written.base_offset),
            _ => None,
        }
    }

    #[test]
    fn the_last_five_batches_are_duplicates_and_the_sixth_is_out_of_order() {
        let producers = after(&[
            (0, 0, 2),
            (0, 2, 3),
            (0, 5, 1),
            (0, 6, 1),
            (0, 7, 1),
            (0, 8, 1),
        ]);
        for (sequence, count, offset) in [(2, 3, 2), (5, 1, 5), (6, 1, 6), (7, 1, 7), (8, 1, 8)] {
            let answer = producers.check(&batch(0, sequence, count));
            assert_eq!(offset_of(answer), Some(offset));
        }
        let oldest = producers.check(&batch(0, 0, 2));
        assert_eq!(oldest, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }

    #[test]
    fn the_same_first_sequence_with_another_count_is_no_duplicate() {
        let producers = after(&[(0, 0, 2)]);
        let answer = producers.check(&batch(0, 0, 3));
        assert_eq!(answer, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let producers = after(&[(0, 0, 2)]);
        let answer = producers.check(&batch(0, 3, 1));
        assert_eq!(answer, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        assert_eq!(
            Producers::default().check(&batch(3, 77, 1)),
            Ok(Sequence::Next)
        );
    }

    #[test]
    fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
        let producers = after(&[(2, 0, 2)]);
        let fenced = producers.check(&batch(1, 2, 1));
        assert_eq!(fenced, Err(ErrorCode::INVALID_PRODUCER_EPOCH));
        let middle = producers.check(&batch(3, 2, 1));
        assert_eq!(middle, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        assert_eq!(producers.check(&batch(3, 0, 1)), Ok(Sequence::Next));
    }

    #[test]
    fn sequences_begin_again_at_zero_after_the_highest() {
        let producers = after(&[(0, i32::MAX - 1, 3)]);
        assert_eq!(producers.check(&batch(0, 1, 1)), Ok(Sequence::Next));
        let duplicate = producers.check(&batch(0, i32::MAX - 1, 3));
        assert_eq!(offset_of(duplicate), Some(0));
    }
}
