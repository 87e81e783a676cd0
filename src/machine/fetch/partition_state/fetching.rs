//! What is asked of the broker, what is taken of its answers, and how that leaves the buffer again.

use std::time::Instant;

use super::buffer::Behind;
use super::{FetchState, PartitionState};
use crate::machine::fetch::completed_fetch::CompletedFetch;
use crate::machine::fetch::position::{FetchedPart, NOWHERE, Wanted};

impl PartitionState {
    /// Whether it can be fetched, apart from the room that it needs.
    pub(crate) fn is_fetchable(&self, now: Instant) -> bool {
        let is_held_up = match self.buffer.behind {
            Behind::Open => false,
            Behind::Draining => self.is_ahead(),
            Behind::Blocked => true,
        };
        let is_open = !is_held_up && !self.paused && !self.stopped;
        self.is_fetching() && is_open && !self.is_waiting(now)
    }

    /// Whether asking for it now would be asking the same again.
    pub(in crate::machine::fetch) fn is_asked_by(&self, wanted: &Wanted) -> bool {
        wanted.version == self.version
            && self.next().is_some_and(|next| next.offset == wanted.offset)
            && wanted.leader_epoch == self.lead.epoch
            && wanted.topic_id == self.topic_id
    }

    /// What to ask the broker for.
    pub(crate) fn wanted(&self, index: u32) -> Wanted {
        Wanted {
            index,
            version: self.version,
            partition: self.name.clone(),
            topic_id: self.topic_id,
            leader_epoch: self.lead.epoch,
            offset: self.next().map_or(NOWHERE.offset, |next| next.offset),
        }
    }

    /// Bytes fetched and not yet handed out.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.bytes()
    }

    /// Whether an answer to `wanted` is still of use.
    pub(crate) fn expects(&self, wanted: &Wanted) -> bool {
        let is_next = match self.state {
            FetchState::Fetching(next) => next.offset == wanted.offset,
            _ => false,
        };
        is_next && self.version == wanted.version && !self.stopped
    }

    /// Takes what was fetched, which is expected.
    pub(crate) fn answered(&mut self, answer: FetchedPart) {
        self.retry.over();
        self.retry.told = None;
        if answer.high_watermark >= 0 {
            self.high_watermark = answer.high_watermark;
        }
        if answer.last_stable_offset >= 0 {
            self.last_stable_offset = answer.last_stable_offset;
        }
        if answer.log_start_offset >= 0 {
            self.log_start_offset = answer.log_start_offset;
        }
        if answer.is_damaged {
            self.buffer.behind = Behind::Blocked;
        }
        if let (FetchState::Fetching(next), Some(behind)) = (&mut self.state, answer.next) {
            *next = behind;
        }
        if let Some(completed) = answer.completed {
            self.buffer.push(completed, self.paused);
        }
        self.check();
    }

    /// Hands out nothing, and keeps what is buffered; or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.buffer.shelve();
        }
    }

    /// Whether there is something to hand out now.
    pub(crate) fn has_some(&self) -> bool {
        !self.buffer.is_empty() && !self.paused && !self.stopped
    }

    /// The oldest completed fetch; its bytes stay counted until `release`.
    pub(crate) fn take_completed(&mut self) -> Option<CompletedFetch> {
        self.buffer.take()
    }

    /// Puts a completed fetch back that was not used up.
    pub(crate) fn return_completed(&mut self, completed: CompletedFetch) {
        self.buffer.put_back(completed, self.paused);
        self.check();
    }

    /// A completed fetch of so many bytes was used up.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.buffer.release(bytes);
        self.check();
    }
}
