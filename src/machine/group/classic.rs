//! A member of a group of the classic protocol.
//!
//! ```text
//!            subscribe             prepared             joined: follower            synced
//!   Outside ──────────▶ Preparing ─────────▶ Joining ───────────────────▶ Syncing ─────────▶ Settling
//!     ▲                   ▲                   ▲   │ leader               ▲  │                   │ done
//!     │ left              │ rejoin            │   └───────▶ Counting ────┘  │ refused           ▼
//!   Leaving ◀── leave ──  │                   └─────────────────────────────┘                 Stable
//!                         └───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Preparing: an eager member gives everything up, a cooperative one what it wants no longer. Settling: a
//! cooperative member first gives up what the assignment does not have, then takes what is new in it, and joins
//! again when it gave something up. Whenever the coordinator says, or must be taken to have decided, that this is no
//! member of the generation any more, what is owned is lost, and the way begins anew at Joining.
//!
//! Invariant: `owned` changes only when the work that was asked for is done.

mod advice;
mod answer;
mod beat;
mod lead;
mod outcome;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::member::{Action, CallId, Event, Identity, Loss, Member, Request, Standing, Turn};
use super::protocol::Subscription;
use crate::config::{Assignor, Backoff};
use crate::error::Error;
use crate::types::{TopicName, TopicPartition, after};
use crate::wire::{JoinGroup, LeaveGroup};
use beat::Beat;
use lead::Lead;
use verdict::{Call, unanswered, verdict};

/// How long a join may take beyond the rebalance timeout, as in Java.
const JOIN_LAPSE: Duration = Duration::from_secs(5);

/// What one member is set to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) group: Arc<str>,
    /// `group.instance.id` (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub(crate) rack: Option<Arc<str>>,
    /// The most wanted first; at least one.
    pub(crate) assignors: Vec<Assignor>,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub(crate) rebalance_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) backoff: Backoff,
}

/// Where the member is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Outside,
    Preparing,
    Joining,
    /// The leader learns how many partitions there are.
    Counting,
    Syncing,
    /// The assignment is being carried out.
    Settling(Vec<TopicPartition>),
    Stable,
    /// The leave request is on its way.
    Leaving,
}

/// Where the member is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    In,
    /// Outside until the application asks for records again.
    Paused,
    /// Outside, without a subscription.
    Out,
    /// Outside, since no try can succeed.
    Stopped,
    /// Outside, and the consumer is closed.
    Closed,
}

/// What is being done with the application's partitions.
#[derive(Clone, Debug)]
enum Work {
    Revoke(Vec<TopicPartition>),
    Assign(Vec<TopicPartition>),
    Lose(Vec<TopicPartition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coordinator {
    Unknown,
    Sought,
    Known,
}

/// One member's state.
#[derive(Debug)]
pub(crate) struct Classic {
    settings: Settings,
    goal: Goal,
    phase: Phase,
    coordinator: Coordinator,
    subscription: Arc<[TopicName]>,
    /// With which it joined last.
    joined_with: Arc<[TopicName]>,
    /// Chosen by the coordinator, empty before that.
    member_id: Arc<str>,
    /// `None` while this is a member of no generation.
    generation: Option<i32>,
    protocol: Option<Assignor>,
    owned: Vec<TopicPartition>,
    /// What is owned must be given up without notice.
    lost: Option<Loss>,
    work: Option<Work>,
    /// Why to join again, in words for the broker's log (KIP-800).
    rejoin: Option<Arc<str>>,
    /// Why to leave, in such words.
    leave: &'static str,
    calls: CallId,
    /// The join, sync or leave that is not answered yet.
    pending: Option<CallId>,
    beat: Beat,
    lead: Option<Lead>,
    /// The last assignment, with its generation.
    given: (Vec<TopicPartition>, Option<i32>),
    /// In a row.
    failures: u32,
    /// Nothing is tried before.
    retry_at: Option<Instant>,
    has_left: bool,
}

impl Member for Classic {
    fn handle(&mut self, event: Event, turn: &mut Turn<'_>) {
        self.take(event, turn);
        self.check_session(turn);
        while self.step(turn) {}
        self.pulse(turn);
    }

    fn wake_at(&self) -> Option<Instant> {
        let retry = self.retry_at.filter(|_| self.wants_coordinator());
        [retry, self.beat_at(), self.session_end()]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_paused(&self) -> bool {
        self.goal == Goal::Paused
    }

    fn standing(&self) -> Standing {
        match (&self.phase, self.generation) {
            (Phase::Outside, _) if self.subscription.is_empty() => Standing::Alone,
            (_, None) | (Phase::Outside | Phase::Leaving, _) => Standing::Outside,
            // The coordinator takes the old generation's commits until the new one begins.
            (Phase::Counting | Phase::Syncing, _) => Standing::Rebalancing,
            (phase, Some(generation)) => {
                let identity = Identity {
                    generation,
                    member_id: self.member_id.clone(),
                    instance_id: self.settings.instance_id.clone(),
                };
                match phase {
                    Phase::Joining => Standing::Joining(identity),
                    _ => Standing::Member(identity),
                }
            }
        }
    }
}

impl Classic {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            goal: Goal::Out,
            phase: Phase::Outside,
            coordinator: Coordinator::Unknown,
            subscription: Arc::default(),
            joined_with: Arc::default(),
            member_id: Arc::default(),
            generation: None,
            protocol: None,
            owned: Vec::new(),
            lost: None,
            work: None,
            rejoin: None,
            leave: "",
            calls: 0,
            pending: None,
            beat: Beat::new(now),
            lead: None,
            given: (Vec::new(), None),
            failures: 0,
            retry_at: None,
            has_left: false,
        }
    }

    /// Whether partitions are kept while the member joins: where every assignor allows it, as in Java.
    fn is_cooperative(&self) -> bool {
        self.settings.assignors.iter().all(|a| a.is_cooperative())
    }

    fn take(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Wake => {}
            Event::Subscribe(topics) => self.subscribe(topics),
            Event::Polled if self.goal == Goal::Paused => self.goal = Goal::In,
            Event::Polled => {}
            Event::PollExpired(limit) => {
                let is_in = !matches!(self.phase, Phase::Outside | Phase::Leaving);
                match self.goal {
                    Goal::In => self.expire(limit, turn),
                    Goal::Out | Goal::Closed if is_in => self.expire(limit, turn),
                    _ => {}
                }
            }
            Event::Found => {
                self.coordinator = Coordinator::Known;
                // A heartbeat tells at once whether the new one knows the member.
                self.beat.next = turn.now;
            }
            Event::NotFound(error) => {
                self.coordinator = Coordinator::Unknown;
                self.obey(unanswered(Call::Find, &error), Call::Find, error, turn);
            }
            Event::Moved => self.moved(turn),
            Event::Answer(call, answer) => self.answered(call, answer, turn),
            Event::Counts(counts) => self.counted(counts, turn),
            Event::Done => self.finish_work(),
            Event::Refused { generation, code } => {
                if self.generation == Some(generation) && !self.may_be_next(Some(code)) {
                    let error = Error::broker(code, None, "committing offsets");
                    self.obey(verdict(Call::Heartbeat, code), Call::Heartbeat, error, turn);
                }
            }
            Event::Leave => {
                self.goal = Goal::Closed;
                self.leave = "the consumer is being closed";
            }
        }
    }

    /// The group gets back what the member has, without a wait for the application or its listener: neither may return.
    fn expire(&mut self, limit: Duration, turn: &mut Turn<'_>) {
        self.leave = "consumer poll timeout has expired.";
        self.fence(Loss::PollInterval, false, turn);
        if self.goal != Goal::Closed {
            turn.push(Action::Fail(Error::PollInterval { limit }));
        }
        if self.goal == Goal::In {
            self.goal = Goal::Paused;
        }
        if !matches!(self.phase, Phase::Outside | Phase::Leaving) {
            self.depart(turn);
        }
    }

    fn subscribe(&mut self, topics: Arc<[TopicName]>) {
        self.subscription = topics;
        if matches!(self.goal, Goal::Stopped | Goal::Closed) {
            return;
        }
        if self.subscription.is_empty() {
            self.goal = Goal::Out;
            self.leave = "the consumer unsubscribed from all topics";
        } else if self.goal == Goal::Out {
            self.goal = Goal::In;
        }
    }

    /// Does one thing that is due; whether there may be another one.
    fn step(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.work.is_some() {
            return false;
        }
        if let Some(why) = self.lost.take() {
            return self.lose(why, turn);
        }
        if self.goal != Goal::In {
            return self.get_out(turn);
        }
        match &self.phase {
            Phase::Outside => {
                self.phase = Phase::Joining;
                true
            }
            Phase::Stable => self.prepare(turn),
            Phase::Preparing => {
                self.phase = Phase::Joining;
                true
            }
            Phase::Joining => {
                if self.pending.is_none() && self.is_ready(turn) {
                    self.join(turn);
                }
                false
            }
            Phase::Settling(assignment) => {
                let assignment = assignment.clone();
                self.settle(&assignment, turn)
            }
            Phase::Counting | Phase::Syncing | Phase::Leaving => false,
        }
    }

    /// Gives up what must be given up before joining again, if the member is to join again.
    fn prepare(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.subscription != self.joined_with {
            self.rejoin
                .get_or_insert_with(|| "subscription has changed".into());
        }
        if self.rejoin.is_none() {
            return false;
        }
        let mut given_up = self.owned.clone();
        if self.is_cooperative() {
            given_up.retain(|partition| !self.subscription.contains(partition.name()));
        }
        self.phase = Phase::Preparing;
        self.revoke(given_up, turn)
    }

    /// Carries the assignment out.
    fn settle(&mut self, assignment: &[TopicPartition], turn: &mut Turn<'_>) -> bool {
        let without = |all: &[TopicPartition], those: &[TopicPartition]| -> Vec<_> {
            let left = all.iter().filter(|p| those.binary_search(p).is_err());
            left.cloned().collect()
        };
        let gone = without(&self.owned, assignment);
        if !gone.is_empty() {
            self.rejoin = Some("need to revoke partitions and re-join".into());
            return self.revoke(gone, turn);
        }
        let new = without(assignment, &self.owned);
        if new.is_empty() {
            self.phase = Phase::Stable;
            turn.push(Action::Rest);
            return true;
        }
        self.work = Some(Work::Assign(new.clone()));
        turn.push(Action::Assign(new));
        false
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>, turn: &mut Turn<'_>) -> bool {
        if partitions.is_empty() {
            return true;
        }
        self.work = Some(Work::Revoke(partitions.clone()));
        // The group waits for this member as long as that, and the member heard of it up to a heartbeat late.
        let limit = self.settings.rebalance_timeout.mul_f64(0.9);
        let limit = limit.saturating_sub(self.settings.heartbeat_interval);
        let until = after(turn.now, limit);
        turn.push(Action::Revoke { partitions, until });
        false
    }

    fn lose(&mut self, why: Loss, turn: &mut Turn<'_>) -> bool {
        if self.owned.is_empty() {
            return true;
        }
        let partitions = self.owned.clone();
        self.work = Some(Work::Lose(partitions.clone()));
        turn.push(Action::Lose { partitions, why });
        false
    }

    fn finish_work(&mut self) {
        match self.work.take() {
            None => {}
            Some(Work::Assign(partitions)) => {
                self.owned.extend(partitions);
                self.owned.sort_unstable();
            }
            Some(Work::Revoke(partitions) | Work::Lose(partitions)) => {
                self.owned.retain(|p| partitions.binary_search(p).is_err());
            }
        }
    }

    /// One step on the way out of the group.
    fn get_out(&mut self, turn: &mut Turn<'_>) -> bool {
        match self.phase {
            Phase::Outside => {
                if self.goal == Goal::Closed && !self.has_left {
                    self.has_left = true;
                    turn.push(Action::Left);
                }
                return false;
            }
            Phase::Leaving => return false,
            _ => {}
        }
        if !self.owned.is_empty() {
            // Between two generations no commit counts, and a listener may want to make one.
            if matches!(self.phase, Phase::Counting | Phase::Syncing) {
                return false;
            }
            // The group takes them for this member's: should it stay after all, it must join again to have them.
            if self.phase == Phase::Stable {
                self.rejoin = Some("partitions were given up while leaving".into());
            }
            return self.revoke(self.owned.clone(), turn);
        }
        self.depart(turn);
        true
    }

    /// Out of the group, and the group is told if it can be.
    fn depart(&mut self, turn: &mut Turn<'_>) {
        // A static member comes back, or its session ends (KIP-345).
        let is_known = !self.member_id.is_empty() && self.settings.instance_id.is_none();
        let member_id = std::mem::take(&mut self.member_id);
        self.forget_calls();
        self.generation = None;
        self.lead = None;
        self.rejoin = None;
        self.phase = Phase::Outside;
        turn.push(Action::Rest);
        if is_known && self.coordinator == Coordinator::Known {
            self.phase = Phase::Leaving;
            let request = Request::Leave(LeaveGroup {
                group: self.settings.group.clone(),
                members: vec![(member_id, None)],
                reason: Some(self.leave.into()),
            });
            self.pending = Some(self.send(request, self.beat_timeout(), turn));
        }
    }

    fn join(&mut self, turn: &mut Turn<'_>) {
        self.joined_with = self.subscription.clone();
        self.lead = None;
        let (given, given_in) = &self.given;
        let mut topics = self.subscription.to_vec();
        topics.sort_unstable();
        topics.dedup();
        let metadata = |assignor: &Assignor| {
            let subscription = Subscription {
                topics: topics.clone(),
                user_data: assignor.user_data(given, *given_in),
                owned: self.owned.clone(),
                generation: self.generation,
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
            reason: self.rejoin.take().map(shortened),
        });
        let limit = settings.rebalance_timeout.saturating_add(JOIN_LAPSE);
        let limit = limit.max(settings.request_timeout);
        self.pending = Some(self.send(request, limit, turn));
    }

    fn send(&mut self, request: Request, timeout: Duration, turn: &mut Turn<'_>) -> CallId {
        self.calls += 1;
        turn.push(Action::Send {
            call: self.calls,
            request,
            timeout,
        });
        self.calls
    }
}

/// As much of a reason as a broker takes (KIP-800).
fn shortened(reason: Arc<str>) -> Arc<str> {
    const MOST: usize = 255;
    match reason.char_indices().nth(MOST) {
        Some((end, _)) => reason.get(..end).unwrap_or_default().into(),
        None => reason,
    }
}
