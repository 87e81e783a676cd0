//! What one answer brought of one partition: batches that become records as they are handed out.

use std::sync::Arc;

use bytes::Bytes;

use super::aborted::Aborted;
use crate::batch::{
    Batch, Batches, Opened, Records, Slot, Spares, TimestampType, Unpacking, Unreadable,
    control_type,
};
use crate::types::{TopicId, TopicPartition};
use crate::wire::AbortedTransaction;

/// Records decoded at a time: more take memory, fewer take time.
const STEP: usize = 512;
/// An answer so many times larger than what is left of a partition's part is not kept for that.
const MUCH: usize = 4;
/// Decompressed records that are not kept while nothing of them is taken.
const LARGE: usize = 1 << 20;

/// The bytes in which a batch's records are places, and what they have in common.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) partition: TopicPartition,
    /// Zero where the broker tells none.
    pub(crate) topic_id: TopicId,
    pub(crate) bytes: Bytes,
    /// -1 where the broker does not tell.
    pub(crate) leader_epoch: i32,
    pub(crate) timestamp_type: TimestampType,
}

/// How records are read.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) read_committed: bool,
    pub(crate) check_crcs: bool,
    /// The most that one record of a compressed batch may have; batches may have more.
    pub(crate) limit: usize,
    pub(crate) spares: Spares,
}

/// What [`Chunk::step`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextRecords {
    /// There are records to hand out.
    Records,
    /// There are no more.
    End,
}

/// Why records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: i64,
    /// Behind the damaged batch, where its header can be believed; else just behind `offset`.
    pub(crate) next_offset: i64,
    pub(crate) reason: Unreadable,
}

/// Fetched batches, the first of them in part decoded.
#[derive(Debug)]
pub(crate) struct CompletedFetch {
    partition: TopicPartition,
    topic_id: TopicId,
    /// All of them, those that are passed included.
    set: Bytes,
    batches: Batches,
    size: usize,
    /// Bytes that are kept in memory by keeping the set.
    frame: usize,
    aborted: Aborted,
    open: Option<Open>,
    slots: Vec<Slot>,
    at: usize,
    /// Nothing behind it is ever reached.
    damage: Option<Damage>,
    /// Everything before it was handed out, or is nothing that is handed out.
    position: i64,
    epoch: i32,
}

/// The batch that is being decoded.
#[derive(Debug)]
struct Open {
    block: Arc<Block>,
    /// Where the batch is in the set.
    at: usize,
    records: Option<Records>,
    /// What is still to be decompressed, where that is done in steps.
    more: Option<Box<Unpacking>>,
    /// Bytes that it has become; none when it shares those that were fetched.
    unpacked: usize,
    last_offset: i64,
    failed: Option<Unreadable>,
}

impl CompletedFetch {
    /// `position` is the first offset that is wanted: batches may start before it.
    pub(crate) fn new(
        partition: TopicPartition,
        position: i64,
        epoch: i32,
        records: Bytes,
        aborted: Vec<AbortedTransaction>,
    ) -> Self {
        Self {
            partition,
            topic_id: TopicId::ZERO,
            size: records.len(),
            frame: records.len(),
            batches: Batches::new(records.clone()),
            set: records,
            aborted: Aborted::new(aborted),
            open: None,
            slots: Vec::new(),
            at: 0,
            damage: None,
            position,
            epoch,
        }
    }

    /// It is of the topic with this id.
    pub(crate) fn of_topic(mut self, id: TopicId) -> Self {
        self.topic_id = id;
        self
    }

    /// It is a part of an answer of so many bytes.
    pub(crate) fn of_frame(mut self, bytes: usize) -> Self {
        self.frame = self.frame.max(bytes);
        self
    }

    /// It may be long before more of it is taken: lets go of an answer that is much larger, and of a large batch's
    /// decompressed records, to be read again.
    pub(crate) fn shelve(&mut self) {
        let read = self.set.len() - self.batches.left();
        let mut left = self
            .set
            .slice(self.open.as_ref().map_or(read, |open| open.at)..);
        let is_small = left.len() < self.frame / MUCH;
        if is_small {
            left = Bytes::copy_from_slice(&left);
            self.frame = left.len();
        } else if self.unpacked() < LARGE {
            return;
        }
        self.batches = Batches::new(left.clone());
        self.set = left;
        self.open = None;
        self.slots = Vec::new();
        self.at = 0;
    }

    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Bytes as fetched.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes that the batch which is being handed out has become, beyond those fetched: its records, if it is compressed.
    pub(crate) fn unpacked(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.unpacked)
    }

    /// The offset behind all that was taken and passed over, with the leader epoch of what is before it.
    pub(crate) fn position(&self) -> (i64, i32) {
        (self.position, self.epoch)
    }

    /// Decodes until there are records to take, or nothing is left.
    ///
    /// # Errors
    /// The damage, once everything before it was taken; the same again each time.
    pub(crate) fn step(&mut self, filter: &Filter) -> Result<NextRecords, Damage> {
        if self.at < self.slots.len() {
            return Ok(NextRecords::Records);
        }
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let step = self.advance(filter);
        self.damage = step.as_ref().err().cloned();
        step
    }

    /// Whether all that `step` has found was taken.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.at >= self.slots.len()
    }

    /// Passes over what nobody is handed right behind what was taken: markers, and batches of aborted transactions.
    pub(crate) fn pass_unseen(&mut self, filter: &Filter) {
        if !self.is_drained() || self.damage.is_some() {
            return;
        }
        match self.decode() {
            Ok(false) => {}
            Ok(true) => return,
            Err(damage) => {
                self.damage = Some(damage);
                return;
            }
        }
        while self.batches.left() > 0 {
            let before = self.batches.clone();
            let at = self.set.len() - before.left();
            let is_passed = match self.batches.next() {
                Some(Ok(batch)) => {
                    self.is_unseen(&batch, filter) && self.enter(&batch, at, filter).is_ok()
                }
                Some(Err(_)) | None => false,
            };
            if !is_passed {
                // To be handed out, or told as damaged, when its turn comes.
                self.batches = before;
                return;
            }
        }
    }

    fn is_unseen(&mut self, batch: &Batch, filter: &Filter) -> bool {
        let header = batch.header();
        header.is_control() || filter.read_committed && self.aborted.leaves_out(header)
    }

    fn advance(&mut self, filter: &Filter) -> Result<NextRecords, Damage> {
        loop {
            if self.decode()? {
                return Ok(NextRecords::Records);
            }
            let at = self.set.len() - self.batches.left();
            let Some(batch) = self.batches.next() else {
                return Ok(NextRecords::End);
            };
            let batch = batch.map_err(|reason| self.damage(reason.into()))?;
            self.enter(&batch, at, filter)?;
        }
    }

    /// The next record that `step` has found, and the bytes it is a place in.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<(&Arc<Block>, Slot)> {
        let slot = *self.slots.get(self.at)?;
        let open = self.open.as_ref()?;
        self.at += 1;
        self.position = slot.offset + 1;
        self.epoch = open.block.leader_epoch;
        Some((&open.block, slot))
    }

    /// Appends up to `most` of the records that `step` has found; returns the bytes they are places in.
    pub(crate) fn take_many(&mut self, most: usize, into: &mut Vec<Slot>) -> Option<Arc<Block>> {
        let end = self.slots.len().min(self.at.saturating_add(most));
        let taken = self.slots.get(self.at..end)?;
        let last = taken.last()?;
        let block = self.open.as_ref()?.block.clone();
        self.position = last.offset + 1;
        self.epoch = block.leader_epoch;
        into.extend_from_slice(taken);
        self.at = end;
        Some(block)
    }

    /// Decodes the next records of the open batch; `false` when it has no more.
    fn decode(&mut self) -> Result<bool, Damage> {
        self.slots.clear();
        self.at = 0;
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        loop {
            if let Some(records) = &mut open.records {
                while self.slots.len() < STEP {
                    match records.next_slot() {
                        Some(Ok(slot)) if slot.offset < self.position => {}
                        Some(Ok(slot)) => self.slots.push(slot),
                        Some(Err(reason)) => {
                            open.failed = Some(reason.into());
                            break;
                        }
                        None => break,
                    }
                }
            }
            if !self.slots.is_empty() {
                return Ok(true);
            }
            // What was decoded before the damage has been handed out first.
            if let Some(reason) = open.failed.take() {
                return Err(unreadable(reason, self.position, open.last_offset));
            }
            if !open.go_on(self.position) {
                break;
            }
        }
        // Compaction may have removed the batch's last records: it covers their offsets all the same.
        self.position = self.position.max(open.last_offset + 1);
        self.epoch = open.block.leader_epoch;
        self.open = None;
        Ok(false)
    }

    /// Opens a batch, or passes over it.
    fn enter(&mut self, batch: &Batch, at: usize, filter: &Filter) -> Result<(), Damage> {
        let header = *batch.header();
        let last_offset = header.last_offset();
        let is_passed = last_offset < self.position;
        let damaged = |reason| Damage {
            offset: self.position.max(header.base_offset),
            next_offset: last_offset + 1,
            reason,
        };
        if filter.check_crcs && !is_passed {
            batch
                .verify_crc()
                .map_err(|reason| damaged(reason.into()))?;
        }
        if header.is_control() {
            if filter.read_committed {
                let marker = batch
                    .records(filter.limit)
                    .and_then(|mut records| match records.next_ref() {
                        Some(record) => control_type(record?.key).map(Some),
                        None => Ok(None),
                    })
                    .map_err(|reason| damaged(reason.into()))?;
                if let Some(marker) = marker {
                    self.aborted.control(&header, marker);
                }
            }
        } else if !(filter.read_committed && self.aborted.leaves_out(&header) || is_passed) {
            let opened = batch
                .open(filter.limit, &filter.spares)
                .map_err(|reason| damaged(reason.into()))?;
            let (records, more) = match opened {
                Opened::Whole(records) => (Some(records), None),
                Opened::InSteps(more) => (None, Some(more)),
            };
            let bytes = records.as_ref().map(|records| records.bytes().clone());
            let bytes = bytes.unwrap_or_default();
            self.open = Some(Open {
                at,
                unpacked: if header.is_compressed() {
                    bytes.len()
                } else {
                    0
                },
                block: Arc::new(Block {
                    partition: self.partition.clone(),
                    topic_id: self.topic_id,
                    bytes,
                    leader_epoch: header.leader_epoch,
                    timestamp_type: header.timestamp_type(),
                }),
                records,
                more,
                last_offset,
                failed: None,
            });
            return Ok(());
        }
        if !is_passed {
            self.position = last_offset + 1;
            self.epoch = header.leader_epoch;
        }
        Ok(())
    }

    fn damage(&self, reason: Unreadable) -> Damage {
        Damage {
            offset: self.position,
            next_offset: self.position + 1,
            reason,
        }
    }
}

impl Open {
    /// Decompresses the next records; `false` when there are no more. None before `position` are wanted.
    fn go_on(&mut self, position: i64) -> bool {
        let Some(next) = self.more.as_mut().and_then(|more| more.next(position)) else {
            return false;
        };
        match next {
            Ok(records) => {
                self.unpacked = records.bytes().len();
                self.block = Arc::new(Block {
                    partition: self.block.partition.clone(),
                    topic_id: self.block.topic_id,
                    bytes: records.bytes().clone(),
                    leader_epoch: self.block.leader_epoch,
                    timestamp_type: self.block.timestamp_type,
                });
                self.records = Some(records);
            }
            Err(reason) => {
                self.records = None;
                self.failed = Some(reason);
            }
        }
        true
    }
}

/// Of one record that is too large, only that one is to be skipped.
fn unreadable(reason: Unreadable, position: i64, last_offset: i64) -> Damage {
    let record = match reason {
        Unreadable::TooLarge { offset, .. } => offset,
        Unreadable::Malformed(_) => None,
    };
    Damage {
        offset: record.unwrap_or(position).max(position),
        next_offset: record.unwrap_or(last_offset).min(last_offset) + 1,
        reason,
    }
}
