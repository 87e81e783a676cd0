//! Answers to what was asked of the coordinator.

use bytes::Bytes;

use super::advice::advised;
use super::lead::Lead;
use super::verdict::{Call, Verdict, unanswered, verdict};
use super::{Classic, Phase};
use crate::config::Assignor;
use crate::error::{Error, ErrorCode};
use crate::machine::group::member::{Action, Answer, CallId, Joined, Request, Turn};
use crate::machine::group::protocol::Assignment;
use crate::types::after;
use crate::wire::SyncGroup;

impl Classic {
    pub(super) fn answered(
        &mut self,
        call: CallId,
        answer: Result<Answer, Error>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(sent) = self.beat.pending.take_if(|sent| sent.call == call) {
            return self.beaten(&sent, answer, turn);
        }
        // Others are answers to a question that is void by now.
        if self.pending == Some(call) {
            self.pending = None;
            match self.phase {
                // Refused or not: the session ends in any case.
                Phase::Leaving => self.phase = Phase::Outside,
                Phase::Joining => self.join_answered(answer, turn),
                Phase::Syncing => self.sync_answered(answer, turn),
                _ => {}
            }
        }
    }

    fn join_answered(&mut self, answer: Result<Answer, Error>, turn: &mut Turn<'_>) {
        let (code, joined) = match answer {
            Ok(Answer::Join(code, joined)) => (code, joined),
            Ok(_) => return,
            Err(error) => {
                self.released(&error, turn);
                return self.obey(unanswered(Call::Join, &error), Call::Join, error, turn);
            }
        };
        self.held(turn);
        match verdict(Call::Join, code) {
            Verdict::Accept => self.joined(joined, turn),
            Verdict::TakeId => {
                let reason = format!(
                    "need to re-join with the given member-id: {}",
                    joined.member_id
                );
                self.rejoin = Some(reason.into());
                self.member_id = joined.member_id;
            }
            verdict => {
                let context = format!("joining group {}", self.settings.group);
                let error = Error::broker(code, None, context);
                let error = advised(error, &self.settings, joined.grounds.as_ref());
                self.obey(verdict, Call::Join, error, turn);
            }
        }
    }

    /// A request that held the session is over: until its connection ended, the coordinator did.
    fn released(&mut self, error: &Error, turn: &Turn<'_>) {
        if matches!(error, Error::Disconnected { .. }) {
            self.held(turn);
        }
    }

    /// A member of a new generation.
    fn joined(&mut self, joined: Joined, turn: &mut Turn<'_>) {
        self.member_id = joined.member_id.clone();
        self.generation = Some(joined.generation);
        self.heard(turn.now, turn);
        self.beat.next = after(turn.now, self.settings.heartbeat_interval);
        let name = joined.protocol.as_deref();
        let known = self
            .settings
            .assignors
            .iter()
            .find(|a| Some(a.name()) == name);
        let Some(assignor) = known.copied() else {
            let context = format!(
                "group {} chose the assignor {}",
                self.settings.group,
                name.unwrap_or("none")
            );
            let error = Error::broker(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, None, context);
            return self.obey(Verdict::Tell, Call::Join, error, turn);
        };
        self.protocol = Some(assignor);
        if joined.leader == joined.member_id {
            self.phase = Phase::Counting;
            let lead = Lead::new(assignor, joined, turn);
            turn.push(Action::Count(lead.topics().to_vec()));
            self.lead = Some(lead);
        } else {
            self.sync(assignor, Vec::new(), turn);
        }
    }

    pub(super) fn sync(
        &mut self,
        assignor: Assignor,
        assignments: Vec<(std::sync::Arc<str>, Bytes)>,
        turn: &mut Turn<'_>,
    ) {
        let request = Request::Sync(SyncGroup {
            group: self.settings.group.clone(),
            generation: self.generation.unwrap_or(-1),
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
            protocol: assignor.name().into(),
            assignments,
        });
        self.phase = Phase::Syncing;
        self.pending = Some(self.send(request, self.settings.request_timeout, turn));
    }

    fn sync_answered(&mut self, answer: Result<Answer, Error>, turn: &mut Turn<'_>) {
        let context = || format!("assignment in group {}", self.settings.group);
        let (code, bytes) = match answer {
            Ok(Answer::Sync(code, bytes)) => (code, bytes),
            Ok(_) => return,
            Err(error) => {
                self.released(&error, turn);
                return self.obey(unanswered(Call::Sync, &error), Call::Sync, error, turn);
            }
        };
        let verdict = verdict(Call::Sync, code);
        if verdict != Verdict::Accept {
            let error = Error::broker(code, None, context());
            return self.obey(verdict, Call::Sync, error, turn);
        }
        // Some leaders send nothing to a member that is given nothing.
        let assignment = if bytes.is_empty() {
            Ok(Assignment::default())
        } else {
            Assignment::decode(bytes)
        };
        match assignment {
            Ok(assignment) => self.synced(assignment, turn),
            Err(malformed) => {
                let error =
                    Error::protocol("the group's leader", format!("{}: {malformed}", context()));
                self.obey(Verdict::Tell, Call::Sync, error, turn);
            }
        }
    }

    fn synced(&mut self, assignment: Assignment, turn: &mut Turn<'_>) {
        let partitions = assignment.partitions;
        let is_wanted = partitions
            .iter()
            .all(|partition| self.subscription.contains(partition.name()));
        if !is_wanted {
            // The subscription changed meanwhile; a leader that does not care is not asked in a tight loop.
            self.rejoin =
                Some("received assignment does not match the current subscription".into());
            if self.subscription == self.joined_with {
                self.back_off(turn);
            }
            self.heard(turn.now, turn);
            self.phase = Phase::Stable;
            return;
        }
        self.heard(turn.now, turn);
        self.succeeded();
        self.given = (partitions.clone(), self.generation);
        self.phase = Phase::Settling(partitions);
    }
}
