//! Answers to what was asked of the coordinator.

use std::sync::Arc;

use bytes::Bytes;

use super::Classic;
use super::advice::advised;
use super::lead::Sharing;
use super::state::{Begun, MemberState, Terms};
use super::verdict::{GroupCall, MembershipVerdict as Verdict, unanswered, verdict};
use crate::error::{Error, ErrorCode};
use crate::machine::group::assign::PartitionCounts;
use crate::machine::group::member::{Action, Answer, CallId, Joined, Request, Turn};
use crate::machine::group::protocol::Assignment;
use crate::wire::SyncGroup;

impl Classic {
    pub(super) fn answered(
        &mut self,
        call: CallId,
        answer: Result<Answer, Error>,
        turn: &mut Turn,
    ) {
        if let Some(sent) = self.session.pending.take_if(|sent| sent.call == call) {
            return self.beaten(&sent, answer, turn);
        }
        // Others are answers to a question that is void by now.
        if !self.state.waits_for(call) {
            return;
        }
        // Whatever is not accepted is joined for again.
        let unjoined = self.state.unjoined(None);
        match std::mem::replace(&mut self.state, unjoined) {
            MemberState::Joining { terms, .. } => self.join_answered(terms, answer, turn),
            MemberState::Syncing { begun, .. } => self.sync_answered(begun, answer, turn),
            // Refused or not: the session ends in any case.
            _ => self.state = MemberState::Outside,
        }
    }

    fn join_answered(&mut self, terms: Terms, answer: Result<Answer, Error>, turn: &mut Turn) {
        let (code, joined) = match answer {
            Ok(Answer::Join(code, joined)) => (code, joined),
            Ok(_) => return,
            Err(error) => return self.refused(unanswered(GroupCall::Join, &error), error, turn),
        };
        match verdict(GroupCall::Join, code) {
            Verdict::Accept => self.joined(terms, joined, turn),
            Verdict::TakeId => {
                let reason = format!(
                    "need to re-join with the given member-id: {}",
                    joined.member_id
                );
                self.state = self.state.unjoined(Some(reason.into()));
                self.member_id = joined.member_id;
            }
            verdict => {
                let context = format!("joining group {}", self.settings.group);
                let error = Error::broker(code, None, context);
                let error = advised(error, &self.settings, joined.grounds.as_ref());
                self.refused(verdict, error, turn);
            }
        }
    }

    /// A member of a new generation.
    fn joined(&mut self, terms: Terms, joined: Joined, turn: &mut Turn) {
        self.member_id = joined.member_id.clone();
        self.heard(turn.now, turn);
        self.beat_later(turn.now);
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
            return self.obey(Verdict::Tell, error, turn);
        };
        let begun = Begun {
            id: joined.generation,
            assignor,
            terms,
            lead: None,
        };
        if joined.leader == joined.member_id {
            let sharing = Sharing::new(joined, turn);
            turn.push(Action::Count(sharing.topics().to_vec()));
            self.state = MemberState::Counting(begun, sharing);
        } else {
            self.sync(begun, Vec::new(), turn);
        }
    }

    /// So many partitions there are, of which the leader makes the assignment, once.
    pub(super) fn counted(&mut self, counts: PartitionCounts, turn: &mut Turn) {
        if let Some(lead) = self.state.lead() {
            return lead.counted(counts);
        }
        if !matches!(self.state, MemberState::Counting(..)) {
            return;
        }
        let unjoined = self.state.unjoined(None);
        if let MemberState::Counting(mut begun, sharing) =
            std::mem::replace(&mut self.state, unjoined)
        {
            let (assignments, lead) = sharing.share(begun.assignor, counts);
            begun.lead = Some(lead);
            self.sync(begun, assignments, turn);
        }
    }

    fn sync(&mut self, begun: Begun, assignments: Vec<(Arc<str>, Bytes)>, turn: &mut Turn) {
        let request = Request::Sync(SyncGroup {
            group: self.settings.group.clone(),
            generation: begun.id,
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
            protocol: begun.assignor.name().into(),
            assignments,
        });
        let call = self.send(request, self.settings.request_timeout, turn);
        self.state = MemberState::Syncing { call, begun };
    }

    fn sync_answered(&mut self, begun: Begun, answer: Result<Answer, Error>, turn: &mut Turn) {
        let context = || format!("assignment in group {}", self.settings.group);
        let (code, bytes) = match answer {
            Ok(Answer::Sync(code, bytes)) => (code, bytes),
            Ok(_) => return,
            Err(error) => {
                let verdict = unanswered(GroupCall::Sync, &error);
                return self.sync_refused(verdict, error, turn);
            }
        };
        let verdict = verdict(GroupCall::Sync, code);
        if verdict != Verdict::Accept {
            let error = Error::broker(code, None, context());
            return self.sync_refused(verdict, error, turn);
        }
        // Some leaders send nothing to a member that is given nothing.
        let assignment = if bytes.is_empty() {
            Ok(Assignment::default())
        } else {
            Assignment::decode(bytes)
        };
        match assignment {
            Ok(assignment) => self.synced(begun, assignment, turn),
            Err(malformed) => {
                let error =
                    Error::protocol("the group's leader", format!("{}: {malformed}", context()));
                self.obey(Verdict::Tell, error, turn);
            }
        }
    }

    fn sync_refused(&mut self, verdict: Verdict, error: Error, turn: &mut Turn) {
        self.state = self.state.unjoined(Some(error.to_string().into()));
        self.refused(verdict, error, turn);
    }

    /// A join or a sync is not accepted: the member is unjoined.
    fn refused(&mut self, verdict: Verdict, error: Error, turn: &mut Turn) {
        if verdict == Verdict::Rejoin {
            self.tries.failed_anew(self.settings.backoff, turn);
        }
        self.obey(verdict, error, turn);
    }

    fn synced(&mut self, begun: Begun, assignment: Assignment, turn: &mut Turn) {
        let partitions = assignment.partitions;
        self.heard(turn.now, turn);
        let is_wanted = partitions
            .iter()
            .all(|partition| self.subscription.contains(partition.name()));
        if !is_wanted {
            // The subscription changed meanwhile; a leader that does not care is not asked in a tight loop.
            if self.subscription == begun.terms.topics {
                self.tries.failed(self.settings.backoff, turn);
            }
            self.state = MemberState::Stable(begun.with(partitions));
            return;
        }
        self.tries.succeeded();
        self.given = (partitions.clone(), Some(begun.id));
        self.state = MemberState::Settling(begun.with(partitions));
    }
}
