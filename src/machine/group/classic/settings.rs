//! What a member of a group is set to.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Assignor, Backoff};

/// What one member is set to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) group: Arc<str>,
    /// `group.instance.id` (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub(crate) rack: Option<Arc<str>>,
    /// The most wanted first; at least one.
    pub(crate) assignors: Vec<Assignor>,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub(crate) rebalance_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) backoff: Backoff,
}
