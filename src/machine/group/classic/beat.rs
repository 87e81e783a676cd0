//! Heartbeats, and the session that they keep.
//!
//! A session without an answer for `session.timeout.ms` does not end the membership, which only the coordinator can: a
//! coordinator that comes back, or another one that takes over, gives every member that it has on record a session
//! anew. But while nothing is heard it may as well have given this member up, and its partitions to another one. So
//! the member keeps its generation and its partitions, and nothing of them is handed out until the coordinator has
//! answered: then either all goes on where it stopped, or it was lost, and nothing was handled by two.
//!
//! Java keeps the generation too and goes on handing out what it has fetched, for as long as that may take; librdkafka
//! gives everything up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Classic, Coordinator, Goal, Phase};
use crate::error::{Error, ErrorCode};
use crate::machine::group::classic::verdict::{Call, Verdict, unanswered, verdict};
use crate::machine::group::member::{Action, Answer, CallId, Request, Turn};
use crate::types::after;
use crate::wire::Heartbeat;

#[derive(Debug)]
pub(super) struct Beat {
    /// The one that is not answered yet.
    pub(super) pending: Option<Sent>,
    /// When the next one is due.
    pub(super) next: Instant,
    /// When the coordinator last knew the member, as far as it has said.
    pub(super) heard: Instant,
    /// Nothing was heard for a session: nothing is handed out until something is.
    pub(super) withheld: bool,
}

/// A heartbeat on its way, and as whom it was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) call: CallId,
    at: Instant,
    generation: i32,
    member_id: Arc<str>,
}

impl Beat {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pending: None,
            next: now,
            heard: now,
            withheld: false,
        }
    }
}

impl Classic {
    /// Whether the session hangs on heartbeats: a join or sync that the coordinator keeps waiting holds it too, and
    /// nothing behind that on the connection would be read.
    fn is_beating(&self) -> bool {
        let beats = match self.phase {
            Phase::Preparing | Phase::Counting | Phase::Settling(_) | Phase::Stable => true,
            Phase::Outside | Phase::Joining | Phase::Syncing | Phase::Leaving => false,
        };
        beats && self.generation.is_some()
    }

    /// Whether something waits for the coordinator to be known.
    pub(super) fn wants_coordinator(&self) -> bool {
        let joins = self.goal == Goal::In && self.phase == Phase::Joining;
        self.is_beating() || joins && self.pending.is_none() && self.work.is_none()
    }

    pub(super) fn beat_at(&self) -> Option<Instant> {
        let is_due = self.is_beating()
            && self.beat.pending.is_none()
            && self.coordinator == Coordinator::Known;
        is_due.then_some(self.beat.next.max(self.retry_at.unwrap_or(self.beat.next)))
    }

    /// Whether a join or a sync that waits at the coordinator holds the session.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Joining | Phase::Syncing) && self.pending.is_some()
    }

    /// When the coordinator may have given the member up, if nothing is heard of it until then.
    pub(super) fn session_end(&self) -> Option<Instant> {
        let is_out = matches!(self.phase, Phase::Outside | Phase::Leaving);
        let is_member = self.generation.is_some() && !is_out;
        let lasts = is_member && !self.is_held() && !self.beat.withheld;
        lasts.then_some(after(self.beat.heard, self.settings.session_timeout))
    }

    pub(super) fn check_session(&mut self, turn: &mut Turn<'_>) {
        if self.session_end().is_some_and(|end| end <= turn.now) {
            self.coordinator = Coordinator::Unknown;
            self.beat.withheld = true;
            turn.push(Action::Withhold);
        }
    }

    /// Sends a heartbeat that is due.
    pub(super) fn pulse(&mut self, turn: &mut Turn<'_>) {
        if !self.is_beating() || self.beat.pending.is_some() {
            return;
        }
        if !self.is_ready(turn) || self.beat.next > turn.now {
            return;
        }
        let Some(generation) = self.generation else {
            return;
        };
        let request = Request::Heartbeat(Heartbeat {
            group: self.settings.group.clone(),
            generation,
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
        });
        self.beat.next = after(turn.now, self.settings.heartbeat_interval);
        self.beat.pending = Some(Sent {
            call: self.send(request, self.beat_timeout(), turn),
            at: turn.now,
            generation,
            member_id: self.member_id.clone(),
        });
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
        let is_joining = self.phase == Phase::Joining && self.pending.is_some();
        is_joining && code == Some(ErrorCode::ILLEGAL_GENERATION)
    }

    /// The coordinator had the member at that time.
    pub(super) fn heard(&mut self, at: Instant, turn: &mut Turn<'_>) {
        self.beat.heard = at;
        if std::mem::take(&mut self.beat.withheld) {
            turn.push(Action::HandOut);
        }
    }

    /// Up to now a request that waited at the coordinator has held the session.
    pub(super) fn held(&mut self, turn: &Turn<'_>) {
        self.beat.heard = turn.now;
    }

    /// The next failure is the first one again.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    pub(super) fn beaten(
        &mut self,
        sent: &Sent,
        answer: Result<Answer, Error>,
        turn: &mut Turn<'_>,
    ) {
        let (verdict, error) = match answer {
            Ok(Answer::Heartbeat(code)) => {
                let context = format!("heartbeat in group {}", self.settings.group);
                (
                    verdict(Call::Heartbeat, code),
                    Error::broker(code, None, context),
                )
            }
            Ok(_) => return,
            Err(error) => (unanswered(Call::Heartbeat, &error), error),
        };
        // What the coordinator said of an earlier generation says nothing of this one.
        let is_of_now =
            self.generation == Some(sent.generation) && self.member_id == sent.member_id;
        let concerns_member = matches!(verdict, Verdict::Rejoin | Verdict::Lost { .. });
        if concerns_member && (!is_of_now || self.may_be_next(error.broker_code())) {
            return;
        }
        if matches!(verdict, Verdict::Accept | Verdict::Rejoin) {
            self.heard(sent.at, turn);
            self.succeeded();
        }
        self.obey(verdict, Call::Heartbeat, error, turn);
        // One that failed is repeated as soon as the backoff allows.
        if matches!(verdict, Verdict::Find | Verdict::Retry) {
            self.beat.next = turn.now;
        }
    }
}
