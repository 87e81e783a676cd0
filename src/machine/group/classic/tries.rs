//! When a member may try again what has failed.

use std::time::Instant;

use crate::config::Backoff;
use crate::machine::group::member::Turn;
use crate::types::after;

/// Failures in a row, and when the next try may go out.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failures: u32,
    /// Nothing is tried before.
    next: Option<Instant>,
}

impl Tries {
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn may_go(&mut self, now: Instant) -> bool {
        let may = self.next.is_none_or(|next| next <= now);
        if may {
            self.next = None;
        }
        may
    }

    /// The next failure is the first one again.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, backoff: Backoff, turn: &Turn) {
        self.failures = self.failures.saturating_add(1);
        let delay = backoff.delay(self.failures, turn.jitter);
        self.next = Some(after(turn.now, delay));
    }

    /// Lets the first try after a success go at once.
    pub(super) fn failed_anew(&mut self, backoff: Backoff, turn: &Turn) {
        if self.failures > 0 {
            self.failed(backoff, turn);
        } else {
            self.failures = 1;
        }
    }
}
