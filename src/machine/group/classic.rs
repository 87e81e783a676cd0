//! A member of a group of the classic protocol.
//!
//! ```text
//!           subscribe             sent              joined: follower             synced             all done
//!   Outside ────────▶ Unjoined ────────▶ Joining ────────────────────▶ Syncing ─────────▶ Settling ────────▶ Stable
//!      ▲               ▲ ▲  ▲  refused │    │ joined: leader            ▲ │                                    │
//!      │ left          │ │  └──────────┘    └──────▶ Counting ──────────┘ │ refused                            │
//!   Leaving            │ └─────────────────────────────────────────────────┘                                   │
//!      ▲               │ given up                                                     to join again            │
//!      └── all but     └─────────────────────────────── Preparing ◀───────────────────────────────────────────┘
//!          Outside
//! ```
//!
//! Preparing: an eager member gives everything up, a cooperative one what it wants no longer. Settling: a
//! cooperative member first gives up what the assignment does not have, then takes what is new in it. Whether a stable
//! member joins again follows from what it is: see `Generation::why_over`. Whenever the coordinator says that this is
//! no member of the generation any more, what is owned is lost, and the way begins anew at Unjoined, from no
//! generation.
//!
//! Beside the way are three things that every state goes with: what the member is to be (`Goal`), the partitions and
//! what is being done with them (`holdings.rs`), and the coordinator and the session with it (`session.rs`). Which of them
//! go together is checked after each event in debug builds.

mod advice;
mod answer;
mod beat;
mod holdings;
mod lead;
mod outcome;
mod session;
mod settings;
mod state;
mod tries;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::member::{
    Action, Actions, CallId, Event, Loss, Member, MemberIdentity, MemberStanding, Request, Turn,
};
use super::protocol::Subscription;
use crate::config::Assignor;
use crate::error::Error;
use crate::types::{TopicName, TopicPartition, after};
use crate::wire::{JoinGroup, LeaveGroup};
use holdings::{Due, Holdings, Work, without};
use session::MemberSession;
use state::{Goal, MemberState, Reason, Terms};
use tries::Tries;
use verdict::{GroupCall, unanswered, verdict};

pub(crate) use settings::Settings;

/// How long a join may take beyond the rebalance timeout, as in Java.
const JOIN_LAPSE: Duration = Duration::from_secs(5);

/// One member.
#[derive(Debug)]
pub(crate) struct Classic {
    settings: Settings,
    goal: Goal,
    subscription: Arc<[TopicName]>,
    /// Chosen by the coordinator, empty before that.
    member_id: Arc<str>,
    state: MemberState,
    holdings: Holdings,
    session: MemberSession,
    tries: Tries,
    calls: CallId,
    /// The last assignment, with its generation.
    given: (Vec<TopicPartition>, Option<i32>),
}

impl Member for Classic {
    fn handle(&mut self, event: Event, now: Instant, jitter: f64) -> Actions {
        let mut turn = Turn::new(now, jitter);
        self.on_event(event, &mut turn);
        self.check_session(&mut turn);
        while self.step(&mut turn) {}
        self.pulse(&mut turn);
        #[cfg(debug_assertions)]
        self.check();
        turn.actions
    }

    fn wake_at(&self) -> Option<Instant> {
        let retry = self.tries.next().filter(|_| self.wants_coordinator());
        [retry, self.beat_at(), self.session_end()]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_paused(&self) -> bool {
        self.goal == Goal::Paused
    }

    fn standing(&self) -> MemberStanding {
        let identity = |generation| MemberIdentity {
            generation,
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
        };
        match (&self.state, self.state.generation()) {
            (MemberState::Outside, _) if self.subscription.is_empty() => MemberStanding::Alone,
            (_, None) => MemberStanding::Outside,
            // The coordinator takes the old generation's commits until the new one begins.
            (state, Some(_)) if state.is_between() => MemberStanding::Rebalancing,
            (MemberState::Unjoined { .. } | MemberState::Joining { .. }, Some(generation)) => {
                MemberStanding::Joining(identity(generation))
            }
            (_, Some(generation)) => MemberStanding::Member(identity(generation)),
        }
    }
}

impl Classic {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            goal: Goal::Out,
            subscription: Arc::default(),
            member_id: Arc::default(),
            state: MemberState::Outside,
            holdings: Holdings::default(),
            session: MemberSession::new(now),
            tries: Tries::default(),
            calls: 0,
            given: (Vec::new(), None),
        }
    }

    /// Whether partitions are kept while the member joins: where every assignor allows it, as in Java.
    fn is_cooperative(&self) -> bool {
        self.settings.assignors.iter().all(|a| a.is_cooperative())
    }

    fn on_event(&mut self, event: Event, turn: &mut Turn) {
        match event {
            Event::Wake => {}
            Event::Subscribe(topics) => self.subscribe(topics),
            Event::Polled if self.goal == Goal::Paused => self.goal = Goal::In,
            Event::Polled => {}
            Event::PollExpired(limit) => match self.goal {
                Goal::In => self.expire(limit, turn),
                Goal::Out | Goal::Closed if !self.state.is_out() => self.expire(limit, turn),
                _ => {}
            },
            Event::Found => self.found(turn.now),
            Event::NotFound(error) => {
                self.lose_coordinator();
                self.obey(unanswered(GroupCall::Find, &error), error, turn);
            }
            Event::Moved => self.moved(),
            Event::Answer(call, answer) => self.answered(call, answer, turn),
            Event::Counts(counts) => self.counted(counts, turn),
            Event::Done => self.holdings.done(),
            Event::Refused { generation, code } => {
                if self.state.generation() == Some(generation) && !self.may_be_next(Some(code)) {
                    let error = Error::broker(code, None, "committing offsets");
                    self.obey(verdict(GroupCall::Heartbeat, code), error, turn);
                }
            }
            Event::Leave if self.goal == Goal::Left => {}
            Event::Leave => self.goal = Goal::Closed,
        }
    }

    /// The group gets back what the member has, without a wait for the application or its listener: neither may return.
    fn expire(&mut self, limit: Duration, turn: &mut Turn) {
        self.fence(Loss::PollInterval, false, None, turn);
        if self.goal != Goal::Closed {
            turn.push(Action::Fail(Error::PollInterval { limit }));
        }
        if self.goal == Goal::In {
            self.goal = Goal::Paused;
        }
        if !self.state.is_out() {
            self.depart("consumer poll timeout has expired.", turn);
        }
    }

    fn subscribe(&mut self, topics: Arc<[TopicName]>) {
        self.subscription = topics;
        self.goal = match self.goal {
            ended @ (Goal::Stopped | Goal::Closed | Goal::Left) => ended,
            _ if self.subscription.is_empty() => Goal::Out,
            Goal::Out => Goal::In,
            goal => goal,
        };
    }

    /// Does one thing that is due; whether there may be another one.
    fn step(&mut self, turn: &mut Turn) -> bool {
        match self.holdings.due() {
            Due::Nothing => {}
            Due::Wait => return false,
            Due::Lose(partitions, why) => {
                turn.push(Action::Lose { partitions, why });
                return false;
            }
        }
        if self.goal != Goal::In {
            return self.get_out(turn);
        }
        match &self.state {
            MemberState::Outside => {
                self.state = self.state.unjoined(None);
                true
            }
            MemberState::Stable(_) => self.prepare(turn),
            MemberState::Preparing(_, why) => {
                self.state = self.state.unjoined(Some(why.clone()));
                true
            }
            MemberState::Unjoined { .. } => {
                if self.is_ready(turn) {
                    self.join(turn);
                }
                false
            }
            MemberState::Settling(_) => self.settle(turn),
            MemberState::Joining { .. }
            | MemberState::Counting(..)
            | MemberState::Syncing { .. }
            | MemberState::Leaving { .. } => false,
        }
    }

    /// Gives up what must be given up before joining again, if the member is to join again.
    fn prepare(&mut self, turn: &mut Turn) -> bool {
        let MemberState::Stable(generation) = &self.state else {
            return false;
        };
        let Some(why) = generation.why_over(self.holdings.owned(), &self.subscription) else {
            return false;
        };
        let mut given_up = self.holdings.owned().to_vec();
        if self.is_cooperative() {
            given_up.retain(|partition| !self.subscription.contains(partition.name()));
        }
        if let MemberState::Stable(generation) =
            std::mem::replace(&mut self.state, MemberState::Outside)
        {
            self.state = MemberState::Preparing(generation, why.into());
        }
        self.revoke(given_up, turn)
    }

    /// Carries the assignment out.
    fn settle(&mut self, turn: &mut Turn) -> bool {
        let MemberState::Settling(generation) = &self.state else {
            return false;
        };
        let (owned, assignment) = (self.holdings.owned(), &generation.assignment);
        let gone = without(owned, assignment);
        if !gone.is_empty() {
            return self.revoke(gone, turn);
        }
        let new = without(assignment, owned);
        if !new.is_empty() {
            self.holdings.begin(Work::Assign(new.clone()));
            turn.push(Action::Assign(new));
            return false;
        }
        if let MemberState::Settling(generation) =
            std::mem::replace(&mut self.state, MemberState::Outside)
        {
            self.state = MemberState::Stable(generation);
        }
        turn.push(Action::Rest);
        true
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>, turn: &mut Turn) -> bool {
        if partitions.is_empty() {
            return true;
        }
        self.holdings.begin(Work::Revoke(partitions.clone()));
        // The group waits for this member as long as that, and the member heard of it up to a heartbeat late.
        let limit = self.settings.rebalance_timeout.mul_f64(0.9);
        let limit = limit.saturating_sub(self.settings.heartbeat_interval);
        let until = after(turn.now, limit);
        turn.push(Action::Revoke { partitions, until });
        false
    }

    /// One step on the way out of the group.
    fn get_out(&mut self, turn: &mut Turn) -> bool {
        match self.state {
            MemberState::Outside => {
                if self.goal == Goal::Closed {
                    self.goal = Goal::Left;
                    turn.push(Action::Left);
                }
                return false;
            }
            MemberState::Leaving { .. } => return false,
            _ => {}
        }
        if !self.holdings.owned().is_empty() {
            // Between two generations no commit counts, and a listener may want to make one.
            if self.state.is_between() {
                return false;
            }
            return self.revoke(self.holdings.owned().to_vec(), turn);
        }
        let why = match self.goal {
            Goal::Closed | Goal::Left => "the consumer is being closed",
            Goal::Out | Goal::In => "the consumer unsubscribed from all topics",
            Goal::Paused | Goal::Stopped => "the member cannot go on",
        };
        self.depart(why, turn);
        true
    }

    /// Out of the group, and the group is told if it can be.
    fn depart(&mut self, why: &'static str, turn: &mut Turn) {
        // A static member comes back, or its session ends (KIP-345).
        let is_known = !self.member_id.is_empty() && self.settings.instance_id.is_none();
        let member_id = std::mem::take(&mut self.member_id);
        self.session.pending = None;
        self.state = MemberState::Outside;
        turn.push(Action::Rest);
        if is_known && self.session.is_coordinator_known() {
            let request = Request::Leave(LeaveGroup {
                group: self.settings.group.clone(),
                members: vec![(member_id, None)],
                reason: Some(why.into()),
            });
            let call = self.send(request, self.beat_timeout(), turn);
            self.state = MemberState::Leaving { call };
        }
    }

    fn join(&mut self, turn: &mut Turn) {
        let MemberState::Unjoined { from, why } = &mut self.state else {
            return;
        };
        let (from, why) = (*from, why.take());
        let terms = Terms {
            topics: self.subscription.clone(),
            brought: self.holdings.owned().to_vec(),
        };
        let (given, given_in) = &self.given;
        let mut topics = self.subscription.to_vec();
        topics.sort_unstable();
        topics.dedup();
        let metadata = |assignor: &Assignor| {
            let subscription = Subscription {
                topics: topics.clone(),
                user_data: assignor.user_data(given, *given_in),
                owned: terms.brought.clone(),
                generation: from,
                rack: self.settings.rack.clone(),
            };
            (assignor.name().into(), subscription.encode())
        };
        let settings = &self.settings;
        let request = Request::Join(JoinGroup {
            group: settings.group.clone(),
            session_timeout: settings.session_timeout,
            rebalance_timeout: settings.rebalance_timeout,
            member_id: self.member_id.clone(),
            instance_id: settings.instance_id.clone(),
            protocols: settings.assignors.iter().map(metadata).collect(),
            reason: why.map(shortened),
        });
        let limit = settings.rebalance_timeout.saturating_add(JOIN_LAPSE);
        let limit = limit.max(settings.request_timeout);
        let call = self.send(request, limit, turn);
        self.state = MemberState::Joining { call, from, terms };
    }

    fn send(&mut self, request: Request, timeout: Duration, turn: &mut Turn) -> CallId {
        self.calls += 1;
        turn.push(Action::Send {
            call: self.calls,
            request,
            timeout,
        });
        self.calls
    }

    /// What goes with what, after each event.
    #[cfg(debug_assertions)]
    fn check(&self) {
        self.holdings.check();
        let (state, holdings) = (&self.state, &self.holdings);
        let is_member = state.generation().is_some();
        assert!(
            !is_member || !self.member_id.is_empty(),
            "a member without an id: {self:?}"
        );
        assert!(
            !is_member || !holdings.are_lost(),
            "lost as a member: {self:?}"
        );
        let is_done = holdings.are_at_rest();
        let is_empty = holdings.owned().is_empty();
        assert!(
            !state.is_out() || !is_done || is_empty,
            "partitions of nobody: {self:?}"
        );
        let is_late = matches!(state, MemberState::Outside) && self.goal == Goal::In;
        assert!(!is_late || !is_done, "an idle outsider: {self:?}");
        if let (MemberState::Stable(generation), Goal::In, true) = (state, self.goal, is_done) {
            let why = generation.why_over(holdings.owned(), &self.subscription);
            assert!(why.is_none(), "stable though {why:?}: {self:?}");
        }
        let is_beating = self.session.pending.is_some();
        assert!(
            !is_beating || !state.is_out(),
            "an outsider's heartbeat: {self:?}"
        );
    }
}

/// As much of a reason as a broker takes (KIP-800).
fn shortened(reason: Reason) -> Reason {
    const MOST: usize = 255;
    match reason.char_indices().nth(MOST) {
        Some((end, _)) => reason.get(..end).unwrap_or_default().into(),
        None => reason,
    }
}
