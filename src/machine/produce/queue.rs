//! One partition's send queue.
//!
//! ```text
//!   append       close        take         answer
//! ────────▶ Open ─────▶ Ready ─────▶ Flying ─────▶ ended (ack, failure)
//!                         ▲    retry   │
//!                         └────────────┘
//! ```
//!
//! Invariants:
//! - A stamped batch keeps its sequence across retries, and stands before every unstamped one.
//! - While a stamped batch waits to be sent again, one batch at a time is in flight.
//! - Sequences restart under a new epoch only when nothing is in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::batch::{Batch, Body, Ticket};
use super::batch::{OpenBatch, Stamp};
use super::sequence::advance;
use super::verdict::{Answer, Situation, Verdict, verdict};
use crate::batch::{BatchWriter, HEADER_LEN, RecordParts};
use crate::error::{Error, ErrorCode};
use crate::types::{BrokerId, ProducerId, TopicId, after};

/// Batches of one partition that the broker still recognises as duplicates (its own limit).
const MAX_FLIGHTS: usize = 5;
/// After so long without a batch a broker may have forgotten the producer (its `producer.id.expiration.ms`).
const FORGETFUL: Duration = Duration::from_secs(60);
/// A batch's first buffer on a partition that has shown no need for more.
const FIRST_BUFFER: usize = 4096;

/// What a queue must know of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) batch_size: usize,
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) compressed: bool,
    pub(crate) idempotent: bool,
}

/// Where a queue gets memory and outcomes from; called with the queue's lock held, so it must not wait.
pub(crate) trait Room<T> {
    /// A buffer of that capacity, charged; `None` when memory is used up.
    fn buffer(&mut self, capacity: usize) -> Option<Vec<u8>>;
    /// Charges for `more` bytes of a buffer that grows.
    fn grow(&mut self, more: usize) -> bool;
    /// The outcome that the records of a new batch share.
    fn outcome(&mut self) -> T;
}

/// A record's place, and what its arrival changed.
pub(crate) struct Added<T> {
    pub(crate) outcome: T,
    pub(crate) index: u32,
    /// It opened a batch: a linger time begins, and the batch before is ready to send.
    pub(crate) opened: bool,
    /// The queue was empty before: nobody watches its delivery timeout yet.
    pub(crate) first: bool,
}

/// What became of an append.
pub(crate) enum Append<T> {
    Added(Added<T>),
    /// Nothing was added: that many bytes of memory are wanted first.
    Full {
        wanted: usize,
    },
    /// Nothing was added: the producer is closed.
    Closed,
    /// Nothing was added: the next record without a key should go to another partition.
    Switch,
}

/// Whether a queue has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Now,
    At(Instant),
    /// Not before something else happens, which lists the queue again.
    No,
}

/// What the sender takes.
pub(crate) enum Take<T> {
    /// To compress, then to give back with [`Queue::packed`].
    Pack(Batch<T>),
    /// To seal and send; the answer comes back with the flight's number.
    Send(Taken<T>),
    Nothing(Readiness),
}

/// A batch to send.
pub(crate) struct Taken<T> {
    pub(crate) batch: Batch<T>,
    pub(crate) flight: u64,
}

/// A batch in flight: the batch itself is with whoever awaits the answer.
struct Flight<T> {
    number: u64,
    broker: BrokerId,
    stamp: Option<Stamp>,
    opened: Instant,
    /// `None` once its time was up: the outcome is settled, the answer no longer matters.
    ticket: Option<Ticket<T>>,
    last_error: Option<Arc<Error>>,
}

/// A batch that has ended, and why.
pub(crate) struct Ended<T> {
    pub(crate) ticket: Ticket<T>,
    pub(crate) error: Arc<Error>,
    pub(crate) possibly_written: bool,
    pub(crate) attempts: u32,
    /// Memory to give back; 0 when the batch's bytes are still in flight.
    pub(crate) charged: usize,
}

/// What became of an answered batch.
pub(crate) enum Answered<T> {
    /// Acknowledged, unless its time was up before (then the ticket is gone).
    Acked {
        batch: Batch<T>,
        base_offset: i64,
        log_append_time: i64,
    },
    /// It waits to be sent again.
    Queued { refresh: bool },
    /// To be split and given back with [`Queue::parts`].
    Split {
        batch: Batch<T>,
        without: Vec<(u32, Option<Arc<str>>)>,
    },
    /// It failed.
    Failed {
        batch: Batch<T>,
        possibly_written: bool,
        fatal: bool,
    },
    /// Its time was up before the answer came; only its memory is left to give back.
    Late { batch: Batch<T> },
}

/// One partition's batches.
pub(crate) struct Queue<T> {
    limits: Limits,
    open: Option<OpenBatch<T>>,
    ready: VecDeque<Batch<T>>,
    flights: Vec<Flight<T>>,
    /// The outcome of a batch that is away being compressed.
    packing: Option<T>,
    leader: Option<BrokerId>,
    backoff_until: Option<Instant>,
    producer: Option<ProducerId>,
    next_sequence: i32,
    next_serial: u64,
    next_flight: u64,
    /// The serial of a batch that was given up with its sequence spent: the broker may miss it.
    gap: Option<u64>,
    /// Sequences must restart before anything is sent again.
    restamp: bool,
    /// Whether the broker is known to know the producer's sequences, so that it refuses a later batch
    /// when it has refused an earlier one. Until then one batch is in flight: a broker that knows
    /// nothing of a producer takes any sequence.
    proven: bool,
    /// The topic that the last batch went to: one that was made anew has another id.
    topic: TopicId,
    last_ack: Option<Instant>,
    /// Bytes of records without a key since the partition became the sticky one.
    sticky_bytes: usize,
    last_len: usize,
    /// Whether somebody watches the delivery timeout.
    watched: bool,
    /// Nothing is accepted any more.
    closed: bool,
}

impl<T: Clone> Queue<T> {
    pub(crate) fn new(limits: Limits, leader: Option<BrokerId>) -> Self {
        Self {
            limits,
            open: None,
            ready: VecDeque::new(),
            flights: Vec::new(),
            packing: None,
            leader,
            backoff_until: None,
            producer: None,
            next_sequence: 0,
            next_serial: 0,
            next_flight: 0,
            gap: None,
            restamp: false,
            proven: false,
            topic: TopicId::ZERO,
            last_ack: None,
            sticky_bytes: 0,
            last_len: 0,
            watched: false,
            closed: false,
        }
    }

    pub(crate) fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// Whether a batch is open.
    #[inline]
    pub(crate) fn has_open(&self) -> bool {
        self.open.is_some()
    }

    /// Batches that wait to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.ready.len()
    }

    /// Names the partition's leader. A change ends a backoff: the new leader has refused nothing yet.
    pub(crate) fn lead(&mut self, leader: Option<BrokerId>) -> bool {
        if self.leader == leader {
            return false;
        }
        self.leader = leader;
        self.backoff_until = None;
        true
    }

    /// Adds a record; `bound` is its largest possible size, `sticky` tells that it has no key.
    #[inline]
    pub(crate) fn append(
        &mut self,
        record: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
        now: impl FnOnce() -> Instant,
        room: &mut impl Room<T>,
    ) -> Append<T> {
        if let Some(open) = &mut self.open {
            let len = open.writer.len() + bound;
            if len <= open.writer.capacity() && len <= self.limits.batch_size {
                // Before the copy: a counter's atomic update would wait for all its stores.
                let outcome = open.outcome.clone();
                let index = open.writer.append(record);
                if sticky {
                    self.sticky_bytes += bound;
                }
                return Append::Added(Added {
                    outcome,
                    index,
                    opened: false,
                    first: false,
                });
            }
        }
        self.append_with_room(record, bound, sticky, now, room)
    }

    /// The rare half of `append`: the open batch grows, or gives way to a new one.
    #[cold]
    fn append_with_room(
        &mut self,
        record: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
        now: impl FnOnce() -> Instant,
        room: &mut impl Room<T>,
    ) -> Append<T> {
        if let Some(open) = &mut self.open {
            let (capacity, wanted) = (open.writer.capacity(), open.writer.len() + bound);
            if wanted <= self.limits.batch_size {
                let larger = (capacity * 4).clamp(wanted, self.limits.batch_size);
                if room.grow(larger - capacity) {
                    open.charged += larger - capacity;
                    open.writer.grow(larger);
                    return self.append(record, bound, sticky, now, room);
                }
            }
        }
        if self.closed {
            return Append::Closed;
        }
        self.close();
        if sticky
            && self.sticky_bytes > 0
            && self.sticky_bytes + bound + HEADER_LEN > self.limits.batch_size
        {
            self.sticky_bytes = 0;
            return Append::Switch;
        }
        let least = bound + HEADER_LEN;
        let usual = (self.last_len + self.last_len / 8)
            .max(FIRST_BUFFER)
            .min(self.limits.batch_size);
        let Some((capacity, buffer)) = [usual.max(least), least]
            .into_iter()
            .find_map(|capacity| Some((capacity, room.buffer(capacity)?)))
        else {
            return Append::Full { wanted: least };
        };
        let mut writer = BatchWriter::new(buffer);
        let index = writer.append(record);
        let outcome = room.outcome();
        if sticky {
            self.sticky_bytes += bound;
        }
        let first = !std::mem::replace(&mut self.watched, true);
        self.open = Some(OpenBatch {
            writer,
            outcome: outcome.clone(),
            opened: now(),
            charged: capacity,
        });
        Append::Added(Added {
            outcome,
            index,
            opened: true,
            first,
        })
    }

    /// Closes the open batch, if there is one: it takes no more records and is ready to send.
    pub(crate) fn close(&mut self) -> bool {
        let Some(open) = self.open.take() else {
            return false;
        };
        let plain_len = open.writer.len();
        self.last_len = plain_len;
        let count = open.writer.count();
        let closed = open.writer.close();
        self.ready.push_back(Batch {
            body: if self.limits.compressed {
                Body::Raw(closed)
            } else {
                Body::Packed(closed)
            },
            ticket: Ticket {
                outcome: open.outcome,
                first: 0,
                count,
                total: count,
            },
            opened: open.opened,
            charged: open.charged,
            plain_len,
            stamp: None,
            failures: 0,
            unknown: false,
            last_error: None,
        });
        true
    }

    /// Whether there is something to send; `hurry` does not wait for linger times.
    pub(crate) fn readiness(&self, now: Instant, hurry: bool) -> Readiness {
        let Some(leader) = self.leader else {
            return Readiness::No;
        };
        let waits_for_answers = !self.flights.is_empty()
            && (self.flights.len() >= MAX_FLIGHTS
                || self.restamp
                || (self.limits.idempotent && !self.proven)
                || self.flights.iter().any(|f| f.broker != leader)
                || match self.ready.front() {
                    Some(front) => front.stamp.is_some() || self.gap.is_some(),
                    None => self.gap.is_some(),
                });
        if self.packing.is_some() || waits_for_answers {
            return Readiness::No;
        }
        if let Some(until) = self.backoff_until.filter(|until| *until > now) {
            return Readiness::At(until);
        }
        if !self.ready.is_empty() {
            return Readiness::Now;
        }
        match &self.open {
            None => Readiness::No,
            Some(_) if hurry => Readiness::Now,
            Some(open) => {
                let end = after(open.opened, self.limits.linger);
                if end <= now {
                    Readiness::Now
                } else {
                    Readiness::At(end)
                }
            }
        }
    }

    /// Takes the next batch for `broker`, to go to the topic with the id `topic`. `identity` is the producer's current one; `bump` is asked
    /// for a new one when sequences must restart, and may have none (then nothing is taken).
    pub(crate) fn take(
        &mut self,
        broker: BrokerId,
        topic: TopicId,
        now: Instant,
        hurry: bool,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> Take<T> {
        if self.leader != Some(broker) {
            return Take::Nothing(Readiness::No);
        }
        if self.topic != topic {
            // The new topic's log knows no producer.
            (self.topic, self.proven) = (topic, false);
        }
        match self.readiness(now, hurry) {
            Readiness::Now => {}
            other => return Take::Nothing(other),
        }
        if self.ready.is_empty() {
            self.close();
        }
        let raw = self
            .ready
            .front()
            .is_some_and(|front| matches!(front.body, Body::Raw(_)));
        if raw && let Some(batch) = self.ready.pop_front() {
            self.packing = Some(batch.ticket.outcome.clone());
            return Take::Pack(batch);
        }
        let quiet = self
            .last_ack
            .is_some_and(|last| after(last, FORGETFUL) <= now);
        if quiet && self.flights.is_empty() {
            self.proven = false;
        }
        if self.limits.idempotent && !self.identify(identity, bump) {
            return Take::Nothing(Readiness::No);
        }
        let Some(mut batch) = self.ready.pop_front() else {
            return Take::Nothing(Readiness::No);
        };
        if batch.stamp.is_none() {
            batch.stamp = Some(self.stamp(batch.ticket.count));
        }
        let flight = self.next_flight;
        self.next_flight += 1;
        self.flights.push(Flight {
            number: flight,
            broker,
            stamp: batch.stamp,
            opened: batch.opened,
            ticket: Some(batch.ticket.clone()),
            last_error: batch.last_error.clone(),
        });
        Take::Send(Taken { batch, flight })
    }

    /// Makes sure that the queue has an identity and that its sequences may be continued.
    fn identify(
        &mut self,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> bool {
        let stamped = self
            .ready
            .front()
            .is_some_and(|front| front.stamp.is_some());
        let current = match self.producer {
            // A lost sequence may be missed by the broker: only a new epoch is sure to be accepted.
            Some(own) if self.restamp || (self.gap.is_some() && !stamped) => {
                let Some(fresh) = bump(own) else { return false };
                fresh
            }
            Some(own) if stamped || !self.flights.is_empty() => own,
            _ => identity,
        };
        if self.producer != Some(current) {
            self.producer = Some(current);
            self.proven = false;
            self.next_sequence = 0;
            self.restart_sequences(current);
        }
        self.gap = if stamped && !self.restamp {
            self.gap
        } else {
            None
        };
        self.restamp = false;
        true
    }

    /// Gives every batch that waits to be sent again its new place from sequence 0 on.
    fn restart_sequences(&mut self, producer: ProducerId) {
        for batch in &mut self.ready {
            let Some(stamp) = &mut batch.stamp else { break };
            stamp.producer = producer;
            stamp.base_sequence = self.next_sequence;
            self.next_sequence = advance(self.next_sequence, batch.ticket.count);
        }
    }

    fn stamp(&mut self, count: u32) -> Stamp {
        let serial = self.next_serial;
        self.next_serial += 1;
        if !self.limits.idempotent {
            return Stamp {
                producer: ProducerId::NONE,
                base_sequence: -1,
                serial,
            };
        }
        let base_sequence = self.next_sequence;
        self.next_sequence = advance(base_sequence, count);
        Stamp {
            producer: self.producer.unwrap_or(ProducerId::NONE),
            base_sequence,
            serial,
        }
    }

    /// Takes a compressed batch back; it goes behind those that wait to be sent again.
    pub(crate) fn packed(&mut self, batch: Batch<T>) {
        self.packing = None;
        let at = self.ready.iter().take_while(|b| b.stamp.is_some()).count();
        self.ready.insert(at, batch);
    }

    /// Takes the answer for a batch in flight.
    pub(crate) fn answer(
        &mut self,
        flight: u64,
        mut batch: Batch<T>,
        answer: &Answer,
        now: Instant,
        error: impl FnOnce() -> Arc<Error>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        let head = self.is_head(flight);
        let Some(entry) = self.land(flight) else {
            return Answered::Late { batch };
        };
        let situation = Situation {
            idempotent: self.limits.idempotent,
            records: batch.ticket.count,
            head,
        };
        let verdict = verdict(answer, situation);
        if let (Verdict::Ack { .. }, Some(stamp), Some(gap)) = (&verdict, entry.stamp, self.gap) {
            // The broker took a later sequence, so the lost one is in the log.
            if stamp.serial >= gap {
                self.gap = None;
            }
        }
        match verdict {
            Verdict::Ack { .. } => {
                self.proven = entry.stamp.map(|stamp| stamp.producer) == self.producer;
                self.last_ack = Some(now);
            }
            // A topic that is made anew knows no producer.
            Verdict::Retry { refresh: true, .. } if is_gone(answer.code) => self.proven = false,
            _ => {}
        }
        if entry.ticket.is_none() {
            return Answered::Late { batch };
        }
        if !matches!(verdict, Verdict::Ack { .. }) {
            batch.last_error = Some(error());
        }
        match verdict {
            Verdict::Ack {
                base_offset,
                log_append_time,
            } => Answered::Acked {
                batch,
                base_offset,
                log_append_time,
            },
            Verdict::Retry { refresh, unknown } => {
                batch.unknown |= unknown;
                self.retry(batch, refresh, retry_at)
            }
            Verdict::Restamp => {
                self.restamp = true;
                self.retry(batch, false, retry_at)
            }
            Verdict::Split => Answered::Split {
                batch,
                without: Vec::new(),
            },
            Verdict::Drop(without) => {
                self.lose(&batch);
                Answered::Split { batch, without }
            }
            Verdict::Fail { unknown, fatal } => {
                self.lose(&batch);
                let possibly_written = batch.unknown || unknown;
                Answered::Failed {
                    batch,
                    possibly_written,
                    fatal,
                }
            }
        }
    }

    /// Takes back a batch whose answer will not come; `sent` is false when not one byte was written.
    pub(crate) fn unanswered(
        &mut self,
        flight: u64,
        mut batch: Batch<T>,
        sent: bool,
        error: Arc<Error>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        match self.land(flight) {
            Some(entry) if entry.ticket.is_some() => {}
            _ => return Answered::Late { batch },
        }
        batch.last_error = Some(error);
        batch.unknown |= sent;
        self.retry(batch, true, retry_at)
    }

    fn retry(
        &mut self,
        mut batch: Batch<T>,
        refresh: bool,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        batch.failures += 1;
        if batch.failures > self.limits.retries {
            self.lose(&batch);
            let possibly_written = batch.unknown;
            return Answered::Failed {
                batch,
                possibly_written,
                fatal: false,
            };
        }
        self.backoff_until = Some(retry_at(batch.failures));
        self.put_back(batch);
        Answered::Queued { refresh }
    }

    /// Puts a stamped batch back in its place.
    fn put_back(&mut self, batch: Batch<T>) {
        let serial = batch.stamp.map(|s| s.serial);
        let at = self
            .ready
            .iter()
            .take_while(|b| b.stamp.is_some_and(|s| Some(s.serial) < serial))
            .count();
        self.ready.insert(at, batch);
    }

    /// Takes the parts of a batch that was split, in order.
    pub(crate) fn parts(&mut self, parts: Vec<Batch<T>>) {
        let compressed = self.limits.compressed;
        for mut part in parts.into_iter().rev() {
            if compressed && let Body::Packed(closed) = part.body {
                part.body = Body::Raw(closed);
            }
            self.put_back(part);
        }
    }

    /// Whether nothing with an earlier sequence is unresolved.
    fn is_head(&self, flight: u64) -> bool {
        let serial = |stamp: Option<Stamp>| stamp.map(|s| s.serial);
        let Some(own) = self.flights.iter().find(|f| f.number == flight) else {
            return false;
        };
        let own = serial(own.stamp);
        self.flights.iter().all(|f| serial(f.stamp) >= own)
            && self
                .ready
                .front()
                .and_then(|b| serial(b.stamp))
                .is_none_or(|s| Some(s) >= own)
    }

    fn land(&mut self, flight: u64) -> Option<Flight<T>> {
        let at = self.flights.iter().position(|f| f.number == flight)?;
        Some(self.flights.swap_remove(at))
    }

    /// Notes that a batch is given up although its sequence was spent.
    fn lose(&mut self, batch: &Batch<T>) {
        if let Some(stamp) = batch.stamp {
            self.note_gap(stamp.serial);
        }
    }

    fn note_gap(&mut self, serial: u64) {
        if self.limits.idempotent {
            self.gap = Some(self.gap.map_or(serial, |gap| gap.max(serial)));
        }
    }

    /// Ends what is older than the delivery timeout; tells when to look again, `None` when empty.
    pub(crate) fn expire(&mut self, now: Instant, ended: &mut Vec<Ended<T>>) -> Option<Instant> {
        let limit = self.limits.delivery_timeout;
        let over = |opened: Instant| after(opened, limit) <= now;
        self.end_where(over, ended, |last| Error::DeliveryTimeout {
            timeout: limit,
            last,
        });
        let oldest = self
            .flights
            .iter()
            .filter(|f| f.ticket.is_some())
            .map(|f| f.opened)
            .chain(self.ready.iter().map(|b| b.opened))
            .chain(self.open.as_ref().map(|o| o.opened))
            .min();
        match oldest {
            Some(opened) => Some(after(opened, limit)),
            // A batch that is being compressed comes back soon; its time is looked at then.
            None if self.packing.is_some() => Some(after(now, limit / 10)),
            None => {
                self.watched = false;
                None
            }
        }
    }

    /// Ends everything: nothing is accepted or sent any more.
    pub(crate) fn abort(&mut self, error: &Error, ended: &mut Vec<Ended<T>>) {
        self.closed = true;
        self.end_where(|_| true, ended, |_| error.clone());
    }

    fn end_where(
        &mut self,
        over: impl Fn(Instant) -> bool,
        ended: &mut Vec<Ended<T>>,
        error: impl Fn(Option<Arc<Error>>) -> Error,
    ) {
        let mut gap = None;
        for flight in self.flights.iter_mut().filter(|f| over(f.opened)) {
            let Some(ticket) = flight.ticket.take() else {
                continue;
            };
            gap = gap.max(flight.stamp.map(|s| s.serial));
            let error = Arc::new(error(flight.last_error.take()));
            ended.push(Ended {
                ticket,
                error,
                possibly_written: true,
                attempts: 1,
                charged: 0,
            });
        }
        if self.open.as_ref().is_some_and(|open| over(open.opened)) {
            self.close();
        }
        let mut kept = VecDeque::with_capacity(self.ready.len());
        for batch in self.ready.drain(..) {
            if !over(batch.opened) {
                kept.push_back(batch);
                continue;
            }
            gap = gap.max(batch.stamp.map(|s| s.serial));
            ended.push(Ended {
                error: Arc::new(error(batch.last_error)),
                possibly_written: batch.unknown,
                attempts: batch.failures,
                charged: batch.charged,
                ticket: batch.ticket,
            });
        }
        self.ready = kept;
        if let Some(serial) = gap {
            self.note_gap(serial);
        }
    }

    /// As after a first acknowledgement.
    #[cfg(test)]
    pub(crate) fn prove(&mut self, producer: ProducerId) {
        (self.producer, self.proven) = (Some(producer), true);
    }

    /// Accepts no more records.
    pub(crate) fn refuse(&mut self) {
        self.closed = true;
    }

    /// The outcomes of every batch that has not ended, the open one closed first.
    pub(crate) fn unfinished(&mut self, outcomes: &mut Vec<T>) {
        self.close();
        let flying = self.flights.iter().filter_map(|f| f.ticket.as_ref());
        outcomes.extend(flying.map(|t| t.outcome.clone()));
        outcomes.extend(self.packing.clone());
        outcomes.extend(self.ready.iter().map(|b| b.ticket.outcome.clone()));
    }
}

/// Whether the topic as the producer knew it does not exist (any more).
fn is_gone(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::UNKNOWN_TOPIC_OR_PARTITION | E::UNKNOWN_TOPIC_ID | E::INCONSISTENT_TOPIC_ID
    )
}
