//! One partition's log: batches in the order of their offsets, and what retention leaves of them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::aborted::{Aborted, AbortedIndex};
use super::batch::{NewBatch, Rejected};
use super::configs::TopicConfigs;
use super::marker::Marker;
use super::producers::{Producers, Sequence};
use crate::wire::ErrorCode;

/// A log in memory.
#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<Stored>,
    /// What the batches are in; retention by time takes whole ones.
    segments: VecDeque<Segment>,
    /// The first offset that can be read.
    start: i64,
    /// The offset of the next record.
    end: i64,
    /// All batches' bytes.
    size: u64,
    /// Each epoch that wrote, with its first offset.
    epochs: Vec<(i32, i64)>,
    producers: Producers,
    aborted: AbortedIndex,
}

/// A batch in its place.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) base: i64,
    pub(crate) last: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: Bytes,
}

/// Batches that follow each other, as one of Kafka's files has them.
#[derive(Debug)]
struct Segment {
    /// Of its batches that are still there.
    size: u64,
    /// When it was begun.
    begun: i64,
    /// Its first batch's highest timestamp.
    first_timestamp: i64,
    /// The highest of all.
    max_timestamp: i64,
    /// When it was last written to, which is its date where its records have none.
    written: i64,
}

impl Segment {
    /// Whether the next batch begins another one.
    fn is_full(&self, size: u64, timestamp: i64, wall: i64, configs: &TopicConfigs) -> bool {
        let open_for = match self.first_timestamp {
            0.. => timestamp.saturating_sub(self.first_timestamp),
            _ => wall - self.begun,
        };
        self.size + size > configs.segment_bytes || open_for > configs.segment_ms
    }

    fn dated(&self) -> i64 {
        match self.max_timestamp {
            0.. => self.max_timestamp,
            _ => self.written,
        }
    }
}

/// Where a batch is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// The broker's time, or -1 where the producer's counts.
    pub(crate) append_time: i64,
}

/// A partition read from an offset.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) size: usize,
    /// Behind the last of them.
    pub(crate) end: i64,
}

impl Log {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// All that is written is replicated: every node sees it.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.end
    }

    /// Before it every transaction is over; `read_committed` readers come no further.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        let open = self.producers.first_open();
        open.map_or(self.high_watermark(), |first| {
            first.min(self.high_watermark())
        })
    }

    /// Aborted transactions that have records from `from` on and before `to`.
    pub(crate) fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted.between(from, to)
    }

    pub(crate) fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Ends a transaction, which may have no records here.
    pub(crate) fn mark(&mut self, marker: Marker, epoch: i32, wall: i64, configs: &TopicConfigs) {
        let base = self.end;
        let bytes = marker.batch(base, epoch, wall);
        let first = self
            .producers
            .marked(marker.producer_id, marker.producer_epoch);
        if let Some(first) = first
            && !marker.commit
        {
            self.aborted.push(Aborted {
                producer_id: marker.producer_id,
                first,
                marker: base,
            });
        }
        let stored = Stored {
            base,
            last: base,
            max_timestamp: wall,
            bytes,
        };
        self.store(stored, epoch, wall, configs);
    }

    /// The end of the log has another batch.
    fn store(&mut self, stored: Stored, epoch: i32, wall: i64, configs: &TopicConfigs) {
        self.end = stored.last + 1;
        if self.epochs.last().is_none_or(|(newest, _)| *newest < epoch) {
            self.epochs.push((epoch, stored.base));
        }
        let (size, timestamp) = (stored.bytes.len() as u64, stored.max_timestamp);
        self.grow(size, timestamp, wall, configs);
        self.batches.push_back(stored);
    }

    /// Appends a checked batch, or finds that it is there already.
    pub(crate) fn append(
        &mut self,
        batch: NewBatch,
        epoch: i32,
        wall: i64,
        configs: &TopicConfigs,
    ) -> Result<Appended, Rejected> {
        if batch.len() > configs.max_message_bytes {
            return Err(ErrorCode::MESSAGE_TOO_LARGE.into());
        }
        let append_time = configs.log_append_time.then_some(wall);
        batch.suits(wall, configs)?;
        if let Sequence::Duplicate(written) = self.producers.check(&batch.head)? {
            return Ok(Appended {
                base_offset: written.base_offset,
                append_time: written.timestamp,
            });
        }
        let head = batch.head;
        let base = self.end;
        let last = base + i64::from(head.last_offset_delta);
        let told_time = append_time.unwrap_or(-1);
        let bytes = batch.place(base, epoch, append_time);
        let max_timestamp = append_time.unwrap_or(head.max_timestamp);
        self.producers.wrote(&head, base, max_timestamp);
        let stored = Stored {
            base,
            last,
            max_timestamp,
            bytes,
        };
        self.store(stored, epoch, wall, configs);
        Ok(Appended {
            base_offset: base,
            append_time: told_time,
        })
    }

    /// The last segment takes so many bytes more, or a new one does.
    fn grow(&mut self, size: u64, timestamp: i64, wall: i64, configs: &TopicConfigs) {
        self.size += size;
        match self.segments.back_mut() {
            Some(last) if !last.is_full(size, timestamp, wall, configs) => {
                last.size += size;
                last.max_timestamp = last.max_timestamp.max(timestamp);
                last.written = wall;
            }
            _ => self.segments.push_back(Segment {
                size,
                begun: wall,
                first_timestamp: timestamp,
                max_timestamp: timestamp,
                written: wall,
            }),
        }
    }

    /// Whole batches from the one with `offset` in it and before `bound`, up to `most` bytes; one batch in any case if
    /// `at_least_one`.
    pub(crate) fn read(&self, offset: i64, bound: i64, most: usize, at_least_one: bool) -> Slice {
        let mut slice = Slice::default();
        let from = self.batches.partition_point(|batch| batch.last < offset);
        for batch in self.batches.range(from..) {
            let first = at_least_one && slice.batches.is_empty();
            if batch.base >= bound {
                break;
            }
            if slice.size + batch.bytes.len() > most && !first {
                break;
            }
            slice.size += batch.bytes.len();
            slice.end = batch.last + 1;
            slice.batches.push(batch.bytes.clone());
        }
        slice
    }

    /// The batches that can be read, oldest first.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.batches.iter()
    }

    /// The batch with the highest timestamp, the earliest of several.
    pub(crate) fn newest(&self) -> Option<&Stored> {
        let mut newest: Option<&Stored> = None;
        for batch in &self.batches {
            if newest.is_none_or(|found| batch.max_timestamp > found.max_timestamp) {
                newest = Some(batch);
            }
        }
        newest
    }

    /// The last epoch up to `wanted` that wrote, and the offset behind its records; as Kafka's epoch cache answers.
    pub(crate) fn end_of_epoch(&self, wanted: i32, current: i32) -> Option<(i32, i64)> {
        if wanted < 0 {
            return None;
        }
        if wanted == current {
            return Some((current, self.end));
        }
        // A leader's epoch begins where it took over, even if it has written nothing.
        let wrote = self.epochs.iter().copied();
        let silent = self
            .epochs
            .last()
            .is_none_or(|(newest, _)| *newest < current);
        let mut all = wrote.chain(silent.then_some((current, self.end)));
        let mut floor = None;
        all.find_map(|(epoch, first)| {
            if epoch > wanted {
                return Some((floor.unwrap_or(wanted), first));
            }
            floor = Some(epoch);
            None
        })
    }

    /// The epoch of the record at `offset`.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let written = self.epochs.iter().rev();
        written
            .into_iter()
            .find(|(_, first)| *first <= offset)
            .map(|(epoch, _)| *epoch)
    }

    /// DeleteRecords: nothing before `offset` can be read any more; the new start.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<i64, ErrorCode> {
        if offset < 0 || offset > self.end {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        self.start = self.start.max(offset);
        while self.batches.front().is_some_and(|b| b.last < self.start) {
            self.drop_oldest();
        }
        Ok(self.start)
    }

    /// Drops the oldest segments as long as they are too old or too much; whether anything went.
    pub(crate) fn retain(&mut self, wall: i64, configs: &TopicConfigs) -> bool {
        let before = self.start;
        if !configs.deletes() {
            return false;
        }
        let most = u64::try_from(configs.retention_bytes).unwrap_or(u64::MAX);
        let oldest_kept = match configs.retention_ms {
            0.. => wall.saturating_sub(configs.retention_ms),
            _ => i64::MIN,
        };
        while let Some(oldest) = self.segments.front() {
            // Never below the limit: what goes must be more than enough.
            let too_much = self.size - oldest.size >= most;
            if !too_much && oldest.dated() >= oldest_kept {
                break;
            }
            let gone = oldest.size;
            let kept = self.size - gone;
            while self.size > kept && self.drop_oldest() {}
        }
        self.start != before
    }

    /// Drops the oldest batches that are more than the topic keeps, whatever segment they are in: so that memory has a bound.
    pub(crate) fn bound(&mut self, configs: &TopicConfigs) {
        let Ok(most) = u64::try_from(configs.retention_bytes) else {
            return;
        };
        if !configs.deletes() {
            return;
        }
        while let Some(oldest) = self.batches.front() {
            if self.size - (oldest.bytes.len() as u64) < most {
                return;
            }
            self.drop_oldest();
        }
    }

    /// False when there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(gone) = self.batches.pop_front() else {
            return false;
        };
        let size = gone.bytes.len() as u64;
        self.size -= size;
        self.start = self.start.max(gone.last + 1);
        self.aborted.forget_before(self.start);
        if let Some(segment) = self.segments.front_mut() {
            segment.size -= size;
            if segment.size == 0 {
                self.segments.pop_front();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::batch::NewBatch;

    /// A log of ten batches with one record each, a second apart.
    fn log(configs: &TopicConfigs) -> (Log, u64) {
        let mut log = Log::default();
        let mut size = 0;
        for second in 0..10 {
            let bytes = crate::api::test_batch(second * 1000);
            size = bytes.len() as u64;
            let batch = NewBatch::check(bytes.as_ref().into()).unwrap();
            log.append(batch, 0, second * 1000, configs).unwrap();
        }
        (log, size)
    }

    #[test]
    fn a_bound_in_bytes_keeps_at_least_that_many() {
        let mut configs = TopicConfigs::default();
        let (_, size) = log(&configs);
        for (bytes, start) in [
            (0, 10),
            (size, 9),
            (size + 1, 8),
            (3 * size, 7),
            (20 * size, 0),
        ] {
            configs.set("retention.bytes", &bytes.to_string()).unwrap();
            let (mut log, _) = log(&TopicConfigs::default());
            log.bound(&configs);
            assert_eq!((log.start(), log.end()), (start, 10), "{bytes}");
        }
    }

    #[test]
    fn retention_by_time_takes_segments_whose_records_are_all_too_old() {
        let mut configs = TopicConfigs::default();
        configs.set("retention.ms", "3000").unwrap();
        // All in one segment: its newest record keeps the others.
        let (mut whole, _) = log(&configs);
        assert!(!whole.retain(12_000, &configs));
        assert!(whole.retain(12_001, &configs));
        assert_eq!((whole.start(), whole.end()), (10, 10));

        // Records of seconds 0 to 2, 3 to 5, 6 to 8, and 9.
        configs.set("segment.ms", "2000").unwrap();
        let (mut log, _) = log(&configs);
        assert_eq!(log.segments.len(), 4);
        assert!(log.retain(8_000, &configs));
        assert_eq!(log.start(), 3);
        assert!(log.retain(8_001, &configs));
        assert_eq!(log.start(), 6);
        assert!(!log.retain(8_001, &configs));
        configs.set("cleanup.policy", "compact").unwrap();
        assert!(!log.retain(100_000, &configs));
        configs.set("cleanup.policy", "delete").unwrap();
        log.retain(100_000, &configs);
        assert_eq!((log.start(), log.end(), log.stored().count()), (10, 10, 0));
        assert_eq!((log.size, log.segments.len()), (0, 0));
    }

    #[test]
    fn retention_by_bytes_takes_segments_and_keeps_at_least_that_many() {
        let mut configs = TopicConfigs::default();
        configs.set("segment.ms", "2000").unwrap();
        let (_, size) = log(&configs);
        // Segments of 3, 3, 3 and 1 batches.
        for (kept, start) in [(0, 10), (1, 9), (2, 6), (4, 6), (5, 3), (7, 3), (8, 0)] {
            let bytes = kept * size;
            configs.set("retention.bytes", &bytes.to_string()).unwrap();
            let (mut log, _) = log(&configs);
            log.retain(10_000, &configs);
            assert_eq!((log.start(), log.end()), (start, 10), "{kept}");
        }
    }

    #[test]
    fn records_without_a_time_are_as_old_as_the_last_that_came_with_them() {
        let mut configs = TopicConfigs::default();
        configs.set("retention.ms", "3000").unwrap();
        let mut log = Log::default();
        for wall in [1_000, 2_000] {
            let batch = NewBatch::check(crate::api::test_batch(-1).as_ref().into()).unwrap();
            log.append(batch, 0, wall, &configs).unwrap();
        }
        assert!(!log.retain(5_000, &configs));
        assert!(log.retain(5_001, &configs));
    }
}
