//! One assigned partition: where it is read, what is buffered, and what is missing before it can be fetched.
//!
//! ```text
//!                   begin                    seek, found            epoch changed
//!   Initializing ──────────▶ AwaitCommitted ─────────────▶ Fetching ◀────────────▶ AwaitValidation
//!        │                         │ none                  ▲  │ │      validated        │
//!        │ begin, without a group  ▼           seek, found │  │ │ no policy   truncated │
//!        └─────────────────────▶ AwaitReset ───────────────┘◀─┘ ▼                       ▼
//!                                             out of range    AwaitSeek ◀── or Fetching at the cut
//! ```
//!
//! A seek leads to `Fetching`, a reset to `AwaitReset`, from everywhere. While the application is told of the assignment
//! nothing is looked up or fetched, whatever the state. A lookup is `Wanted` or `UnderWay`, and void with the version.
//!
//! Invariants, checked in debug builds after each transition: what was fetched or looked up under an older `version` is
//! never used; only where it is known what is fetched next is anything buffered, and all that is is counted; a partition
//! whose offset is looked up has no position.
//!
//! Kafka: `SubscriptionState.TopicPartitionState` and its `FetchStates`.

mod buffer;
mod fetching;
mod leadership;
mod progress;
mod retry;

use std::time::{Duration, Instant};

use super::position::{NOWHERE, Need, Position, Start};
use crate::error::ErrorCode;
use crate::types::{BrokerId, TopicId, TopicPartition};
use buffer::{Behind, FetchBuffer};
use leadership::Leadership;
use progress::Progress;
use retry::Retry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchState {
    /// Assigned, and not begun.
    Initializing,
    /// The group's committed offset is wanted.
    AwaitCommitted(Lookup),
    /// The offset of `Start` is wanted.
    AwaitReset(Start, Lookup),
    /// Whether the log still has what is before the position to be fetched next is to be asked.
    AwaitValidation(Position, Lookup),
    /// From this position on.
    Fetching(Position),
    /// The application was told of an error and must seek.
    AwaitSeek,
}

/// What is looked up of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    Wanted,
    UnderWay,
}

/// An assigned partition.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) name: TopicPartition,
    pub(crate) topic_id: TopicId,
    /// Another number after each change that voids what is fetched or looked up; unique among all partitions.
    pub(crate) version: u64,
    pub(crate) paused: bool,
    /// Nothing is handed out any more: the partition is being given up.
    pub(crate) stopped: bool,
    /// Waits in the line of those that have something to hand out.
    pub(crate) in_line: bool,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// The application is being told of the assignment: even where it has sought to, nothing is fetched. Kafka:
    /// `pendingOnAssignedCallback`.
    pending_on_assigned: bool,
    state: FetchState,
    lead: Leadership,
    progress: Progress,
    buffer: FetchBuffer,
    retry: Retry,
}

impl PartitionState {
    /// Assigned, and not fetched yet.
    pub(crate) fn held(name: TopicPartition, version: u64) -> Self {
        Self {
            name,
            topic_id: TopicId::ZERO,
            version,
            paused: false,
            stopped: false,
            in_line: false,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            pending_on_assigned: true,
            state: FetchState::Initializing,
            lead: Leadership::UNKNOWN,
            progress: Progress::NONE,
            buffer: FetchBuffer::default(),
            retry: Retry::default(),
        }
    }

    /// Lets it be fetched, unless the application has sought meanwhile: from `start`, or else from the
    /// committed offset.
    pub(crate) fn begin(&mut self, start: Option<Start>) {
        if self.state == FetchState::Initializing {
            self.state = match start {
                Some(start) => FetchState::AwaitReset(start, Lookup::Wanted),
                None => FetchState::AwaitCommitted(Lookup::Wanted),
            };
        }
        self.pending_on_assigned = false;
        self.lead.moves();
        self.check();
    }

    /// Whether it has not begun, and the application has not sought.
    pub(crate) fn is_held(&self) -> bool {
        self.state == FetchState::Initializing
    }

    /// The position, where there is one.
    pub(crate) fn position(&self) -> Option<Position> {
        Some(self.progress.handed).filter(|handed| handed.offset >= 0)
    }

    /// Behind the last record that the application is done with.
    pub(crate) fn done(&self) -> Position {
        self.progress.done
    }

    /// How many offsets lie between the position and the end of what may be read.
    pub(crate) fn lag(&self, read_committed: bool) -> Option<u64> {
        let end = if read_committed {
            self.last_stable_offset
        } else {
            self.high_watermark
        };
        let position = self.position()?;
        (end >= 0).then(|| end.saturating_sub(position.offset).try_into().unwrap_or(0))
    }

    /// The offset that was committed last, by this consumer or whoever had the partition before.
    pub(crate) fn committed(&self) -> Option<i64> {
        self.progress.committed
    }

    pub(crate) fn set_committed(&mut self, offset: Option<i64>) {
        self.progress.committed = offset;
    }

    /// The application is done with what it was handed.
    pub(crate) fn set_done(&mut self) {
        self.progress.done = self.progress.handed;
    }

    pub(crate) fn leader(&self) -> Option<BrokerId> {
        self.lead.leader
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.lead.epoch
    }

    /// Whether it is known where it is read from.
    pub(crate) fn is_positioned(&self) -> bool {
        self.next().is_some() && !self.pending_on_assigned
    }

    pub(crate) fn is_fetching(&self) -> bool {
        matches!(self.state, FetchState::Fetching(_)) && !self.pending_on_assigned
    }

    /// Whether the application must seek before anything can be read.
    pub(crate) fn is_stuck(&self) -> bool {
        self.state == FetchState::AwaitSeek
    }

    /// What is to be fetched next, where that is known.
    fn next(&self) -> Option<Position> {
        match self.state {
            FetchState::Fetching(next) | FetchState::AwaitValidation(next, _) => Some(next),
            _ => None,
        }
    }

    /// Goes on from `position`; `version` is a new one.
    pub(crate) fn seek(&mut self, position: Position, version: u64) {
        self.void(version);
        self.progress.move_to(position);
        self.retry.over();
        self.fetch_from(position);
    }

    /// Goes on from an offset that is to be looked up.
    pub(crate) fn reset(&mut self, start: Start, version: u64) {
        self.void(version);
        self.progress.handed = NOWHERE;
        self.state = FetchState::AwaitReset(start, Lookup::Wanted);
        self.retry.not_before = None;
        self.check();
    }

    /// Waits for the application to seek.
    pub(crate) fn stick(&mut self, version: u64) {
        self.void(version);
        self.state = FetchState::AwaitSeek;
        self.check();
    }

    /// Drops what is buffered, to be fetched again from the position.
    pub(crate) fn refetch(&mut self, version: u64) {
        self.void(version);
        match self.state {
            FetchState::Fetching(_) => self.state = FetchState::Fetching(self.progress.handed),
            // It was another position whose epoch was to be asked for.
            FetchState::AwaitValidation(..) => self.fetch_from(self.progress.handed),
            _ => {}
        }
        self.check();
    }

    /// What was fetched ahead may not be in the log any more: fetches it again from the position, which is asked for
    /// anew.
    pub(crate) fn rewind(&mut self, version: u64) {
        self.void(version);
        self.retry.not_before = None;
        self.fetch_from(self.progress.handed);
    }

    /// Nothing that was read counts for the log as it is now; where to go on is to be said next.
    pub(crate) fn forget(&mut self, version: u64) {
        self.void(version);
        self.progress = Progress::NONE;
        self.state = FetchState::AwaitSeek;
        self.check();
    }

    /// What was fetched and is looked up counts no more.
    fn void(&mut self, version: u64) {
        self.version = version;
        self.retry.told = None;
        self.buffer.clear();
        self.set_lookup(Lookup::Wanted);
    }

    fn set_lookup(&mut self, now: Lookup) {
        match &mut self.state {
            FetchState::AwaitCommitted(lookup)
            | FetchState::AwaitReset(_, lookup)
            | FetchState::AwaitValidation(_, lookup) => *lookup = now,
            FetchState::Initializing | FetchState::Fetching(_) | FetchState::AwaitSeek => {}
        }
    }

    /// Fetches from there, once it is known that the leader has what was read: one of another epoch than the position's
    /// may not have all of it.
    fn fetch_from(&mut self, next: Position) {
        let (read, now) = (next.leader_epoch, self.lead.epoch);
        self.state = if read >= 0 && now >= 0 && read != now {
            FetchState::AwaitValidation(next, Lookup::Wanted)
        } else {
            FetchState::Fetching(next)
        };
        self.check();
    }

    /// Fetches nothing more before what is buffered was handed out; `false` when nothing is.
    pub(crate) fn drain(&mut self) -> bool {
        let is_ahead = self.is_ahead();
        if self.buffer.behind != Behind::Blocked {
            self.buffer.behind = if is_ahead {
                Behind::Draining
            } else {
                Behind::Open
            };
        }
        self.check();
        is_ahead
    }

    /// Whether what had to be handed out first was, since it was asked last.
    pub(crate) fn take_drained(&mut self) -> bool {
        let is_over = self.buffer.behind == Behind::Draining && !self.is_ahead();
        if is_over {
            self.buffer.behind = Behind::Open;
        }
        is_over
    }

    /// Whether more was fetched than was handed out.
    pub(crate) fn is_ahead(&self) -> bool {
        let handed = self.progress.handed.offset;
        handed >= 0 && self.next().is_some_and(|next| next.offset > handed)
    }

    /// Whether this is the id of another topic than the one that was read.
    pub(crate) fn is_other_topic(&self, id: TopicId) -> bool {
        !self.is_of_topic(id) && self.progress.handed.offset >= 0
    }

    /// Whether this may be the id of the topic that is read.
    pub(crate) fn is_of_topic(&self, id: TopicId) -> bool {
        !self.topic_id.is_other(id)
    }

    /// The cluster's newest word on the partition.
    pub(crate) fn lead_by(&mut self, leader: Option<BrokerId>, epoch: i32, id: TopicId) {
        let is_new = self.lead.leader != leader || self.lead.epoch != epoch || self.topic_id != id;
        if !is_new {
            return;
        }
        self.topic_id = id;
        self.lead.change(leader, epoch);
        self.retry.not_before = None;
        if let FetchState::Fetching(next) = self.state {
            self.fetch_from(next);
        }
    }

    /// Whether the loop of the broker to fetch from is to be told of this partition.
    pub(crate) fn take_moved(&mut self, now: Instant) -> bool {
        self.lead.take_moved(now)
    }

    /// What is to be looked up, if anything, and if it is time.
    pub(crate) fn need(&self, now: Instant) -> Option<Need> {
        let need = match self.state {
            FetchState::AwaitCommitted(Lookup::Wanted) => Need::Committed,
            FetchState::AwaitReset(start, Lookup::Wanted) => Need::Offset(start),
            FetchState::AwaitValidation(position, Lookup::Wanted) => Need::EndOf { position },
            _ => return None,
        };
        let is_free = !self.stopped && !self.pending_on_assigned;
        (is_free && !self.is_waiting(now)).then_some(need)
    }

    /// A lookup begins; `failed` or what it finds ends it.
    pub(crate) fn ask(&mut self) {
        self.set_lookup(Lookup::UnderWay);
        self.check();
    }

    /// Whether the application is to be told of this error: it was not told of the same just before.
    pub(crate) fn is_news(&mut self, code: ErrorCode) -> bool {
        self.retry.told.replace(code) != Some(code)
    }

    /// When something is to be tried again.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.retry.not_before
    }

    /// Whether trying again waits for its time.
    pub(crate) fn is_waiting(&self, now: Instant) -> bool {
        self.retry.is_waiting(now)
    }

    /// The log of the leader of this epoch still has what was read.
    pub(crate) fn validated(&mut self, leader_epoch: i32) {
        if let FetchState::AwaitValidation(next, _) = self.state {
            self.retry.over();
            self.retry.told = None;
            // The same question is not asked again for the same leader.
            self.fetch_from(Position {
                leader_epoch,
                ..next
            });
        }
    }

    /// A try failed; `delay` makes of the number of failures how long to wait.
    pub(crate) fn failed(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.set_lookup(Lookup::Wanted);
        self.retry.failed(now, delay);
        self.check();
    }

    /// The broker to fetch from: the leader, or a nearer replica that it has named (KIP-392).
    pub(crate) fn fetch_node(&self, now: Instant) -> Option<BrokerId> {
        self.lead.fetch_node(now)
    }

    /// Fetches from this replica until then.
    pub(crate) fn prefer(&mut self, replica: BrokerId, until: Instant) {
        self.lead.prefer(replica, until);
    }

    /// Back to the leader; `false` when it was fetched from the leader already.
    pub(crate) fn forget_replica(&mut self) -> bool {
        self.lead.leave_replica(None)
    }

    /// Back to the leader if it is fetched from this replica; `false` when it is not.
    pub(crate) fn leave_replica(&mut self, broker: BrokerId) -> bool {
        self.lead.leave_replica(Some(broker))
    }

    /// When it goes back to the leader.
    pub(crate) fn replica_until(&self) -> Option<Instant> {
        self.lead.replica_until()
    }

    /// There is nothing to hand out before `position`, from where was handed out up to.
    pub(crate) fn pass(&mut self, position: (i64, i32)) {
        self.progress.pass(position);
    }

    /// The position behind a record and what follows it that nobody is handed, as far as that was seen; `offset` is
    /// the one behind the record itself.
    pub(crate) fn behind(&self, offset: i64) -> Option<Position> {
        self.progress.behind(offset)
    }

    /// Records before `position` were handed out.
    #[inline]
    pub(crate) fn hand_out(&mut self, position: (i64, i32)) {
        self.progress.hand_out(position);
    }

    /// The invariants, in debug builds.
    #[inline]
    fn check(&self) {
        debug_assert_eq!(self.violated(), None, "{self:?}");
    }

    /// The invariant that does not hold.
    fn violated(&self) -> Option<&'static str> {
        let has_next = self.next().is_some();
        let is_clear = self.buffer.is_empty() && self.buffer.behind == Behind::Open;
        let has_position = self.position().is_some();
        match self.state {
            _ if !has_next && !is_clear => Some("what is buffered is not followed by anything"),
            _ if !self.buffer.is_counted() => Some("what is buffered is not counted"),
            FetchState::Initializing if !self.pending_on_assigned || has_position => {
                Some("what has not begun is read")
            }
            FetchState::AwaitReset(..) | FetchState::AwaitCommitted(_) if has_position => {
                Some("what is looked up is known")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
