//! What a request is judged by when faults are planned, and what becomes of it.

use std::time::Duration;

use crate::about::About;
use crate::forced::Forced;
use crate::state::NodeId;
use crate::wire::ApiKey;

/// What a fault is decided by.
pub(crate) struct Facts<'a> {
    pub(crate) api: ApiKey,
    pub(crate) node: NodeId,
    pub(crate) client_id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) about: &'a About,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Answered,
    Before,
    After,
    Cut,
}

/// All that goes wrong with one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Duration,
    /// In the order in which the faults were added.
    pub(crate) forced: Vec<Forced>,
    pub(crate) end: End,
}
