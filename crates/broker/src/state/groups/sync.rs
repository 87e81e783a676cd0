//! SyncGroup: the leader brings the assignment, everybody takes its part.

use std::time::Duration;

use bytes::Bytes;

use super::answer::GroupAnswer;
use super::classic::{Classic, Phase};
use crate::state::ids::ConnectionId;
use crate::wire::{ErrorCode, Name};

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) generation: i32,
    pub(crate) member_id: Name,
    pub(crate) instance: Option<Name>,
    pub(crate) protocol_type: Option<Name>,
    pub(crate) protocol: Option<Name>,
    pub(crate) assignments: Vec<(Name, Bytes)>,
}

impl Classic {
    /// The member's assignment, or `None` if it comes with the leader's SyncGroup.
    pub(crate) fn sync(
        &mut self,
        sync: Sync,
        connection: ConnectionId,
        now: Duration,
    ) -> Option<Result<Bytes, ErrorCode>> {
        if let Err(code) = self.check_sync(&sync) {
            return Some(Err(code));
        }
        let id = sync.member_id;
        self.heard_of(&id, now);
        if self.phase == Phase::Stable {
            self.not_synced.remove(&id);
            self.all_synced();
            let assignment = self
                .members
                .get(&id)
                .map(|member| member.assignment.clone());
            return Some(assignment.ok_or(ErrorCode::UNKNOWN_MEMBER_ID));
        }
        self.not_synced.remove(&id);
        if let Some(member) = self.members.get_mut(&id)
            && let Some(before) = member.syncing.replace(connection)
        {
            // The client gave up that connection.
            let answer = GroupAnswer::Sync(Err(ErrorCode::REBALANCE_IN_PROGRESS));
            self.answer(before, answer);
        }
        if self.leader.as_ref() == Some(&id) {
            self.assign(sync.assignments, now);
        }
        None
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        self.check_member(&sync.member_id, sync.instance.as_deref())?;
        self.check_generation(sync.generation)?;
        let differs = |told: &Option<Name>, ours: &Option<Name>| told.is_some() && told != ours;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.phase {
            Phase::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Phase::Preparing => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    fn assign(&mut self, assignments: Vec<(Name, Bytes)>, now: Duration) {
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.phase = Phase::Stable;
        let mut answers = Vec::new();
        for member in self.members.values_mut() {
            if let Some(connection) = member.syncing.take() {
                member.expires = now + member.session_timeout;
                answers.push((connection, member.assignment.clone()));
            }
        }
        for (connection, assignment) in answers {
            self.answer(connection, GroupAnswer::Sync(Ok(assignment)));
        }
        self.all_synced();
    }

    fn all_synced(&mut self) {
        if self.not_synced.is_empty() {
            self.sync_until = None;
        }
    }
}
