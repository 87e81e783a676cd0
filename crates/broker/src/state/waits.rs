//! Requests that wait: for a change, upon which they look again, or for an answer, which is kept until they take it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::groups::GroupAnswer;
use super::ids::ConnectionId;
use crate::wire::Name;

/// What may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Awaited {
    /// A partition has new records, another leader, or is gone.
    Partition(Name, i32),
}

/// Waiting is by connection: each has one request at a time. Being woken for nothing does no harm.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waiting: HashMap<Awaited, HashSet<ConnectionId>>,
    by_connection: HashMap<ConnectionId, Vec<Awaited>>,
    /// Answers that their connections have not taken up yet.
    answers: HashMap<ConnectionId, GroupAnswer>,
    woken: BTreeSet<ConnectionId>,
}

impl Waits {
    /// `connection` looks again when this changes.
    pub(crate) fn wait(&mut self, connection: ConnectionId, what: Awaited) {
        let waiting = self.waiting.entry(what.clone()).or_default();
        if waiting.insert(connection) {
            self.by_connection.entry(connection).or_default().push(what);
        }
    }

    /// The connection's request waits no longer.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        for what in self.by_connection.remove(&connection).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&what) {
                waiting.remove(&connection);
                if waiting.is_empty() {
                    self.waiting.remove(&what);
                }
            }
        }
    }

    pub(crate) fn changed(&mut self, topic: &str, partition: i32) {
        if self.waiting.is_empty() {
            return;
        }
        let what = Awaited::Partition(topic.into(), partition);
        if let Some(waiting) = self.waiting.get(&what) {
            self.woken.extend(waiting);
        }
    }

    /// Keeps an answer, and wakes whom it is for.
    pub(crate) fn answer(&mut self, connection: ConnectionId, answer: GroupAnswer) {
        self.answers.insert(connection, answer);
        self.woken.insert(connection);
    }

    pub(crate) fn take_answer(&mut self, connection: ConnectionId) -> Option<GroupAnswer> {
        self.answers.remove(&connection)
    }

    /// The connection is no more.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        self.forget(connection);
        self.answers.remove(&connection);
    }

    /// Who is to look again; whoever calls this wakes them.
    pub(crate) fn take_woken(&mut self) -> BTreeSet<ConnectionId> {
        std::mem::take(&mut self.woken)
    }
}
