//! What follows from an answer that was none to go on with: another try, another coordinator, or the end.

use std::sync::Arc;
use std::time::Duration;

use super::Classic;
use super::advice::advised;
use super::state::{Goal, MemberState, Reason};
use super::verdict::MembershipVerdict as Verdict;
use crate::config::Backoff;
use crate::error::{Error, ErrorCode};
use crate::machine::group::member::{Action, Loss, Turn};

/// Between tries that somebody has to do something for, and is told each time.
const TELLING: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

impl Classic {
    /// What waits for an answer waits in vain. The new coordinator gave everybody a new session, nobody knows when.
    pub(super) fn moved(&mut self) {
        if self.state.is_held() {
            self.state = self.state.unjoined(None);
        } else if matches!(self.state, MemberState::Leaving { .. }) {
            self.state = MemberState::Outside;
        }
        self.session.pending = None;
        self.lose_coordinator();
    }

    /// This is no member of its generation any more.
    pub(super) fn fence(
        &mut self,
        why: Loss,
        forget_id: bool,
        reason: Option<Reason>,
        turn: &mut Turn,
    ) {
        // What is not being given up or taken is lost at once.
        let stopped = self.holdings.lose(why);
        if !stopped.is_empty() {
            turn.push(Action::Stop(stopped));
        }
        if forget_id {
            self.member_id = Arc::default();
        }
        if !self.state.is_out() {
            self.session.pending = None;
            self.state = MemberState::Unjoined {
                from: None,
                why: reason,
            };
        }
    }

    /// Does what a verdict other than `Accept` and `TakeId` says.
    pub(super) fn obey(&mut self, verdict: Verdict, error: Error, turn: &mut Turn) {
        let backoff = self.settings.backoff;
        match verdict {
            Verdict::Accept | Verdict::TakeId => {}
            Verdict::Rejoin => match &mut self.state {
                MemberState::Settling(generation) | MemberState::Stable(generation) => {
                    generation.is_over = true
                }
                // One that joins already does not have to join twice.
                _ => {}
            },
            Verdict::Lost { forget } => {
                self.tries.failed_anew(backoff, turn);
                let why = if forget {
                    Loss::Expired
                } else {
                    Loss::LeftBehind
                };
                self.fence(why, forget, Some(error.to_string().into()), turn);
            }
            Verdict::Find | Verdict::Retry => {
                if verdict == Verdict::Find {
                    self.lose_coordinator();
                }
                self.tries.failed(backoff, turn);
            }
            Verdict::Tell | Verdict::Stop => self.give_up(verdict, error, turn),
        }
    }

    /// The application must know.
    fn give_up(&mut self, verdict: Verdict, error: Error, turn: &mut Turn) {
        let error = advised(error, &self.settings, None);
        let is_fenced = error.broker_code() == Some(ErrorCode::FENCED_INSTANCE_ID);
        let why = if is_fenced {
            Loss::Fenced
        } else {
            Loss::Refused
        };
        self.fence(why, false, None, turn);
        self.tries.failed(TELLING, turn);
        self.goal = match (self.goal, verdict) {
            (ended @ (Goal::Closed | Goal::Left), _) => ended,
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
