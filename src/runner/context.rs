//! What a handler is told besides its record.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// One assignment of a partition; each handler of its records has a share of it.
#[derive(Debug)]
pub(super) struct Assignment {
    is_lost: watch::Sender<bool>,
}

impl Assignment {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            is_lost: watch::Sender::new(false),
        })
    }

    /// Tells handlers that what they do does not count any more.
    pub(super) fn lose(&self) {
        self.is_lost.send_replace(true);
    }
}

/// What a handler is told besides its record: which attempt it is, and whether its work still counts.
#[derive(Clone)]
pub struct Context {
    pub(super) assignment: Arc<Assignment>,
    pub(super) attempt: u32,
}

impl Context {
    /// Which attempt this is, from 1; attempts of before a restart or a rebalance do not count.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the record's partition is not this member's any more, or the runner's shutdown has passed its deadline:
    /// the record is not acknowledged whatever the handler returns, and may be another member's already.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.assignment.is_lost.borrow()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled) is so; for `select!` in a handler that can be cut short.
    pub async fn cancelled(&self) {
        let mut is_lost = self.assignment.is_lost.subscribe();
        // The sender lives as long as `self`.
        let _ = is_lost.wait_for(|is_lost| *is_lost).await;
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("attempt", &self.attempt)
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
