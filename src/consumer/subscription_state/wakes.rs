//! Who has something to do by a change of the consumer's state.
//!
//! Every change that somebody may wait for returns it; `ConsumerInner::wake` carries it out once the lock is released.

use std::sync::Arc;

use tokio::sync::Notify;

/// Who is to be woken.
#[must_use = "somebody waits for this change: ConsumerInner::wake wakes them"]
#[derive(Debug, Default)]
pub(in crate::consumer) struct Wakes {
    /// The application's call: there are records, an error, or the end.
    pub(in crate::consumer) caller: bool,
    /// The keeper of positions: something is to be looked up, or a fetch loop to be started.
    pub(in crate::consumer) keeper: bool,
    /// Who waits for the application to call, or to be gone.
    pub(in crate::consumer) called: bool,
    /// Who waits for positions.
    pub(in crate::consumer) positions: bool,
    /// Fetch loops.
    pub(in crate::consumer) fetchers: Vec<Arc<Notify>>,
}

impl Wakes {
    pub(in crate::consumer) fn caller() -> Self {
        Self {
            caller: true,
            ..Self::default()
        }
    }

    pub(in crate::consumer) fn keeper() -> Self {
        Self {
            keeper: true,
            ..Self::default()
        }
    }

    pub(in crate::consumer) fn positions() -> Self {
        Self {
            positions: true,
            ..Self::default()
        }
    }

    /// Both.
    pub(in crate::consumer) fn and(mut self, other: Self) -> Self {
        self.caller |= other.caller;
        self.keeper |= other.keeper;
        self.called |= other.called;
        self.positions |= other.positions;
        self.fetchers.extend(other.fetchers);
        self
    }
}
