//! One partition's records between being taken and being committed: which are finished, and up to where all are.
//!
//! ```text
//!   offsets  ... 40 | 41  42  43  44  45  46 | 47 ...
//!                   |  -   x   x   -   x   - |
//!     committed: 41 ^ the low-water mark     ^ the end: behind the last one taken
//! ```
//!
//! A record is known by its number, counted up with each that is taken: offsets have gaps, numbers do not. Where the
//! partition is read again from somewhere else, numbers go on, and what comes to an end of before counts no more.

use std::collections::VecDeque;
use std::time::Instant;

use super::Finished;
use crate::types::{OffsetAndMetadata, TopicId};

/// What records that are taken together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) topic_id: TopicId,
    pub(crate) leader_epoch: i32,
    /// Raised each time that the partition is read from another place.
    pub(crate) version: u64,
    /// Tells the memory that they are in from all other that is in use.
    pub(crate) block: usize,
    /// The size of that.
    pub(crate) bytes: usize,
}

/// Bytes of memory that are in use from now on, and that are not any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) used: usize,
    pub(crate) freed: usize,
}

/// Records that lie in the same memory.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    records: u64,
    unfinished: u64,
    block: usize,
    bytes: usize,
    leader_epoch: i32,
    since: Instant,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + self.records
    }
}

/// What can be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AckProgress {
    pub(crate) offset: OffsetAndMetadata,
    pub(crate) topic_id: TopicId,
    /// All that was taken is finished.
    pub(crate) is_all: bool,
}

/// A partition's records that were taken and are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct PartitionAcks {
    topic_id: TopicId,
    version: u64,
    /// Each record's offset, doubled, and one more when it is finished.
    window: VecDeque<i64>,
    /// The number of the window's first.
    first: u64,
    runs: VecDeque<Run>,
    /// Behind the last record that was taken.
    end: Option<i64>,
    /// Of the record before the window.
    leader_epoch: Option<i32>,
    /// Finished by whoever had the partition before, behind what was taken.
    before: Finished,
    /// As committed last.
    committed: Option<OffsetAndMetadata>,
}

impl PartitionAcks {
    /// What is committed before anything is taken.
    pub(crate) fn begin(&mut self, committed: &OffsetAndMetadata) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(committed.offset);
        self.leader_epoch = committed.leader_epoch;
        let text = committed.metadata.as_deref();
        self.before = text
            .and_then(|text| Finished::decode(text, committed.offset))
            .unwrap_or_default();
        self.topic_id = self.before.topic_id;
        self.committed = Some(committed.clone());
    }

    /// The records that follow, from this offset on, are of this origin.
    pub(crate) fn set_origin(&mut self, origin: Origin, offset: i64, now: Instant) -> Memory {
        let mut memory = Memory::default();
        let is_other_topic = self.topic_id.is_other(origin.topic_id) && self.version > 0;
        let is_back = self.version != origin.version && self.end.is_some_and(|end| offset < end);
        if is_other_topic {
            memory.freed = self.restart();
        } else if is_back {
            memory.freed = self.cut(offset);
        }
        if self.version == 0 && self.before.topic_id != origin.topic_id {
            self.before = Finished::default();
        }
        self.topic_id = origin.topic_id;
        self.version = origin.version;
        let last = self.runs.back();
        let is_same = last.is_some_and(|run| run.block == origin.block && run.unfinished > 0);
        if is_same {
            return memory;
        }
        self.runs.push_back(Run {
            first: self.first + self.window.len() as u64,
            records: 0,
            unfinished: 0,
            block: origin.block,
            bytes: origin.bytes,
            leader_epoch: origin.leader_epoch,
            since: now,
        });
        memory.used = origin.bytes;
        memory
    }

    /// Takes a record of the origin that was told last; its number, or `None` when it was finished before.
    pub(crate) fn take(&mut self, offset: i64) -> Option<u64> {
        self.end = Some(offset + 1);
        let is_finished = !self.before.is_empty() && self.before.pass(offset);
        let number = self.first + self.window.len() as u64;
        self.window.push_back(offset << 1 | i64::from(is_finished));
        if let Some(run) = self.runs.back_mut() {
            run.records += 1;
            run.unfinished += u64::from(!is_finished);
        }
        (!is_finished).then_some(number)
    }

    /// Moves on over what was finished before, and gives back the bytes of memory of which nothing is in use.
    pub(crate) fn taken(&mut self) -> usize {
        // One of which all records were finished before.
        let unused = self.runs.back_mut().filter(|run| run.unfinished == 0);
        let freed = unused.map_or(0, |run| std::mem::take(&mut run.bytes));
        self.advance();
        freed
    }

    /// The record with this number is finished; the bytes of memory of which nothing is in use any more by that.
    pub(crate) fn finish(&mut self, number: u64) -> usize {
        let Some(place) = self.place(number) else {
            return 0;
        };
        let Some(entry) = self.window.get_mut(place).filter(|entry| **entry & 1 == 0) else {
            return 0;
        };
        *entry |= 1;
        let run = match self.runs.len() {
            1 => 0,
            _ => self.runs.partition_point(|run| run.end() <= number),
        };
        let mut freed = 0;
        if let Some(run) = self.runs.get_mut(run) {
            run.unfinished -= 1;
            if run.unfinished == 0 {
                freed = std::mem::take(&mut run.bytes);
            }
        }
        if place == 0 {
            self.advance();
        }
        freed
    }

    /// Where a record that counts is in the window.
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Whether the record with this number counts, and is not finished.
    pub(crate) fn counts(&self, number: u64) -> bool {
        let entry = self.place(number).and_then(|place| self.window.get(place));
        entry.is_some_and(|entry| entry & 1 == 0)
    }

    fn advance(&mut self) {
        while self.window.front().is_some_and(|entry| entry & 1 == 1) {
            self.window.pop_front();
            self.first += 1;
        }
        while let Some(run) = self.runs.front() {
            if run.first < self.first {
                self.leader_epoch = Some(run.leader_epoch).filter(|epoch| *epoch >= 0);
            }
            // The last one may have more records to come, while it is in use.
            if run.end() > self.first || self.runs.len() == 1 && run.bytes > 0 {
                break;
            }
            self.runs.pop_front();
        }
    }

    /// What was taken from this offset on counts no more, for it is read again; the bytes of memory that are not in use by
    /// that. What is unfinished before it is not read again, and stays.
    fn cut(&mut self, offset: i64) -> usize {
        let from = self.window.partition_point(|entry| entry >> 1 < offset);
        if from == 0 {
            return self.restart();
        }
        // The window's first is unfinished and stays, so that all others stay where they are.
        let freed = (from..self.window.len())
            .map(|place| self.finish(self.first + place as u64))
            .sum();
        for entry in self.window.range_mut(from..) {
            *entry = offset << 1 | 1;
        }
        self.end = Some(offset);
        self.before = Finished::default();
        self.committed = None;
        freed
    }

    /// What was taken counts no more; the bytes of memory that are not in use by that.
    fn restart(&mut self) -> usize {
        let freed = self.bytes();
        self.first += self.window.len() as u64;
        self.window.clear();
        self.runs.clear();
        self.end = None;
        self.leader_epoch = None;
        self.before = Finished::default();
        self.committed = None;
        freed
    }

    /// Bytes of memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Records from the oldest unfinished one on, finished ones among them.
    pub(crate) fn open(&self) -> usize {
        self.window.len()
    }

    /// The oldest unfinished record: its offset, and since when it has been taken.
    pub(crate) fn oldest(&self) -> Option<(i64, Instant)> {
        let offset = self.window.front()? >> 1;
        Some((offset, self.runs.front()?.since))
    }

    /// What can be committed, where that is not committed yet; its text has at most `limit` bytes.
    pub(crate) fn progress(&self, limit: usize) -> Option<AckProgress> {
        let low = self.low()?;
        let metadata = self.finished().encode(low, limit).map(Into::into);
        let offset = OffsetAndMetadata {
            offset: low,
            leader_epoch: self.leader_epoch,
            metadata,
        };
        Some(AckProgress {
            offset,
            topic_id: self.topic_id,
            is_all: self.window.is_empty(),
        })
    }

    /// Everything before this is finished.
    pub(crate) fn low(&self) -> Option<i64> {
        let oldest = self.window.front().map(|entry| entry >> 1);
        oldest.or(self.end)
    }

    /// What is finished above the low-water mark; gaps between offsets count with what is before them.
    fn finished(&self) -> Finished {
        let mut finished = Finished::of(self.topic_id);
        let mut entries = self.window.iter().peekable();
        while let Some(entry) = entries.next() {
            let from = entry >> 1;
            let to = match entries.peek() {
                Some(next) => *next >> 1,
                None => self.end.unwrap_or(from + 1),
            };
            // What was cut off has no offset of its own.
            if entry & 1 == 1 && from < to {
                finished.add(from, to);
            }
        }
        let end = self.end.unwrap_or_default();
        for (from, to) in self.before.ranges().filter(|(_, to)| *to > end) {
            finished.add(from.max(end), to);
        }
        finished
    }

    /// Whether this was committed last.
    pub(crate) fn is_committed(&self, offset: &OffsetAndMetadata) -> bool {
        let committed = self.committed.as_ref();
        committed.is_some_and(|committed| {
            committed.offset == offset.offset && committed.metadata == offset.metadata
        })
    }

    /// This is committed: it may be more than what was told, where nothing to hand out follows.
    pub(crate) fn committed(&mut self, topic_id: TopicId, offset: &OffsetAndMetadata) {
        if topic_id == self.topic_id {
            if self.window.is_empty() && self.end.is_some_and(|end| end < offset.offset) {
                self.end = Some(offset.offset);
                self.leader_epoch = offset.leader_epoch;
            }
            self.committed = Some(offset.clone());
        }
    }
}

#[cfg(test)]
mod tests;
