//! Batches that are away from their queue: with whoever compresses or splits them, and expected back.

use std::sync::Arc;
use std::time::Instant;

use super::{Batch, Body, Ended, Queue, Stamp, Ticket};
use crate::error::Error;
use crate::machine::produce::batch::Place;
use crate::machine::produce::sequence::advance;

/// What the queue keeps of a batch that is away, so that it still counts as unresolved.
pub(super) struct Away<T> {
    pub(super) ticket: Ticket<T>,
    pub(super) stamp: Option<Stamp>,
    pub(super) opened: Instant,
    unknown: bool,
    attempts: u32,
    last_error: Option<Arc<Error>>,
    /// As [`Batch::packing`].
    packing: u64,
}

impl<T: Clone> Away<T> {
    /// Of a batch that was sent so many times.
    pub(super) fn of(batch: &Batch<T>, attempts: u32) -> Self {
        Self {
            ticket: batch.ticket.clone(),
            stamp: batch.stamp,
            opened: batch.opened,
            unknown: batch.unknown,
            attempts,
            last_error: batch.last_error.clone(),
            packing: batch.packing,
        }
    }

    /// Who has the batch gives its memory back.
    fn end(self, error: impl Fn(Option<Arc<Error>>) -> Error) -> Ended<T> {
        Ended {
            ticket: self.ticket,
            error: Arc::new(error(self.last_error)),
            possibly_written: self.unknown,
            attempts: self.attempts,
            charged: 0,
            flying: false,
        }
    }
}

impl<T: Clone> Queue<T> {
    /// Whether a batch is away: nothing may be sent before it is back.
    #[inline]
    pub(super) fn is_any_away(&self) -> bool {
        self.packing.is_some() || !self.splitting.is_empty()
    }

    pub(super) fn away(&self) -> impl Iterator<Item = &Away<T>> {
        let splitting = self.splitting.iter().map(|(_, away)| away);
        splitting.chain(&self.packing)
    }

    /// Ends those of the batches that are away whose time is `over`; who has them gives their memory back.
    ///
    /// Returns the last place of theirs in the order of sequences.
    pub(super) fn end_away(
        &mut self,
        over: impl Fn(Instant) -> bool,
        ended: &mut Vec<Ended<T>>,
        error: impl Fn(Option<Arc<Error>>) -> Error,
    ) -> Option<Place> {
        let splitting = self.splitting.extract_if(.., |(_, away)| over(away.opened));
        let splitting = splitting.map(|(_, away)| away);
        let packing = self.packing.take_if(|away| over(away.opened));
        let mut gap = None;
        for away in splitting.chain(packing) {
            gap = gap.max(away.stamp.map(|stamp| (stamp.serial, away.ticket.first)));
            ended.push(away.end(&error));
        }
        gap
    }

    /// Whether a batch that is away being compressed is still expected back.
    pub(crate) fn is_packing(&self, batch: &Batch<T>) -> bool {
        let away = self.packing.as_ref();
        away.is_some_and(|away| away.packing == batch.packing)
    }

    /// Takes a compressed batch back; it goes behind those that wait to be sent again.
    ///
    /// The batch itself when it was ended meanwhile: only its memory is left to give back.
    pub(crate) fn packed(&mut self, batch: Batch<T>) -> Option<Batch<T>> {
        if !self.is_packing(&batch) {
            return Some(batch);
        }
        self.packing = None;
        // A part of a batch that was split has its place before those that follow in sequence.
        self.put_back(batch);
        None
    }

    /// Takes the parts of the batch of that flight, in order.
    ///
    /// # Errors
    /// The parts, when the batch was ended meanwhile: only their memory is left to give back.
    pub(crate) fn parts(&mut self, flight: u64, parts: Vec<Batch<T>>) -> Result<(), Vec<Batch<T>>> {
        let Some(whole) = self.back_from_split(flight) else {
            return Err(parts);
        };
        self.close_hole(&whole, &parts);
        let compressed = self.limits.compressed;
        for mut part in parts.into_iter().rev() {
            if compressed && let Body::Packed(closed) = part.body {
                part.body = Body::Raw(closed);
            }
            self.put_back(part);
        }
        Ok(())
    }

    /// Gives a batch up that is not to be split; tells whether it has yet to be failed.
    pub(crate) fn not_split(&mut self, flight: u64) -> bool {
        let whole = self.back_from_split(flight);
        if let Some(whole) = &whole {
            self.close_hole(whole, &[]);
        }
        whole.is_some()
    }

    /// Sees to the sequences of records that were left out of a batch's parts: they are given out again when they are
    /// the newest and certainly not in the log; else they leave a gap behind the parts.
    fn close_hole(&mut self, whole: &Away<T>, parts: &[Batch<T>]) {
        let Some(stamp) = whole.stamp else { return };
        let kept = parts.iter().map(|part| part.ticket.count).sum();
        if kept == whole.ticket.count {
            return;
        }
        if !whole.unknown && self.is_newest(&stamp, whole.ticket.count) {
            self.next_sequence = advance(stamp.base_sequence, kept);
        } else {
            self.note_gap((stamp.serial, whole.ticket.first + whole.ticket.count));
        }
    }

    fn back_from_split(&mut self, flight: u64) -> Option<Away<T>> {
        let at = self.splitting.iter().position(|(own, _)| *own == flight)?;
        Some(self.splitting.swap_remove(at).1)
    }
}
