//! JoinGroup: new members, members that come again, and the end of a group's waiting for them.

use std::time::Duration;

use bytes::Bytes;

use super::answer::{GroupAnswer, JoinAnswer, Joined};
use super::classic::{Classic, Member, NEW_MEMBER_TIMEOUT, Phase};
use crate::state::ids::ConnectionId;
use crate::wire::{ErrorCode, Name};

/// More than any test or development needs.
const MOST_MEMBERS: usize = 10_000;
/// Far more than there are assignors.
const MOST_PROTOCOLS: usize = 100;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) member_id: Name,
    pub(crate) instance: Option<Name>,
    pub(crate) client_id: Name,
    pub(crate) client_host: Name,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: Name,
    pub(crate) protocols: Vec<(Name, Bytes)>,
    /// The client joins a second time with the id that it is given (KIP-394).
    pub(crate) knows_required_id: bool,
    /// The client can be a leader that leaves the assignment as it is (KIP-814).
    pub(crate) knows_skipped_assignment: bool,
}

impl Classic {
    /// The answer, or `None` if it comes when the others have joined.
    pub(crate) fn join(
        &mut self,
        join: Join,
        fresh_id: Name,
        connection: ConnectionId,
        now: Duration,
        initial_delay: Duration,
    ) -> Option<JoinAnswer> {
        let error = |code| Some(JoinAnswer::error(code, &join.member_id));
        if !self.suits(&join) {
            return error(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if join.member_id.is_empty() {
            if self.members.len() + self.pending.len() >= MOST_MEMBERS {
                return error(ErrorCode::GROUP_MAX_SIZE_REACHED);
            }
            return self.join_anew(join, fresh_id, connection, now, initial_delay);
        }
        if self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            self.add(id, join, connection, now, initial_delay);
            return None;
        }
        if let Err(code) = self.check_member(&join.member_id, join.instance.as_deref()) {
            return error(code);
        }
        self.join_again(join, connection, now)
    }

    fn join_anew(
        &mut self,
        join: Join,
        fresh_id: Name,
        connection: ConnectionId,
        now: Duration,
        initial_delay: Duration,
    ) -> Option<JoinAnswer> {
        let known = join.instance.as_ref();
        let known = known.and_then(|instance| self.static_members.get(instance).cloned());
        if let Some(old) = known {
            return self.replace(&old, fresh_id, join, connection, now);
        }
        if join.instance.is_none() && join.knows_required_id {
            let until = now + join.session_timeout;
            self.pending.insert(fresh_id.clone(), until);
            return Some(JoinAnswer::error(ErrorCode::MEMBER_ID_REQUIRED, &fresh_id));
        }
        self.add(fresh_id, join, connection, now, initial_delay);
        None
    }

    fn join_again(
        &mut self,
        join: Join,
        connection: ConnectionId,
        now: Duration,
    ) -> Option<JoinAnswer> {
        let id = join.member_id.clone();
        let same = self
            .members
            .get(&id)
            .is_some_and(|member| member.protocols == join.protocols);
        let leads = self.leader.as_ref() == Some(&id);
        match self.phase {
            Phase::Empty => return Some(JoinAnswer::error(ErrorCode::UNKNOWN_MEMBER_ID, &id)),
            // The answer got lost, most likely.
            Phase::Completing if same => return Some(self.current(&id)),
            Phase::Stable if same && !leads => {
                self.heard_of(&id, now);
                return Some(self.current(&id));
            }
            Phase::Preparing | Phase::Completing | Phase::Stable => {}
        }
        self.update(&id, join, connection);
        if self.phase != Phase::Preparing {
            self.prepare(now);
        }
        self.try_complete(now);
        None
    }

    /// Whether the protocols leave one that all members have.
    fn suits(&self, join: &Join) -> bool {
        let count = join.protocols.len();
        if count == 0 || count > MOST_PROTOCOLS || join.protocol_type.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        let has = |member: &Member, name: &Name| member.protocols.iter().any(|(n, _)| n == name);
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join
                .protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| has(member, name)))
    }

    fn add(
        &mut self,
        id: Name,
        join: Join,
        connection: ConnectionId,
        now: Duration,
        initial_delay: Duration,
    ) {
        if let Some(instance) = &join.instance {
            self.static_members.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        let member = Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: Some(connection),
            syncing: None,
            is_new: true,
            expires: now + NEW_MEMBER_TIMEOUT,
        };
        self.members.insert(id, member);
        let was_empty = self.phase == Phase::Empty;
        if self.phase != Phase::Preparing {
            self.prepare(now);
        }
        let delays = was_empty || self.delayed_until.is_some();
        if delays && !initial_delay.is_zero() {
            // Every newcomer makes the group wait a little more, within the rebalance timeout.
            let until = now + initial_delay;
            self.delayed_until = Some(self.join_until.map_or(until, |most| until.min(most)));
        }
        self.try_complete(now);
    }

    fn update(&mut self, id: &str, join: Join, connection: ConnectionId) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.protocols = join.protocols;
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        if let Some(before) = member.joining.replace(connection) {
            // The client gave up that connection.
            let answer = JoinAnswer::error(ErrorCode::REBALANCE_IN_PROGRESS, id);
            self.answer(before, GroupAnswer::Join(answer));
        }
    }

    /// A static member is back under its instance id: a new id takes the place of the old (KIP-345).
    fn replace(
        &mut self,
        old: &Name,
        id: Name,
        join: Join,
        connection: ConnectionId,
        now: Duration,
    ) -> Option<JoinAnswer> {
        let mut member = self.members.remove(old)?;
        self.end_requests(old, &member, ErrorCode::FENCED_INSTANCE_ID);
        member.joining = None;
        member.syncing = None;
        member.expires = now + join.session_timeout;
        if let Some(instance) = &join.instance {
            self.static_members.insert(instance.clone(), id.clone());
        }
        if self.not_synced.remove(old) {
            self.not_synced.insert(id.clone());
        }
        let led = self.leader.as_ref() == Some(old);
        if led {
            self.leader = Some(id.clone());
        }
        member.client_id = join.client_id.clone();
        member.client_host = join.client_host.clone();
        self.members.insert(id.clone(), member);
        let skips = join.knows_skipped_assignment;
        self.update(&id, join, connection);
        if self.phase == Phase::Stable && self.protocol == self.elect_protocol() {
            if let Some(member) = self.members.get_mut(&id) {
                member.joining = None;
            }
            let mut answer = self.current(&id);
            if led && skips {
                answer.skip_assignment = true;
            } else if led {
                // An older client must not take itself for the leader, or it would assign anew.
                answer.leader = old.clone();
                answer.members.clear();
            }
            return Some(answer);
        }
        if self.phase != Phase::Preparing {
            self.prepare(now);
        }
        self.try_complete(now);
        None
    }

    /// The generation as it is, as one member is told of it.
    fn current(&self, id: &Name) -> JoinAnswer {
        let leader = self.leader.clone().unwrap_or_else(|| "".into());
        let protocol = self.protocol.clone().unwrap_or_else(|| "".into());
        let told = |(id, member): (&Name, &Member)| Joined {
            id: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&protocol),
        };
        let members = if leader == *id {
            self.members.iter().map(told).collect()
        } else {
            Vec::new()
        };
        JoinAnswer {
            code: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            skip_assignment: false,
            member_id: id.clone(),
            members,
        }
    }

    /// Completes the join phase once everybody is there.
    pub(super) fn try_complete(&mut self, now: Duration) {
        let all = self.members.values().all(|member| member.joining.is_some());
        let ready = all && self.pending.is_empty() && self.delayed_until.is_none();
        if self.phase == Phase::Preparing && ready {
            self.complete_join(now);
        }
    }

    /// Begins the next generation with those who have joined; static members keep their place without.
    pub(super) fn complete_join(&mut self, now: Duration) {
        self.delayed_until = None;
        let late: Vec<Name> = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            self.remove(&id);
        }
        if self.members.is_empty() {
            self.generation += 1;
            self.phase = Phase::Empty;
            self.protocol = None;
            self.leader = None;
            self.join_until = None;
            return;
        }
        if !self.elect_leader() {
            // Static members alone, and none is back: they have another round's time.
            self.prepare(now);
            return;
        }
        self.generation += 1;
        self.protocol = self.elect_protocol();
        self.phase = Phase::Completing;
        self.join_until = None;
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        self.sync_until = Some(now + timeouts.max().unwrap_or_default());
        self.not_synced = self.members.keys().cloned().collect();
        let mut answers = Vec::new();
        for (id, member) in &mut self.members {
            member.is_new = false;
            if let Some(connection) = member.joining.take() {
                member.expires = now + member.session_timeout;
                answers.push((connection, id.clone()));
            }
        }
        for (connection, id) in answers {
            let answer = self.current(&id);
            self.answer(connection, GroupAnswer::Join(answer));
        }
    }

    /// The leader stays if it has joined; else another that has takes over. Whether there is one.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &Name| {
            let member = self.members.get(id);
            member.is_some_and(|member| member.joining.is_some())
        };
        if self.leader.as_ref().is_some_and(&joined) {
            return true;
        }
        let next = self.members.keys().find(|id| joined(id)).cloned();
        if next.is_some() {
            self.leader = next;
            return true;
        }
        false
    }

    /// The protocol that most members like best of those that all have.
    fn elect_protocol(&self) -> Option<Name> {
        let has = |member: &Member, name: &Name| member.protocols.iter().any(|(n, _)| n == name);
        let candidate = |name: &Name| self.members.values().all(|member| has(member, name));
        let mut votes: Vec<(Name, usize)> = Vec::new();
        for member in self.members.values() {
            let names = member.protocols.iter().map(|(name, _)| name);
            if let Some(name) = names.into_iter().find(|name| candidate(name)) {
                match votes.iter_mut().find(|(voted, _)| voted == name) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((name.clone(), 1)),
                }
            }
        }
        let best = votes.iter().map(|(_, count)| *count).max()?;
        let winner = votes.into_iter().find(|(_, count)| *count == best);
        winner.map(|(name, _)| name)
    }
}
