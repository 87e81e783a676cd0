//! The coordinator, heartbeats, and the session that they keep.
//!
//! A session without an answer for `session.timeout.ms` does not end the membership, which only the coordinator can: a
//! coordinator that comes back, or another one that takes over, gives every member that it has on record a session
//! anew. But while nothing is heard it may as well have given this member up, and its partitions to another one. So
//! the member keeps its generation and its partitions, and nothing of them is handed out until the coordinator has
//! answered: then either all goes on where it stopped, or it was lost, and nothing was handled by two.
//!
//! Only what the coordinator says of the member is heard, and counts from when it was asked. A join or a sync may wait
//! there for longer than a session: the coordinator keeps whoever waits, so the session does not end meanwhile, and an
//! answer that accepts the member begins it anew. Whatever else such a request ends with says nothing of where it had
//! been, and the session is as old as if it had never been sent.
//!
//! Java keeps the generation too and goes on handing out what it has fetched, for as long as that may take; librdkafka
//! gives everything up.

use std::time::{Duration, Instant};

use super::Classic;
use super::session::{Beat, Whereabouts};
use super::state::{Goal, MemberState};
use super::verdict::{GroupCall, MembershipVerdict as Verdict, unanswered, verdict};
use crate::error::{Error, ErrorCode};
use crate::machine::group::member::{Action, Answer, Request, Turn};
use crate::types::after;
use crate::wire::Heartbeat;

impl Classic {
    /// The coordinator is known: a heartbeat tells at once whether it knows the member.
    pub(super) fn found(&mut self, now: Instant) {
        self.session.coordinator = Whereabouts::Known;
        self.session.next = now;
    }

    /// It is to be looked for before anything is sent.
    pub(super) fn lose_coordinator(&mut self) {
        self.session.coordinator = Whereabouts::Unknown;
    }

    /// Whether something waits for the coordinator to be known.
    pub(super) fn wants_coordinator(&self) -> bool {
        let joins = self.goal == Goal::In && matches!(self.state, MemberState::Unjoined { .. });
        self.state.is_beating() || joins && self.holdings.are_at_rest()
    }

    pub(super) fn beat_at(&self) -> Option<Instant> {
        let session = &self.session;
        let is_due = self.state.is_beating()
            && session.pending.is_none()
            && session.coordinator == Whereabouts::Known;
        let not_before = self.tries.next().unwrap_or(session.next);
        is_due.then_some(session.next.max(not_before))
    }

    /// When the coordinator may have given the member up, if nothing is heard of it until then.
    pub(super) fn session_end(&self) -> Option<Instant> {
        let is_member = self.state.generation().is_some();
        let lasts = is_member && !self.state.is_held() && !self.session.is_withheld;
        lasts.then_some(after(self.session.heard, self.settings.session_timeout))
    }

    pub(super) fn check_session(&mut self, turn: &mut Turn) {
        if self.session_end().is_some_and(|end| end <= turn.now) {
            self.lose_coordinator();
            self.session.is_withheld = true;
            turn.push(Action::Withhold);
        }
    }

    /// Sends a heartbeat that is due.
    pub(super) fn pulse(&mut self, turn: &mut Turn) {
        if !self.state.is_beating() || self.session.pending.is_some() {
            return;
        }
        if !self.is_ready(turn) || self.session.next > turn.now {
            return;
        }
        let Some(generation) = self.state.generation() else {
            return;
        };
        let request = Request::Heartbeat(Heartbeat {
            group: self.settings.group.clone(),
            generation,
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
        });
        self.beat_later(turn.now);
        self.session.pending = Some(Beat {
            call: self.send(request, self.beat_timeout(), turn),
            at: turn.now,
            generation,
            member_id: self.member_id.clone(),
        });
    }

    /// The next heartbeat is due after the interval.
    pub(super) fn beat_later(&mut self, now: Instant) {
        self.session.next = after(now, self.settings.heartbeat_interval);
    }

    /// A broker that is silent must leave time to find another one before the session ends.
    pub(super) fn beat_timeout(&self) -> Duration {
        let part = self.settings.session_timeout / 3;
        part.max(Duration::from_secs(1))
            .min(self.settings.request_timeout)
    }

    /// Whether a refusal of the generation may be due to the next one, in which the group counts this member already:
    /// the join's answer decides.
    pub(super) fn may_be_next(&self, code: Option<ErrorCode>) -> bool {
        matches!(self.state, MemberState::Joining { .. })
            && code == Some(ErrorCode::ILLEGAL_GENERATION)
    }

    /// The coordinator had the member at that time.
    pub(super) fn heard(&mut self, at: Instant, turn: &mut Turn) {
        self.session.heard = at;
        if std::mem::take(&mut self.session.is_withheld) {
            turn.push(Action::HandOut);
        }
    }

    pub(super) fn beaten(&mut self, sent: &Beat, answer: Result<Answer, Error>, turn: &mut Turn) {
        let (verdict, error) = match answer {
            Ok(Answer::Heartbeat(code)) => {
                let context = format!("heartbeat in group {}", self.settings.group);
                (
                    verdict(GroupCall::Heartbeat, code),
                    Error::broker(code, None, context),
                )
            }
            Ok(_) => return,
            Err(error) => (unanswered(GroupCall::Heartbeat, &error), error),
        };
        // What the coordinator said of an earlier generation says nothing of this one.
        let is_of_now =
            self.state.generation() == Some(sent.generation) && self.member_id == sent.member_id;
        let concerns_member = matches!(verdict, Verdict::Rejoin | Verdict::Lost { .. });
        if concerns_member && (!is_of_now || self.may_be_next(error.broker_code())) {
            return;
        }
        if matches!(verdict, Verdict::Accept | Verdict::Rejoin) {
            self.heard(sent.at, turn);
            self.tries.succeeded();
        }
        self.obey(verdict, error, turn);
        // One that failed is repeated as soon as the backoff allows.
        if matches!(verdict, Verdict::Find | Verdict::Retry) {
            self.session.next = turn.now;
        }
    }

    /// Whether a request may go out now; looks for the coordinator when it is that which is missing.
    pub(super) fn is_ready(&mut self, turn: &mut Turn) -> bool {
        if !self.tries.may_go(turn.now) {
            return false;
        }
        if self.session.coordinator == Whereabouts::Unknown {
            self.session.coordinator = Whereabouts::Sought;
            turn.push(Action::Find);
        }
        self.session.coordinator == Whereabouts::Known
    }
}
