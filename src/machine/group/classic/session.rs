//! What a member knows of its session with the coordinator.

use std::sync::Arc;
use std::time::Instant;

use crate::machine::group::member::CallId;

/// The coordinator as it is known, and how long ago it has spoken.
#[derive(Debug)]
pub(super) struct MemberSession {
    pub(super) coordinator: Whereabouts,
    /// The heartbeat that is not answered yet.
    pub(super) pending: Option<Beat>,
    /// When the next one is due.
    pub(super) next: Instant,
    /// When the coordinator last knew the member, as far as it has said.
    pub(super) heard: Instant,
    /// Nothing was heard for a session: nothing is handed out until something is.
    pub(super) is_withheld: bool,
}

/// Whether it is known where the coordinator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Unknown,
    Sought,
    Known,
}

/// A heartbeat on its way, and as whom it was sent.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) call: CallId,
    pub(super) at: Instant,
    pub(super) generation: i32,
    pub(super) member_id: Arc<str>,
}

impl MemberSession {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            coordinator: Whereabouts::Unknown,
            pending: None,
            next: now,
            heard: now,
            is_withheld: false,
        }
    }

    pub(super) fn is_coordinator_known(&self) -> bool {
        self.coordinator == Whereabouts::Known
    }
}
