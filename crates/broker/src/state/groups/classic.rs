//! Membership by the classic protocol: members and phase, and what every change of them does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::answer::{GroupAnswer, JoinAnswer};
use crate::state::ids::ConnectionId;
use crate::wire::{ErrorCode, Name};

/// How long a member that joins for the first time may wait for the others, as in Kafka.
pub(super) const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

/// What a group is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Without members; it may have offsets.
    #[default]
    Empty,
    /// Waits for its members to join.
    Preparing,
    /// Waits for its leader's assignment.
    Completing,
    /// Every member knows its assignment, or can ask for it.
    Stable,
}

impl Phase {
    /// Kafka's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<Name>,
    pub(crate) client_id: Name,
    pub(crate) client_host: Name,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// By preference.
    pub(crate) protocols: Vec<(Name, Bytes)>,
    pub(crate) assignment: Bytes,
    /// Whose JoinGroup waits.
    pub(super) joining: Option<ConnectionId>,
    /// Whose SyncGroup waits.
    pub(super) syncing: Option<ConnectionId>,
    /// No generation had it yet.
    pub(super) is_new: bool,
    /// When it counts as dead unless it is heard of.
    pub(super) expires: Duration,
}

impl Member {
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| **name == *protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// Who waits for an answer lives.
    fn may_expire(&self) -> bool {
        (self.joining.is_none() && self.syncing.is_none()) || self.is_new
    }
}

/// Who is in a group.
#[derive(Debug, Default)]
pub(crate) struct Classic {
    pub(crate) phase: Phase,
    pub(crate) protocol_type: Option<Name>,
    pub(crate) protocol: Option<Name>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<Name>,
    pub(crate) members: BTreeMap<Name, Member>,
    pub(super) static_members: HashMap<Name, Name>,
    /// Ids that were given out and have not joined yet, with the end of their time.
    pub(super) pending: HashMap<Name, Duration>,
    /// Until when members may join.
    pub(super) join_until: Option<Duration>,
    /// Until when a new group waits for more members, whoever has joined.
    pub(super) delayed_until: Option<Duration>,
    /// Until when members may ask for their assignment, and who has not yet.
    pub(super) sync_until: Option<Duration>,
    pub(super) not_synced: HashSet<Name>,
    answers: Vec<(ConnectionId, GroupAnswer)>,
}

impl Classic {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether nobody was ever in it.
    pub(super) fn is_blank(&self) -> bool {
        self.generation == 0 && self.is_empty()
    }

    pub(super) fn answer(&mut self, connection: ConnectionId, answer: GroupAnswer) {
        self.answers.push((connection, answer));
    }

    pub(in crate::state) fn take_answers(&mut self) -> Vec<(ConnectionId, GroupAnswer)> {
        std::mem::take(&mut self.answers)
    }

    /// Whether the member is who it says: known, and not replaced by another of its instance id.
    pub(crate) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            let known = self
                .static_members
                .get(instance)
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if **known != *id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    pub(crate) fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.generation {
            Ok(())
        } else {
            Err(ErrorCode::ILLEGAL_GENERATION)
        }
    }

    /// Whether this member of this generation may commit; -1 and no member is a client outside of any group.
    pub(crate) fn check_commit(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if generation < 0 && id.is_empty() && instance.is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.check_member(id, instance)?;
        self.check_generation(generation)?;
        if self.phase == Phase::Completing {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// The same for offsets that a transaction commits, whose older form names no member.
    pub(crate) fn check_transactional_commit(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && id.is_empty() && instance.is_none() {
            return Ok(());
        }
        self.check_member(id, instance)?;
        self.check_generation(generation)
    }

    /// A sign of life.
    pub(crate) fn heard_of(&mut self, id: &str, now: Duration) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires = now + member.session_timeout;
        }
    }

    /// Heartbeat: the member lives; whether it is to join again.
    pub(crate) fn heartbeat(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        self.check_member(id, instance)?;
        self.check_generation(generation)?;
        self.heard_of(id, now);
        match self.phase {
            Phase::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Phase::Preparing => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    /// Everybody is to join again.
    pub(super) fn prepare(&mut self, now: Duration) {
        if self.phase == Phase::Completing {
            self.end_syncs(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.sync_until = None;
        self.not_synced.clear();
        self.phase = Phase::Preparing;
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        let longest = timeouts.max().unwrap_or_default();
        // Never at once, or a group that nobody comes back to would be prepared for ever.
        self.join_until = Some(now + longest.max(Duration::from_millis(1)));
    }

    /// Answers every waiting SyncGroup; the assignments of the last generation are no more.
    pub(super) fn end_syncs(&mut self, code: ErrorCode) {
        let mut ended = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            ended.extend(member.syncing.take());
        }
        for connection in ended {
            self.answer(connection, GroupAnswer::Sync(Err(code)));
        }
    }

    /// Takes a member out, and answers it if it waits.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = &member.instance {
            self.static_members.remove(instance);
        }
        self.not_synced.remove(id);
        self.end_requests(id, &member, ErrorCode::UNKNOWN_MEMBER_ID);
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    pub(super) fn end_requests(&mut self, id: &str, member: &Member, code: ErrorCode) {
        if let Some(connection) = member.joining {
            self.answer(connection, GroupAnswer::Join(JoinAnswer::error(code, id)));
        }
        if let Some(connection) = member.syncing {
            self.answer(connection, GroupAnswer::Sync(Err(code)));
        }
    }

    /// After a member went: the others share its partitions.
    pub(super) fn after_removal(&mut self, now: Duration) {
        match self.phase {
            Phase::Stable | Phase::Completing => {
                self.prepare(now);
                self.try_complete(now);
            }
            Phase::Preparing => self.try_complete(now),
            Phase::Empty => {}
        }
    }

    /// The coordinator moved: whoever waits here is to look for the new one, which gives everybody a session's time.
    pub(super) fn resign(&mut self, now: Duration) {
        let mut ended = Vec::new();
        for (id, member) in &mut self.members {
            member.expires = now + member.session_timeout;
            if let Some(connection) = member.joining.take() {
                let answer = JoinAnswer::error(ErrorCode::NOT_COORDINATOR, id);
                ended.push((connection, GroupAnswer::Join(answer)));
            }
            if let Some(connection) = member.syncing.take() {
                ended.push((
                    connection,
                    GroupAnswer::Sync(Err(ErrorCode::NOT_COORDINATOR)),
                ));
            }
        }
        self.answers.extend(ended);
    }

    /// Whether members read the topic, or may: those whose subscription cannot be read may read any.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        if self.protocol_type.as_deref() != Some("consumer") {
            return false;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut metadata = self
            .members
            .values()
            .map(|member| member.metadata(protocol));
        metadata
            .any(|metadata| names(metadata).is_none_or(|names| names.iter().any(|n| n == topic)))
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let members = self.members.values().filter(|member| member.may_expire());
        let times = members
            .map(|member| member.expires)
            .chain(self.pending.values().copied());
        let phases = [self.join_until, self.delayed_until, self.sync_until];
        times.chain(phases.into_iter().flatten()).min()
    }

    /// Does what time has come for.
    pub(super) fn tick(&mut self, now: Duration) {
        let before = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        let expired: Vec<Name> = self
            .members
            .iter()
            .filter(|(_, member)| member.may_expire() && member.expires <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &expired {
            self.remove(id);
        }
        if !expired.is_empty() || self.pending.len() != before {
            if expired.is_empty() {
                self.try_complete(now);
            } else {
                self.after_removal(now);
            }
        }
        if self.delayed_until.is_some_and(|until| until <= now) {
            self.delayed_until = None;
            self.try_complete(now);
        }
        if self.join_until.is_some_and(|until| until <= now) {
            self.complete_join(now);
        }
        if self.sync_until.is_some_and(|until| until <= now) {
            self.sync_until = None;
            for id in std::mem::take(&mut self.not_synced) {
                self.remove(&id);
            }
            self.after_removal(now);
        }
    }
}

/// The topics of a consumer's subscription: its version, then names.
fn names(mut metadata: Bytes) -> Option<Vec<String>> {
    metadata.try_get_i16().ok()?;
    let count = metadata.try_get_i32().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if len > metadata.len() {
            return None;
        }
        names.push(String::from_utf8(metadata.split_to(len).into()).ok()?);
    }
    Some(names)
}
