//! Detached batches back in their queue, or ended while they were away.

use std::sync::Arc;
use std::time::Instant;

use super::detached::Detached;
use super::{BatchQueue, Body, Ended, ProducerBatch};
use crate::error::Error;
use crate::machine::produce::batch::Place;
use crate::machine::produce::sequence::advance;

impl<T: Clone> BatchQueue<T> {
    /// Whether a batch is detached: nothing may be sent before it is back.
    #[inline]
    pub(super) fn is_any_detached(&self) -> bool {
        self.compressing.is_some() || !self.splitting.is_empty()
    }

    pub(super) fn detached(&self) -> impl Iterator<Item = &Detached<T>> {
        let splitting = self.splitting.iter().map(|(_, detached)| detached);
        splitting.chain(&self.compressing)
    }

    /// Ends those of the batches that are detached whose time is `over`; who has them gives their memory back.
    ///
    /// Returns the last place of theirs in the order of sequences.
    pub(super) fn end_detached(
        &mut self,
        over: impl Fn(Instant) -> bool,
        ended: &mut Vec<Ended<T>>,
        error: impl Fn(Option<Arc<Error>>) -> Error,
    ) -> Option<Place> {
        let splitting = self
            .splitting
            .extract_if(.., |(_, detached)| over(detached.opened));
        let splitting = splitting.map(|(_, detached)| detached);
        let compressing = self.compressing.take_if(|detached| over(detached.opened));
        let mut gap = None;
        for detached in splitting.chain(compressing) {
            gap = gap.max(
                detached
                    .stamp
                    .map(|stamp| (stamp.serial, detached.share.first)),
            );
            ended.push(detached.end(&error));
        }
        gap
    }

    /// Whether a batch that is detached being compressed is still expected back.
    pub(crate) fn is_compressing(&self, batch: &ProducerBatch<T>) -> bool {
        let detached = self.compressing.as_ref();
        detached.is_some_and(|detached| detached.compressing == batch.compressing)
    }

    /// Takes a compressed batch back; it goes behind those that wait to be sent again.
    ///
    /// The batch itself when it was ended meanwhile: only its memory is left to give back.
    #[must_use = "a batch that is given back has memory to give back"]
    pub(crate) fn compressed(&mut self, batch: ProducerBatch<T>) -> Option<ProducerBatch<T>> {
        if !self.is_compressing(&batch) {
            return Some(batch);
        }
        self.compressing = None;
        // A part of a batch that was split has its place before those that follow in sequence.
        self.put_back(batch);
        self.check();
        None
    }

    /// Takes the parts of the batch of that flight, in order.
    ///
    /// # Errors
    /// The parts, when the batch was ended meanwhile: only their memory is left to give back.
    pub(crate) fn parts(
        &mut self,
        flight: u64,
        parts: Vec<ProducerBatch<T>>,
    ) -> Result<(), Vec<ProducerBatch<T>>> {
        let Some(whole) = self.back_from_split(flight) else {
            return Err(parts);
        };
        self.close_hole(&whole, &parts);
        let compressed = self.limits.compressed;
        for mut part in parts.into_iter().rev() {
            if compressed && let Body::Unsealed(closed) = part.body {
                part.body = Body::Raw(closed);
            }
            self.put_back(part);
        }
        self.check();
        Ok(())
    }

    /// Gives a batch up that is not to be split; tells whether it has yet to be failed.
    #[must_use = "who splits a batch has its records to fail, or its memory to give back"]
    pub(crate) fn not_split(&mut self, flight: u64) -> bool {
        let whole = self.back_from_split(flight);
        if let Some(whole) = &whole {
            self.close_hole(whole, &[]);
            self.check();
        }
        whole.is_some()
    }

    /// Sees to the sequences of records that were left out of a batch's parts: they are given out again when they are
    /// the newest and certainly not in the log; else they leave a gap behind the parts.
    fn close_hole(&mut self, whole: &Detached<T>, parts: &[ProducerBatch<T>]) {
        let Some(stamp) = whole.stamp else { return };
        let kept = parts.iter().map(|part| part.share.count).sum();
        if kept == whole.share.count {
            return;
        }
        if !whole.knowledge.may_be_written() && self.sequences.is_newest(&stamp, whole.share.count)
        {
            let from = advance(stamp.base_sequence, kept);
            self.sequences.take_back(from);
        } else {
            let end = whole.share.first + whole.share.count;
            self.sequences.lose((stamp.serial, end));
        }
    }

    fn back_from_split(&mut self, flight: u64) -> Option<Detached<T>> {
        let at = self.splitting.iter().position(|(own, _)| *own == flight)?;
        Some(self.splitting.swap_remove(at).1)
    }
}
