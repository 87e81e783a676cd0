//! The coordinator of one group, as Kafka's brokers are.

use std::collections::BTreeMap;

use super::world::{Node, World};
use super::*;
use crate::wire::{GroupMember, SyncGroup};

#[derive(Default)]
pub(super) struct Registered {
    pub(super) protocols: Vec<(Arc<str>, bytes::Bytes)>,
    pub(super) session_end: Option<Instant>,
    /// Who waits for the answer to a join, and to a sync.
    pub(super) joining: Option<(usize, CallId)>,
    pub(super) syncing: Option<(usize, CallId)>,
    pub(super) assignment: bytes::Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GroupState {
    #[default]
    Stable,
    Preparing,
    Completing,
}

/// One group at its coordinator.
#[derive(Default)]
pub(super) struct Group {
    pub(super) state: GroupState,
    pub(super) generation: i32,
    pub(super) members: BTreeMap<Arc<str>, Registered>,
    pub(super) leader: Arc<str>,
    pub(super) rebalance_end: Option<Instant>,
    pub(super) ids: u32,
    /// Who was put out of a rebalance, or of a session that a request held, and until when it may not know of it.
    pub(super) put_out: BTreeMap<Arc<str>, Instant>,
}

impl World {
    pub(super) fn join(&mut self, node: usize, call: CallId, join: JoinGroup) {
        let refuse = |code, member_id: Arc<str>| {
            let joined = Joined {
                member_id,
                ..Joined::default()
            };
            Answer::Join(code, joined)
        };
        if join.member_id.is_empty() {
            self.group.ids += 1;
            let id: Arc<str> = format!("m{:03}", self.group.ids).into();
            // Given out, and gone again when it is not used in time.
            let member = self.group.members.entry(id.clone()).or_default();
            member.session_end = Some(self.now + ms(10_000));
            member.protocols = Vec::new();
            return self.answer(node, call, refuse(ErrorCode::MEMBER_ID_REQUIRED, id));
        }
        let Some(member) = self.group.members.get_mut(&join.member_id) else {
            return self.answer(node, call, refuse(ErrorCode::UNKNOWN_MEMBER_ID, "".into()));
        };
        member.protocols = join.protocols;
        member.joining = Some((node, call));
        self.prepare();
    }

    pub(super) fn prepare(&mut self) {
        if self.group.state != GroupState::Preparing {
            self.group.state = GroupState::Preparing;
            self.group.rebalance_end = Some(self.now + ms(60_000));
            let mut waiting = Vec::new();
            for member in self.group.members.values_mut() {
                if let Some(to) = member.syncing.take() {
                    member.session_end = Some(self.now + ms(10_000));
                    waiting.push(to);
                }
            }
            for (node, call) in waiting {
                let code = ErrorCode::REBALANCE_IN_PROGRESS;
                self.answer(node, call, Answer::Sync(code, bytes::Bytes::new()));
            }
        }
    }

    pub(super) fn sync(&mut self, node: usize, call: CallId, sync: SyncGroup) {
        let group = &mut self.group;
        let code = match group.members.get_mut(&sync.member_id) {
            None => ErrorCode::UNKNOWN_MEMBER_ID,
            Some(_) if sync.generation != group.generation => ErrorCode::ILLEGAL_GENERATION,
            Some(_) if group.state == GroupState::Preparing => ErrorCode::REBALANCE_IN_PROGRESS,
            Some(member) if group.state == GroupState::Stable => {
                member.session_end = Some(self.now + ms(10_000));
                let assignment = member.assignment.clone();
                return self.answer(node, call, Answer::Sync(ErrorCode::NONE, assignment));
            }
            Some(member) => {
                member.syncing = Some((node, call));
                if sync.member_id == group.leader {
                    for (id, bytes) in sync.assignments {
                        if let Some(member) = group.members.get_mut(&id) {
                            member.assignment = bytes;
                        }
                    }
                    group.state = GroupState::Stable;
                    let end = self.now + ms(10_000);
                    let mut told = Vec::new();
                    for member in group.members.values_mut() {
                        member.session_end = Some(end);
                        let assignment = member.assignment.clone();
                        told.extend(member.syncing.take().map(|to| (to, assignment)));
                    }
                    for ((node, call), bytes) in told {
                        self.answer(node, call, Answer::Sync(ErrorCode::NONE, bytes));
                    }
                }
                return;
            }
        };
        self.answer(node, call, Answer::Sync(code, bytes::Bytes::new()));
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(member) = self.group.members.remove(id)
            && !member.protocols.is_empty()
        {
            self.prepare();
        }
    }

    /// The coordinator's own time.
    pub(super) fn run_group(&mut self) {
        let is_held = |m: &Registered| m.joining.is_some() || m.syncing.is_some();
        let over: Vec<_> = self
            .group
            .members
            .iter()
            .filter(|(_, m)| !is_held(m) && m.session_end.is_some_and(|end| end <= self.now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            let is_its = |node: &&Node| node.member.member_id == id;
            if self
                .nodes
                .iter()
                .find(is_its)
                .is_some_and(|node| node.member.state.is_held())
            {
                self.group.put_out.insert(id.clone(), self.now + ms(10_000));
            }
            self.remove(&id);
        }
        if self.group.state != GroupState::Preparing {
            return;
        }
        let late = self.group.rebalance_end.is_some_and(|end| end <= self.now);
        if late {
            let keeps = |m: &Registered| m.joining.is_some() || m.protocols.is_empty();
            let out = self
                .group
                .members
                .extract_if(.., |_, member| !keeps(member));
            let until = self.now + ms(10_000);
            self.group.put_out.extend(out.map(|(id, _)| (id, until)));
        }
        let mut real = self
            .group
            .members
            .values()
            .filter(|m| !m.protocols.is_empty());
        if real.all(|m| m.joining.is_some()) {
            self.begin_generation();
        }
    }

    pub(super) fn begin_generation(&mut self) {
        let group = &mut self.group;
        let real = |m: &Registered| !m.protocols.is_empty();
        let Some(first) = group.members.iter().find(|(_, m)| real(m)) else {
            group.state = GroupState::Stable;
            return;
        };
        if !group.members.get(&group.leader).is_some_and(real) {
            group.leader = first.0.clone();
        }
        group.generation += 1;
        group.state = GroupState::Completing;
        let members: Vec<_> = group
            .members
            .iter()
            .filter(|(_, m)| real(m))
            .map(|(id, m)| GroupMember {
                member_id: id.clone(),
                instance_id: None,
                metadata: m.protocols[0].1.clone(),
            })
            .collect();
        let (generation, leader) = (group.generation, group.leader.clone());
        let end = self.now + ms(10_000);
        let mut told = Vec::new();
        for (id, member) in &mut group.members {
            let Some(to) = member.joining.take() else {
                continue;
            };
            member.session_end = Some(end);
            let is_leader = *id == leader;
            let joined = Joined {
                generation,
                protocol: Some(member.protocols[0].0.clone()),
                leader: leader.clone(),
                skip_assignment: false,
                member_id: id.clone(),
                members: if is_leader { members.clone() } else { vec![] },
                grounds: None,
            };
            told.push((to, joined));
        }
        for ((node, call), joined) in told {
            self.answer(node, call, Answer::Join(ErrorCode::NONE, joined));
        }
    }
}
