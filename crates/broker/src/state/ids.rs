//! What names a moment, a connection, a node and a listener.

use std::time::Duration;

/// A moment: how long the cluster has been up, and what its wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) up: Duration,
    /// Milliseconds since 1970.
    pub(crate) wall: i64,
}

/// One connection of one client, for as long as the cluster lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A broker's id.
pub(crate) type NodeId = i32;

/// A listener, by its place among those that each node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ListenerId(pub(crate) usize);

/// What somebody coordinates, which is a name of its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CoordinatorKind {
    Group,
    Transaction,
}
