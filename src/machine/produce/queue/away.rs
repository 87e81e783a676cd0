//! Batches that are away from their queue: with whoever compresses or splits them, and expected back.

use std::sync::Arc;

use super::{Batch, Body, Ended, Queue, Stamp, Ticket};
use crate::error::Error;
use crate::machine::produce::sequence::advance;

/// What the queue keeps of a batch that is away, so that it still counts as unresolved.
pub(super) struct Away<T> {
    pub(super) ticket: Ticket<T>,
    pub(super) stamp: Option<Stamp>,
    unknown: bool,
    attempts: u32,
}

impl<T: Clone> Away<T> {
    /// Of a batch that was sent so many times.
    pub(super) fn of(batch: &Batch<T>, attempts: u32) -> Self {
        Self {
            ticket: batch.ticket.clone(),
            stamp: batch.stamp,
            unknown: batch.unknown,
            attempts,
        }
    }

    /// Who has the batch gives its memory back.
    fn end(self, error: Arc<Error>) -> Ended<T> {
        Ended {
            ticket: self.ticket,
            error,
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

    /// Ends the batches that are away; who has them gives their memory back.
    pub(super) fn end_away(&mut self, error: &Error, ended: &mut Vec<Ended<T>>) {
        let splitting = self.splitting.drain(..).map(|(_, away)| away);
        let all = splitting.chain(self.packing.take());
        ended.extend(all.map(|away| away.end(Arc::new(error.clone()))));
    }

    /// Takes a compressed batch back; it goes behind those that wait to be sent again.
    ///
    /// The batch itself when it was ended meanwhile: only its memory is left to give back.
    pub(crate) fn packed(&mut self, batch: Batch<T>) -> Option<Batch<T>> {
        if self.packing.take().is_none() {
            return Some(batch);
        }
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
