//! Work on what has a coordinator, and the coordinators' coming and going.

use std::time::Duration;

use super::groups::Group;
use super::ids::{CoordinatorKind, NodeId};
use super::timers::Alarm;
use super::{Now, State};
use crate::wire::{ErrorCode, Name};

impl State {
    /// Works on a group that is there.
    pub(crate) fn in_group<T>(
        &mut self,
        name: &Name,
        work: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let result = work(group);
        self.settle_group(name);
        Some(result)
    }

    /// Works on a group, made if it is not there.
    pub(crate) fn in_any_group<T>(&mut self, name: &Name, work: impl FnOnce(&mut Group) -> T) -> T {
        let result = work(self.groups.make(name));
        self.settle_group(name);
        result
    }

    /// After every change: hands answers over, and sets the group's next deadline.
    fn settle_group(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        for (connection, answer) in group.classic_mut().take_answers() {
            if self.connections.has(connection) {
                self.waits.answer(connection, answer);
            }
        }
        self.timers
            .set(Alarm::Group(name.clone()), group.next_deadline());
        if group.is_blank() {
            self.groups.remove(name);
        }
    }

    /// Deletes a group that has no members.
    pub(crate) fn delete_group(&mut self, name: &Name) -> Result<(), ErrorCode> {
        self.groups.delete(name)?;
        self.timers.set(Alarm::Group(name.clone()), None);
        Ok(())
    }

    /// Gives what somebody coordinates to another live node.
    pub(crate) fn move_coordinator(
        &mut self,
        kind: CoordinatorKind,
        name: &str,
        to: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        if !self.nodes.is_alive(to) {
            return Err(ErrorCode::BROKER_NOT_AVAILABLE);
        }
        self.change_coordinators(now.up, |state| {
            state.nodes.move_coordinator(kind, name.into(), to);
        });
        Ok(())
    }

    /// Changes which nodes coordinate what: who waits for the old coordinator of a group is told to find the new one.
    pub(super) fn change_coordinators(&mut self, now: Duration, change: impl FnOnce(&mut Self)) {
        let coordinator =
            |state: &Self, name: &str| state.nodes.coordinator(CoordinatorKind::Group, name);
        let groups = self.groups.iter();
        let before: Vec<(Name, Option<NodeId>)> = groups
            .map(|(name, _)| (name.clone(), coordinator(self, name)))
            .collect();
        change(self);
        for (name, old) in before {
            if coordinator(self, &name) != old {
                self.in_group(&name, |group| group.resign(now));
            }
        }
    }
}
