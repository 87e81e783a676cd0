//! What was fetched of a partition and is not handed out, and whether more may be.
//!
//! ```text
//!            the next offset is not in the log          damage
//!   Open ───────────────────────────▶ Draining ──────────────▶ Blocked
//!    │ ◀───────────────────────────── all is handed out           ▲
//!    └────────────────────────────────────────────── damage ──────┘     clear: Open
//! ```

use std::collections::VecDeque;

use crate::machine::fetch::completed_fetch::CompletedFetch;

/// Whether more may be fetched behind what is buffered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behind {
    #[default]
    Open,
    /// The log does not have what is next: what is buffered is handed out before that is asked for again.
    Draining,
    /// What was fetched last is damaged: it is told when its turn comes.
    Blocked,
}

#[derive(Debug, Default)]
pub(super) struct FetchBuffer {
    completed: VecDeque<CompletedFetch>,
    /// Of those, and of one that records are being taken of.
    bytes: usize,
    pub(super) behind: Behind,
}

impl FetchBuffer {
    pub(super) fn clear(&mut self) {
        self.completed.clear();
        self.bytes = 0;
        self.behind = Behind::Open;
    }

    pub(super) fn push(&mut self, mut completed: CompletedFetch, is_shelved: bool) {
        self.bytes += completed.size();
        if is_shelved {
            completed.shelve();
        }
        self.completed.push_back(completed);
    }

    pub(super) fn shelve(&mut self) {
        self.completed.iter_mut().for_each(CompletedFetch::shelve);
    }

    pub(super) fn take(&mut self) -> Option<CompletedFetch> {
        self.completed.pop_front()
    }

    pub(super) fn put_back(&mut self, mut completed: CompletedFetch, is_shelved: bool) {
        if is_shelved {
            completed.shelve();
        }
        self.completed.push_front(completed);
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.completed.is_empty()
    }

    /// Whether the bytes of all that is there are counted.
    pub(super) fn is_counted(&self) -> bool {
        let sizes = self.completed.iter().map(CompletedFetch::size);
        sizes.sum::<usize>() <= self.bytes
    }
}
