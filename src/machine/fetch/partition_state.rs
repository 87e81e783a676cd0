//! One assigned partition: where it is read, what is buffered, and what is missing before it can be fetched.
//!
//! ```text
//!            begin              found                 epoch changed
//!   Held ──────────▶ Committed ───────▶ Fetching ◀──────────────────▶ Validating
//!     │                  │ none           ▲  │                            │ truncated
//!     │ without a group  ▼          found │  │ out of range               ▼
//!     └─────────────▶ Resetting ──────────┘◀─┘             Fetching at the cut, or Stuck
//! ```
//!
//! Invariant: what was fetched or looked up under an older `version` is never used.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::completed_fetch::CompletedFetch;
use super::position::{Answered, Need, Position, Start, Wanted};
use crate::error::ErrorCode;
use crate::types::{BrokerId, TopicId, TopicPartition, after};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Assigned, and not begun.
    Held,
    /// The group's committed offset is wanted.
    Committed,
    /// The offset of `Start` is wanted.
    Resetting(Start),
    /// Whether the log still has what was read is to be asked.
    Validating,
    Fetching,
    /// The application was told of an error and must seek.
    Stuck,
}

/// An assigned partition.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) name: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: i32,
    /// Another number after each change that voids what is fetched or looked up; unique among all partitions.
    pub(crate) version: u64,
    pub(crate) paused: bool,
    /// Nothing is handed out any more: the partition is being given up.
    pub(crate) stopped: bool,
    /// Behind the last record handed out.
    pub(crate) handed: Position,
    /// Behind the last record that the application is done with.
    pub(crate) done: Position,
    /// The last offsets that nothing which could be handed out was at: the first, and the position behind them.
    unseen: Option<(i64, Position)>,
    /// As committed last, by this consumer or whoever had the partition before.
    pub(crate) committed: Option<i64>,
    /// Waits in the line of those that have something to hand out.
    pub(crate) in_line: bool,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// The application is being told of the assignment: even where it has sought to, nothing is fetched.
    held: bool,
    stage: Stage,
    next: Position,
    completed: VecDeque<CompletedFetch>,
    buffered: usize,
    blocked: bool,
    /// The log does not have what is to be fetched next: what is buffered is handed out before that is asked for again.
    drains: bool,
    replica: Option<(BrokerId, Instant)>,
    /// Another broker is to fetch it, or the same one in another way: its loop was not told yet.
    moved: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// A lookup is under way.
    is_asked: bool,
    /// What the application was told last, and not again before something else happens.
    told: Option<ErrorCode>,
}

const NOWHERE: Position = Position {
    offset: -1,
    leader_epoch: -1,
};

impl PartitionState {
    /// Assigned, and not fetched yet.
    pub(crate) fn held(name: TopicPartition, version: u64) -> Self {
        Self {
            name,
            topic_id: TopicId::ZERO,
            leader: None,
            leader_epoch: -1,
            version,
            paused: false,
            stopped: false,
            handed: NOWHERE,
            done: NOWHERE,
            unseen: None,
            committed: None,
            in_line: false,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            held: true,
            stage: Stage::Held,
            next: NOWHERE,
            completed: VecDeque::new(),
            buffered: 0,
            blocked: false,
            drains: false,
            replica: None,
            moved: false,
            failures: 0,
            not_before: None,
            is_asked: false,
            told: None,
        }
    }

    /// Lets it be fetched, unless the application has sought meanwhile: from `start`, or else from the
    /// committed offset.
    pub(crate) fn begin(&mut self, start: Option<Start>) {
        if self.stage == Stage::Held {
            self.stage = start.map_or(Stage::Committed, Stage::Resetting);
        }
        self.held = false;
        self.moved = true;
    }

    /// Whether it has not begun, and the application has not sought.
    pub(crate) fn is_held(&self) -> bool {
        self.stage == Stage::Held
    }

    /// The position, where there is one.
    pub(crate) fn position(&self) -> Option<Position> {
        (self.handed.offset >= 0).then_some(self.handed)
    }

    /// Whether it is known where it is read from.
    pub(crate) fn is_positioned(&self) -> bool {
        matches!(self.stage, Stage::Fetching | Stage::Validating) && !self.held
    }

    pub(crate) fn is_fetching(&self) -> bool {
        self.stage == Stage::Fetching && !self.held
    }

    /// Whether the application must seek before anything can be read.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stage == Stage::Stuck
    }

    /// Goes on from `position`; `version` is a new one. Returns the bytes that were buffered.
    pub(crate) fn seek(&mut self, position: Position, version: u64) -> usize {
        let freed = self.void(version);
        self.move_to(position);
        freed
    }

    /// Goes on from an offset that is to be looked up. Returns the bytes that were buffered.
    pub(crate) fn reset(&mut self, start: Start, version: u64) -> usize {
        let freed = self.void(version);
        (self.handed, self.next) = (NOWHERE, NOWHERE);
        self.stage = Stage::Resetting(start);
        self.not_before = None;
        freed
    }

    /// Waits for the application to seek. Returns the bytes that were buffered.
    pub(crate) fn stick(&mut self, version: u64) -> usize {
        let freed = self.void(version);
        self.stage = Stage::Stuck;
        freed
    }

    /// Drops what is buffered, to be fetched again from the position. Returns the bytes that were buffered.
    pub(crate) fn refetch(&mut self, version: u64) -> usize {
        let freed = self.void(version);
        self.next = self.handed;
        if self.stage == Stage::Validating {
            // It was another position whose epoch was to be asked for.
            self.stage = Stage::Fetching;
            self.check_epoch();
        }
        freed
    }

    /// Fetches nothing more before what is buffered was handed out; `false` when nothing is.
    pub(crate) fn drain(&mut self) -> bool {
        self.drains = self.is_ahead();
        self.drains
    }

    fn is_draining(&self) -> bool {
        self.drains && self.is_ahead()
    }

    /// Whether what had to be handed out first was, since it was asked last.
    pub(crate) fn take_drained(&mut self) -> bool {
        let is_over = self.drains && !self.is_ahead();
        self.drains &= !is_over;
        is_over
    }

    /// Whether more was fetched than was handed out.
    pub(crate) fn is_ahead(&self) -> bool {
        self.handed.offset >= 0 && self.next.offset > self.handed.offset
    }

    /// What was fetched ahead may not be in the log any more: fetches it again from the position, which is asked for
    /// anew. Returns the bytes that were buffered.
    pub(crate) fn rewind(&mut self, version: u64) -> usize {
        let freed = self.refetch(version);
        self.stage = Stage::Fetching;
        self.not_before = None;
        self.check_epoch();
        freed
    }

    /// Nothing that was read counts for the log as it is now.
    pub(crate) fn forget(&mut self) {
        (self.handed, self.done, self.next) = (NOWHERE, NOWHERE, NOWHERE);
        self.committed = None;
        self.unseen = None;
    }

    fn void(&mut self, version: u64) -> usize {
        self.version = version;
        self.is_asked = false;
        self.told = None;
        self.completed.clear();
        self.blocked = false;
        self.drains = false;
        std::mem::take(&mut self.buffered)
    }

    fn move_to(&mut self, position: Position) {
        (self.handed, self.done, self.next) = (position, position, position);
        self.unseen = None;
        self.stage = Stage::Fetching;
        self.failures = 0;
        self.not_before = None;
        self.check_epoch();
    }

    /// A leader of another epoch than the position's may not have all that was read.
    fn check_epoch(&mut self) {
        let (read, now) = (self.next.leader_epoch, self.leader_epoch);
        if self.stage == Stage::Fetching && read >= 0 && now >= 0 && read != now {
            self.stage = Stage::Validating;
        }
    }

    /// Whether this is the id of another topic than the one that was read.
    pub(crate) fn is_other_topic(&self, id: TopicId) -> bool {
        let is_other = self.topic_id != TopicId::ZERO && id != TopicId::ZERO && self.topic_id != id;
        is_other && self.handed.offset >= 0
    }

    /// Whether this may be the id of the topic that is read.
    pub(crate) fn is_of_topic(&self, id: TopicId) -> bool {
        id == TopicId::ZERO || self.topic_id == TopicId::ZERO || self.topic_id == id
    }

    /// The cluster's newest word on the partition.
    pub(crate) fn lead_by(&mut self, leader: Option<BrokerId>, epoch: i32, id: TopicId) {
        let is_new = self.leader != leader || self.leader_epoch != epoch || self.topic_id != id;
        (self.leader, self.leader_epoch, self.topic_id) = (leader, epoch, id);
        if is_new {
            self.not_before = None;
            self.replica = None;
            self.moved = true;
            self.check_epoch();
        }
    }

    /// Whether the loop of the broker to fetch from is to be told of this partition.
    pub(crate) fn take_moved(&mut self, now: Instant) -> bool {
        let is_over = self.replica.take_if(|(_, until)| *until <= now).is_some();
        std::mem::take(&mut self.moved) || is_over
    }

    /// What is to be looked up, if anything, and if it is time.
    pub(crate) fn need(&self, now: Instant) -> Option<Need> {
        let need = match self.stage {
            Stage::Committed => Need::Committed,
            Stage::Resetting(start) => Need::Offset(start),
            Stage::Validating => Need::EndOf {
                position: self.next,
            },
            Stage::Held | Stage::Fetching | Stage::Stuck => return None,
        };
        let is_free = !self.is_asked && !self.stopped && !self.held;
        (is_free && !self.is_waiting(now)).then_some(need)
    }

    /// A lookup begins; `failed` or what it finds ends it.
    pub(crate) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Whether the application is to be told of this error: it was not told of the same just before.
    pub(crate) fn is_news(&mut self, code: ErrorCode) -> bool {
        self.told.replace(code) != Some(code)
    }

    /// When something is to be tried again.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Whether trying again waits for its time.
    pub(crate) fn is_waiting(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|at| at > now)
    }

    /// The log of the leader of this epoch still has what was read.
    pub(crate) fn validated(&mut self, leader_epoch: i32) {
        if self.stage == Stage::Validating {
            self.stage = Stage::Fetching;
            self.is_asked = false;
            self.told = None;
            // The same question is not asked again for the same leader.
            self.next.leader_epoch = leader_epoch;
            self.failures = 0;
            self.not_before = None;
            self.check_epoch();
        }
    }

    /// A try failed; `delay` makes of the number of failures how long to wait.
    pub(crate) fn failed(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.is_asked = false;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(after(now, delay(self.failures)));
    }

    /// The broker to fetch from: the leader, or a nearer replica that it has named (KIP-392).
    pub(crate) fn fetch_node(&self, now: Instant) -> Option<BrokerId> {
        match self.replica {
            Some((replica, until)) if now < until => Some(replica),
            _ => self.leader,
        }
    }

    /// Fetches from this replica until then.
    pub(crate) fn prefer(&mut self, replica: BrokerId, until: Instant) {
        self.replica = Some((replica, until));
        self.moved = true;
    }

    /// Back to the leader; `false` when it was fetched from the leader already.
    pub(crate) fn forget_replica(&mut self) -> bool {
        let is_left = self.replica.take().is_some();
        self.moved |= is_left;
        is_left
    }

    /// Back to the leader if it is fetched from this replica; `false` when it is not.
    pub(crate) fn leave_replica(&mut self, broker: BrokerId) -> bool {
        let left = self.replica.take_if(|(replica, _)| *replica == broker);
        self.moved |= left.is_some();
        left.is_some()
    }

    /// When it goes back to the leader.
    pub(crate) fn replica_until(&self) -> Option<Instant> {
        self.replica.map(|(_, until)| until)
    }

    /// Whether it can be fetched, apart from the room that it needs.
    pub(crate) fn is_fetchable(&self, now: Instant) -> bool {
        let is_held_up = self.paused || self.stopped || self.blocked || self.is_draining();
        self.is_fetching() && !is_held_up && !self.is_waiting(now)
    }

    /// Whether asking for it now would be asking the same again.
    pub(super) fn is_asked_by(&self, wanted: &Wanted) -> bool {
        wanted.version == self.version
            && wanted.offset == self.next.offset
            && wanted.leader_epoch == self.leader_epoch
            && wanted.topic_id == self.topic_id
    }

    /// What to ask the broker for.
    pub(crate) fn wanted(&self, index: u32) -> Wanted {
        Wanted {
            index,
            version: self.version,
            partition: self.name.clone(),
            topic_id: self.topic_id,
            leader_epoch: self.leader_epoch,
            offset: self.next.offset,
        }
    }

    /// Bytes fetched and not yet handed out.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Whether an answer to `wanted` is still of use.
    pub(crate) fn expects(&self, wanted: &Wanted) -> bool {
        self.version == wanted.version
            && self.stage == Stage::Fetching
            && self.next.offset == wanted.offset
            && !self.stopped
    }

    /// Takes what was fetched.
    pub(crate) fn answered(&mut self, answer: Answered) {
        self.failures = 0;
        self.not_before = None;
        self.told = None;
        if answer.high_watermark >= 0 {
            self.high_watermark = answer.high_watermark;
        }
        if answer.last_stable_offset >= 0 {
            self.last_stable_offset = answer.last_stable_offset;
        }
        if answer.log_start_offset >= 0 {
            self.log_start_offset = answer.log_start_offset;
        }
        self.blocked |= answer.is_damaged;
        if let Some(next) = answer.next {
            self.next = next;
        }
        if let Some(mut completed) = answer.completed {
            self.buffered += completed.size();
            if self.paused {
                completed.shelve();
            }
            self.completed.push_back(completed);
        }
    }

    /// Hands out nothing, and keeps what is buffered; or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.completed.iter_mut().for_each(CompletedFetch::shelve);
        }
    }

    /// Whether there is something to hand out now.
    pub(crate) fn has_some(&self) -> bool {
        !self.completed.is_empty() && !self.paused && !self.stopped
    }

    /// The oldest completed fetch; its bytes stay counted until `release`.
    pub(crate) fn take_completed(&mut self) -> Option<CompletedFetch> {
        self.completed.pop_front()
    }

    /// Puts a completed fetch back that was not used up.
    pub(crate) fn return_completed(&mut self, mut completed: CompletedFetch) {
        if self.paused {
            completed.shelve();
        }
        self.completed.push_front(completed);
    }

    /// A completed fetch of so many bytes was used up.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.buffered = self.buffered.saturating_sub(bytes);
    }

    /// There is nothing to hand out before `position`, from where was handed out up to.
    pub(crate) fn pass(&mut self, (offset, leader_epoch): (i64, i32)) {
        let from = self.handed.offset;
        if offset <= from {
            return;
        }
        self.handed = Position {
            offset,
            leader_epoch,
        };
        let first = match self.unseen {
            Some((first, end)) if end.offset == from => first,
            _ => from,
        };
        self.unseen = Some((first, self.handed));
    }

    /// The position behind a record and what follows it that nobody is handed, as far as that was seen; `offset` is
    /// the one behind the record itself.
    pub(crate) fn behind(&self, offset: i64) -> Option<Position> {
        let (first, end) = self.unseen?;
        (first == offset).then_some(end)
    }

    /// Records before `position` were handed out.
    pub(crate) fn hand_out(&mut self, position: (i64, i32)) {
        if position.0 > self.handed.offset {
            self.handed = Position {
                offset: position.0,
                leader_epoch: position.1,
            };
        }
    }
}
