//! What follows from an answer that was none to go on with: another try, another coordinator, or the end.

use super::advice::advised;
use super::verdict::{Call, Verdict};
use super::{Classic, Coordinator, Goal, Phase, Work};
use crate::config::Backoff;
use crate::error::{Error, ErrorCode};
use crate::machine::group::member::{Action, Loss, Turn};
use crate::types::after;

use std::sync::Arc;
use std::time::Duration;

/// Between tries that somebody has to do something for, and is told each time.
const TELLING: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

impl Classic {
    /// What waits for an answer waits in vain. The new coordinator gives everybody a new session.
    pub(super) fn moved(&mut self, turn: &Turn<'_>) {
        if self.is_held() {
            self.held(turn);
        }
        self.forget_calls();
        self.coordinator = Coordinator::Unknown;
        match self.phase {
            Phase::Leaving => self.phase = Phase::Outside,
            Phase::Syncing => self.phase = Phase::Joining,
            _ => {}
        }
    }

    /// Answers that come from now on are of no interest.
    pub(super) fn forget_calls(&mut self) {
        self.pending = None;
        self.beat.pending = None;
    }

    /// This is no member of its generation any more.
    pub(super) fn fence(&mut self, why: Loss, forget_id: bool, turn: &mut Turn<'_>) {
        // Otherwise they are lost at once.
        if let Some(work) = &self.work {
            let mut theirs = self.owned.clone();
            if let Work::Assign(coming) = work {
                theirs.extend_from_slice(coming);
            }
            turn.push(Action::Stop(theirs));
        }
        self.generation = None;
        self.lead = None;
        self.lost = Some(why);
        if forget_id {
            self.member_id = Arc::default();
        }
        if !matches!(self.phase, Phase::Outside | Phase::Leaving) {
            self.forget_calls();
            self.phase = Phase::Joining;
        }
    }

    /// Does what a verdict other than `Accept` and `TakeId` says.
    pub(super) fn obey(&mut self, verdict: Verdict, call: Call, error: Error, turn: &mut Turn<'_>) {
        match verdict {
            Verdict::Accept | Verdict::TakeId => {}
            Verdict::Rejoin => {
                if call != Call::Heartbeat {
                    self.back_off_next(turn);
                    self.phase = Phase::Joining;
                }
                // One that is joining already does not have to join twice.
                if matches!(self.phase, Phase::Stable | Phase::Settling(_)) {
                    self.rejoin = Some("group is already rebalancing".into());
                }
            }
            Verdict::Lost { forget } => {
                self.back_off_next(turn);
                let why = if forget {
                    Loss::Expired
                } else {
                    Loss::LeftBehind
                };
                self.rejoin = Some(error.to_string().into());
                self.fence(why, forget, turn);
            }
            Verdict::Find | Verdict::Retry => {
                if verdict == Verdict::Find {
                    self.coordinator = Coordinator::Unknown;
                }
                self.back_off(turn);
                if call == Call::Sync {
                    self.rejoin = Some(error.to_string().into());
                    self.phase = Phase::Joining;
                }
            }
            Verdict::Tell | Verdict::Stop => {
                let error = advised(error, &self.settings, None);
                let is_fenced = error.broker_code() == Some(ErrorCode::FENCED_INSTANCE_ID);
                self.leave = "the member cannot go on";
                self.fence(
                    if is_fenced {
                        Loss::Fenced
                    } else {
                        Loss::Refused
                    },
                    false,
                    turn,
                );
                self.back_off_by(TELLING, turn);
                self.goal = match (self.goal, verdict) {
                    (Goal::Closed, _) => Goal::Closed,
                    (Goal::In, Verdict::Tell) => Goal::Paused,
                    (goal, Verdict::Tell) => goal,
                    _ => Goal::Stopped,
                };
                turn.push(match verdict {
                    Verdict::Stop => Action::End(error),
                    _ => Action::Fail(error),
                });
            }
        }
    }

    pub(super) fn back_off(&mut self, turn: &Turn<'_>) {
        self.back_off_by(self.settings.backoff, turn);
    }

    fn back_off_by(&mut self, backoff: Backoff, turn: &Turn<'_>) {
        self.failures = self.failures.saturating_add(1);
        let delay = backoff.delay(self.failures, turn.jitter);
        self.retry_at = Some(after(turn.now, delay));
    }

    /// Lets the first try after a success go at once.
    pub(super) fn back_off_next(&mut self, turn: &Turn<'_>) {
        if self.failures > 0 {
            self.back_off(turn);
        } else {
            self.failures = 1;
        }
    }

    /// Whether a request may go out now; looks for the coordinator when it is that which is missing.
    pub(super) fn is_ready(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.retry_at.is_some_and(|at| at > turn.now) {
            return false;
        }
        self.retry_at = None;
        if self.coordinator == Coordinator::Unknown {
            self.coordinator = Coordinator::Sought;
            turn.push(Action::Find);
        }
        self.coordinator == Coordinator::Known
    }
}
