//! What a member of a group is to the tasks around it, whichever of the two protocols it speaks.
//!
//! Events go in, actions come out, and whoever tells of an event has to do what comes out of it. Of the actions that
//! touch the application's partitions (`Revoke`, `Assign`, `Lose`) one at a time is asked for, and ended by
//! [`Event::Done`].
//!
//! A protocol is a [`Member`] in a file of its own, as `classic.rs` is. What it alone sends, is answered or has to look
//! up is a variant of [`Request`], [`Answer`], [`Action`] and [`Event`]; partitions, sessions, commits and losses are
//! the same for all: in the newer protocol (KIP-848) a generation is the member's epoch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::assign::PartitionCounts;
use crate::error::{Error, ErrorCode};
use crate::types::{TopicName, TopicPartition};
use crate::wire::{GroupMember, Heartbeat, JoinGroup, LeaveGroup, SyncGroup};

/// One member.
pub(crate) trait Member: Send {
    /// Takes what happened; `jitter` is a random number from 0.0 to 1.0 for its backoffs.
    fn handle(&mut self, event: Event, now: Instant, jitter: f64) -> Actions;

    /// When [`Event::Wake`] is due.
    fn wake_at(&self) -> Option<Instant>;

    /// Whether the member waits for [`Event::Polled`].
    fn is_paused(&self) -> bool;

    /// As what the member may commit offsets.
    fn standing(&self) -> MemberStanding;
}

/// What a member wants done, in this order.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Actions(Vec<Action>);

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::vec::IntoIter<Action>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One event's turn: the time, the random number, and what is to be done so far.
pub(super) struct Turn {
    pub(super) now: Instant,
    pub(super) jitter: f64,
    pub(super) actions: Actions,
}

impl Turn {
    pub(super) fn new(now: Instant, jitter: f64) -> Self {
        Self {
            now,
            jitter,
            actions: Actions::default(),
        }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.0.push(action);
    }
}

/// Tells the answers to requests apart.
pub(crate) type CallId = u64;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The application wants these topics; without any it leaves the group.
    Subscribe(Arc<[TopicName]>),
    /// The time of `wake_at` has come.
    Wake,
    /// The application asks for records again, after it was told of an error.
    Polled,
    /// `max.poll.interval.ms`, which is this long, passed without a call of the application.
    PollExpired(Duration),
    /// The coordinator is known.
    Found,
    /// The coordinator could not be found.
    NotFound(Error),
    /// A request waits at a broker that is the coordinator no longer.
    Moved,
    /// A request was answered, or will not be.
    Answer(CallId, Result<Answer, Error>),
    /// Partitions of the topics last asked for with [`Action::Count`]; again whenever some may have changed.
    Counts(PartitionCounts),
    /// The last `Revoke`, `Assign` or `Lose` is carried out.
    Done,
    /// A commit of this generation was refused.
    Refused { generation: i32, code: ErrorCode },
    /// The consumer is being closed.
    Leave,
}

/// An answer, as far as the member reads it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Join(ErrorCode, Joined),
    Sync(ErrorCode, Bytes),
    Heartbeat(ErrorCode),
    Leave,
}

/// What a successful JoinGroup tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) leader: Arc<str>,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: Arc<str>,
    /// For the leader alone.
    pub(crate) members: Vec<GroupMember>,
    /// Of a refused one, what the brokers said when they were asked, if they could be.
    pub(crate) grounds: Option<Grounds>,
}

/// What lies behind a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grounds {
    /// The member has no assignor in common with this group.
    Group(Described),
    /// The sessions that the brokers take, in milliseconds.
    Sessions { least: u64, most: u64 },
}

/// What a group says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Of which kind its members are: `consumer` for consumers.
    pub(crate) kind: Arc<str>,
    /// What its members agreed on.
    pub(crate) assignor: Arc<str>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Look for the coordinator, and not where it was: answered by `Found` or `NotFound`.
    Find,
    /// Send this to the coordinator: answered by `Answer`.
    Send {
        call: CallId,
        request: Request,
        timeout: Duration,
    },
    /// Tell how many partitions these topics have, now and when that changes: answered by `Counts`.
    Count(Vec<TopicName>),
    /// Hand out nothing until `HandOut`: the coordinator is silent, and what the member has may be another one's.
    Withhold,
    /// Hand out again what was withheld.
    HandOut,
    /// Hand out nothing more of these, which are lost; asked for while something else is being done.
    Stop(Vec<TopicPartition>),
    /// Stop these, let the application come to an end with them until then at the latest, commit, and take them away.
    Revoke {
        partitions: Vec<TopicPartition>,
        until: Instant,
    },
    /// Give these to the application.
    Assign(Vec<TopicPartition>),
    /// Take these away: they may belong to another member already.
    Lose {
        partitions: Vec<TopicPartition>,
        why: Loss,
    },
    /// An assignment is carried out, or the group is left: what was given up before does not come back any more.
    Rest,
    /// Tell the application; the member may go on.
    Fail(Error),
    /// Tell the application that the member will not go on.
    End(Error),
    /// A member's metadata cannot be read: it is given nothing.
    Unreadable {
        member_id: Arc<str>,
        reason: Arc<str>,
    },
    /// The member has left for good.
    Left,
}

/// Why partitions are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The coordinator does not know the member any more.
    Expired,
    /// The group is in a later generation.
    LeftBehind,
    /// Another member has the same instance id.
    Fenced,
    /// The application did not call in time.
    PollInterval,
    /// The group will not have the member.
    Refused,
}

/// What a member sends.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Join(JoinGroup),
    Sync(SyncGroup),
    Heartbeat(Heartbeat),
    Leave(LeaveGroup),
}

/// As what offsets may be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberStanding {
    /// As a member of this generation.
    Member(MemberIdentity),
    /// As a member of this generation, while it joins the next one: the group may have gone on to that already.
    Joining(MemberIdentity),
    /// As no member: nothing is subscribed to, and the partitions are the application's own choice.
    Alone,
    /// Not now: the group is between two generations.
    Rebalancing,
    /// Not at all.
    Outside,
}

impl MemberStanding {
    /// Whether what was begun as `self` may go on as `other`.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(one) | Self::Joining(one), Self::Member(two) | Self::Joining(two)) => {
                one == two
            }
            _ => self == other,
        }
    }
}

/// A member of one generation, as its commits name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberIdentity {
    pub(crate) generation: i32,
    pub(crate) member_id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
}
