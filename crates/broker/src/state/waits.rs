//! Requests that wait: which connection is to look again once which partition or group has changed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::ConnectionId;
use crate::wire::Name;

/// Waiting is by connection: each has one request at a time. Being woken for nothing does no harm.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    by_partition: HashMap<(Name, i32), HashSet<ConnectionId>>,
    by_connection: HashMap<ConnectionId, Vec<(Name, i32)>>,
    woken: BTreeSet<ConnectionId>,
}

impl Waits {
    /// `connection` looks again when this partition has new records, another leader, or is gone.
    pub(crate) fn wait(&mut self, connection: ConnectionId, topic: &Name, partition: i32) {
        let at = (topic.clone(), partition);
        if self
            .by_partition
            .entry(at.clone())
            .or_default()
            .insert(connection)
        {
            self.by_connection.entry(connection).or_default().push(at);
        }
    }

    /// The connection's request waits no longer.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        for at in self.by_connection.remove(&connection).unwrap_or_default() {
            if let Some(waiting) = self.by_partition.get_mut(&at) {
                waiting.remove(&connection);
                if waiting.is_empty() {
                    self.by_partition.remove(&at);
                }
            }
        }
    }

    pub(crate) fn changed(&mut self, topic: &str, partition: i32) {
        if self.by_partition.is_empty() {
            return;
        }
        if let Some(waiting) = self.by_partition.get(&(Name::from(topic), partition)) {
            self.woken.extend(waiting);
        }
    }

    pub(crate) fn wake(&mut self, connection: ConnectionId) {
        self.woken.insert(connection);
    }

    /// Who is to look again; whoever calls this wakes them.
    pub(crate) fn take_woken(&mut self) -> BTreeSet<ConnectionId> {
        std::mem::take(&mut self.woken)
    }
}
