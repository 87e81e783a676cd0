//! Consumer groups of the classic protocol: members, generations, assignments and committed offsets.
//!
//! ```text
//!            first join             all joined               leader synced
//!   Empty ───────────────▶ Preparing ───────────▶ Completing ─────────────▶ Stable
//!     ▲                     │  ▲  ▲                   │                       │
//!     └── the last one left ┘  │  └───────────────────┘   join, leave, expiry │
//!                              └──────────────────────────────────────────────┘
//! ```

mod group;
mod join;
mod leave;
mod offsets;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

pub(crate) use group::{Group, Phase};
pub(crate) use join::{Join, JoinAnswer};
pub(crate) use offsets::Committed;
pub(crate) use sync::Sync;

use bytes::Bytes;

use super::{ConnectionId, NodeId, State};
use crate::wire::{ErrorCode, Name};

/// More than any test or development needs.
const MOST_GROUPS: usize = 100_000;

/// The answer to a request that had to wait for the other members.
#[derive(Clone, Debug)]
pub(crate) enum GroupAnswer {
    Join(JoinAnswer),
    Sync(Result<Bytes, ErrorCode>),
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_name: BTreeMap<Name, Group>,
    /// Each group that has one, under its next deadline.
    deadlines: BTreeSet<(Duration, Name)>,
    /// Answers that their connections have not taken up yet.
    answers: HashMap<ConnectionId, GroupAnswer>,
    /// Those that are there to take one up.
    connected: HashSet<ConnectionId>,
}

impl Groups {
    pub(crate) fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Group)> {
        self.by_name.iter()
    }

    /// Whether the group is there, or there may be one more.
    pub(crate) fn has_room(&self, name: &str) -> bool {
        self.by_name.len() < MOST_GROUPS || self.by_name.contains_key(name)
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        self.connected.insert(connection);
    }

    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        self.connected.remove(&connection);
        self.answers.remove(&connection);
    }

    pub(crate) fn take_answer(&mut self, connection: ConnectionId) -> Option<GroupAnswer> {
        self.answers.remove(&connection)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

impl State {
    /// Works on a group that is there.
    pub(crate) fn in_group<T>(
        &mut self,
        name: &Name,
        work: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        let group = self.groups.by_name.get_mut(name)?;
        let result = work(group);
        self.settle(name);
        Some(result)
    }

    /// Works on a group, made if it is not there.
    pub(crate) fn in_any_group<T>(&mut self, name: &Name, work: impl FnOnce(&mut Group) -> T) -> T {
        let group = self.groups.by_name.entry(name.clone()).or_default();
        let result = work(group);
        self.settle(name);
        result
    }

    /// Deletes a group that has no members.
    pub(crate) fn delete_group(&mut self, name: &Name) -> Result<(), ErrorCode> {
        let group = self.groups.get(name).ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
        if !group.is_empty() {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        self.groups.by_name.remove(name);
        Ok(())
    }

    /// A deleted topic's offsets go with it.
    pub(crate) fn forget_topic_offsets(&mut self, topic: &str) {
        for group in self.groups.by_name.values_mut() {
            group.forget_topic(topic);
        }
    }

    /// Changes which nodes coordinate what: who waits for the old coordinator of a group is told to find the new one.
    pub(crate) fn change_coordinators(&mut self, now: Duration, change: impl FnOnce(&mut Self)) {
        let coordinators = |state: &Self| -> Vec<(Name, Option<NodeId>)> {
            let names = state.groups.by_name.keys();
            names
                .map(|name| (name.clone(), state.coordinator(name)))
                .collect()
        };
        let before = coordinators(self);
        change(self);
        for (name, old) in before {
            if self.coordinator(&name) != old {
                self.in_group(&name, |group| group.resign(now));
            }
        }
    }

    pub(super) fn tick_groups(&mut self, now: Duration) {
        while let Some((deadline, name)) = self.groups.deadlines.first().cloned() {
            if deadline > now {
                return;
            }
            self.groups.deadlines.remove(&(deadline, name.clone()));
            self.in_group(&name, |group| group.tick(now));
        }
    }

    /// After every change: hands answers over, and sets the group's next deadline.
    fn settle(&mut self, name: &Name) {
        let Some(group) = self.groups.by_name.get_mut(name) else {
            return;
        };
        for (connection, answer) in group.take_answers() {
            if self.groups.connected.contains(&connection) {
                self.groups.answers.insert(connection, answer);
                self.waits.wake(connection);
            }
        }
        let next = group.next_deadline();
        let blank = group.is_blank();
        let before = std::mem::replace(&mut group.armed, next);
        if let Some(before) = before
            && Some(before) != next
        {
            self.groups.deadlines.remove(&(before, name.clone()));
        }
        if let Some(next) = next {
            self.groups.deadlines.insert((next, name.clone()));
        }
        if blank {
            self.groups.by_name.remove(name);
        }
    }
}
