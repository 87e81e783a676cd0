//! Consumer groups: members, generations, assignments and committed offsets. The classic protocol's phases:
//!
//! ```text
//!            first join             all joined               leader synced
//!   Empty ───────────────▶ Preparing ───────────▶ Completing ─────────────▶ Stable
//!     ▲                     │  ▲  ▲                   │                       │
//!     └── the last one left ┘  │  └───────────────────┘   join, leave, expiry │
//!                              └──────────────────────────────────────────────┘
//! ```

mod answer;
mod classic;
mod group;
mod join;
mod leave;
mod offsets;
mod sync;

use std::collections::BTreeMap;

pub(crate) use answer::{GroupAnswer, JoinAnswer};
pub(crate) use classic::Phase;
pub(crate) use group::Group;
pub(crate) use join::Join;
pub(crate) use offsets::Committed;
pub(crate) use sync::Sync;

use crate::wire::{ErrorCode, Name};

/// More than any test or development needs.
const MOST_GROUPS: usize = 100_000;

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_name: BTreeMap<Name, Group>,
}

impl Groups {
    pub(crate) fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.by_name.get_mut(name)
    }

    /// The group, made if it is not there.
    pub(super) fn make(&mut self, name: &Name) -> &mut Group {
        self.by_name.entry(name.clone()).or_default()
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Group)> {
        self.by_name.iter()
    }

    /// Whether the group is there, or there may be one more.
    pub(crate) fn has_room(&self, name: &str) -> bool {
        self.by_name.len() < MOST_GROUPS || self.by_name.contains_key(name)
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Deletes a group that has no members.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), ErrorCode> {
        let group = self.get(name).ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
        if !group.is_empty() {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        self.remove(name);
        Ok(())
    }

    /// A deleted topic's offsets go with it.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            group.offsets.forget_topic(topic);
        }
    }
}
