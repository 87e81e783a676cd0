//! Tries of a partition that failed: when the next is due, and what was told of them.

use std::time::{Duration, Instant};

use crate::error::ErrorCode;
use crate::types::after;

#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    pub(super) not_before: Option<Instant>,
    /// What the application was told last, and not again before something else happens.
    pub(super) told: Option<ErrorCode>,
}

impl Retry {
    /// A try succeeded, or another beginning is made.
    pub(super) fn over(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// A try failed; `delay` makes of the number of failures how long to wait.
    pub(super) fn failed(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(after(now, delay(self.failures)));
    }

    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|at| at > now)
    }
}
