//! One partition's send queue.
//!
//! ```text
//!   append       close        take         answer
//! ────────▶ Open ─────▶ Ready ─────▶ Flying ─────▶ ended (ack, failure)
//!                         ▲    retry   │
//!                         └────────────┘
//! ```
//!
//! What is known of each batch has its diagram in `machine/produce/knowledge.rs`, the sequences in `queue/sequences.rs`.
//!
//! Invariants, checked in debug builds after every change by `queue/invariants.rs` as far as they can be seen then:
//! - A stamped batch keeps its sequence across retries, and stands before every unstamped one.
//! - A batch that may be written never gets another sequence: where it would, it is given up.
//! - A batch that may be written and is refused as out of order is doubted: it waits in its place while those
//!   after it are sent. A later sequence that the same leader has proves it to be in the log.
//! - While a stamped batch waits to be sent again, one batch at a time is in flight.
//! - No batch is sent that is not among the next five from the first unresolved one: a broker recognises
//!   that one when it comes again only as long as it is among the last five in its log.
//! - Sequences restart under a new epoch only when nothing is in flight.
//! - The newest sequences are given out again when the broker has certainly refused them; where later ones were sent
//!   behind them, they leave a gap, after which only a new epoch is sure to be accepted.
//! - While a batch is detached, being compressed or split, it is unresolved and nothing is sent.

mod answer;
mod append;
mod detached;
mod end;
#[cfg(debug_assertions)]
mod invariants;
mod returned;
mod send;
mod sequences;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::batch::{Body, Ended, ProducerBatch, ResultShare};
use super::batch::{OpenBatch, Place, Stamp};
use crate::error::Error;
use crate::types::{BrokerId, TopicId};
use detached::Detached;
use sequences::Sequences;

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
    /// Whether every batch is one of a transaction.
    pub(crate) transactional: bool,
}

/// Where a queue gets memory and results from; called with the queue's lock held, so it must not wait.
pub(crate) trait Room<T> {
    /// A buffer with a capacity of at least `least` and, as far as there is memory, up to `most`; with what was charged
    /// for it and for the batch. `None` when memory is used up.
    fn buffer(&mut self, least: usize, most: usize) -> Option<(Vec<u8>, usize)>;
    /// Charges for between `least` and `most` bytes by which a buffer grows.
    fn grow(&mut self, least: usize, most: usize) -> Option<usize>;
    /// Bytes of other records that have waited and whose turn it is with this one; `None` where this one has no turn.
    fn others(&mut self) -> Option<usize>;
    /// The result that the records of a new batch share.
    fn result(&mut self) -> T;
}

/// A record's place, and what its arrival changed.
pub(crate) struct Added<T> {
    pub(crate) result: T,
    pub(crate) index: u32,
    /// It opened a batch: a linger time begins, and the batch before is ready to send.
    pub(crate) opened: bool,
    /// The queue was empty before: nobody watches its delivery timeout yet.
    pub(crate) first: bool,
}

/// What became of an append.
pub(crate) enum Append<T> {
    Added(Added<T>),
    /// Nothing was added: memory is used up, or kept for those who waited.
    Full,
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
    /// Then, when the open batch has lingered; before, if somebody waits for memory.
    Lingers(Instant),
    /// Not before something else happens, which lists the queue again.
    No,
}

/// What the sender takes.
pub(crate) enum Take<T> {
    /// To compress, then to give back with [`BatchQueue::compressed`].
    Compress(ProducerBatch<T>),
    /// To split, since batches of that size are refused, then to give back with [`BatchQueue::parts`] and its number.
    Split(u64, ProducerBatch<T>),
    /// To be failed before anything is sent: under new sequences they would be written again.
    GivenUp(Vec<Ended<T>>),
    /// To seal and send; the answer comes back with the flight's number.
    Send(Taken<T>),
    Nothing,
}

/// A batch to send.
pub(crate) struct Taken<T> {
    pub(crate) batch: ProducerBatch<T>,
    pub(crate) flight: u64,
}

/// A batch in flight: the batch itself is with whoever awaits the answer.
struct Flight<T> {
    number: u64,
    broker: BrokerId,
    /// The queue's term when it was sent.
    term: u64,
    stamp: Option<Stamp>,
    /// The batch's place, as [`ProducerBatch::place`] tells it.
    place: Option<Place>,
    opened: Instant,
    /// `None` once its time was up: the result is known, the answer no longer matters.
    share: Option<ResultShare<T>>,
    sent: Instant,
    /// How often it was sent before.
    failures: u32,
}

/// What became of an answered batch.
pub(crate) enum Answered<T> {
    /// Acknowledged, unless its time was up before (then the share is gone).
    Acked {
        batch: ProducerBatch<T>,
        /// Doubted batches that are thereby known to be in the log, at offsets that nobody tells.
        proved: Vec<ProducerBatch<T>>,
        base_offset: i64,
        log_append_time: i64,
    },
    /// It waits to be sent again.
    Queued { refresh: bool },
    /// To be given back with [`BatchQueue::parts`], split so that these records, which the broker refuses, are left out.
    Without {
        flight: u64,
        batch: ProducerBatch<T>,
        refused: Vec<(u32, Option<Arc<str>>)>,
    },
    /// To be given back with [`BatchQueue::parts`] in smaller batches, or failed after [`BatchQueue::not_split`].
    TooLarge {
        flight: u64,
        batch: ProducerBatch<T>,
    },
    /// It failed.
    Failed {
        batch: ProducerBatch<T>,
        possibly_written: bool,
        fatal: bool,
    },
    /// Its time was up before the answer came; only its memory is left to give back.
    Late { batch: ProducerBatch<T> },
}

/// One partition's batches.
pub(crate) struct BatchQueue<T> {
    limits: Limits,
    open: Option<OpenBatch<T>>,
    ready: VecDeque<ProducerBatch<T>>,
    flights: Vec<Flight<T>>,
    /// A batch that is detached being compressed.
    compressing: Option<Detached<T>>,
    /// How many have been detached for that.
    compressions: u64,
    /// Batches that are detached being split, by the number of their flight.
    splitting: Vec<(u64, Detached<T>)>,
    leader: Option<BrokerId>,
    /// Counts the changes of leader, and of the topic behind the name.
    term: u64,
    backoff_until: Option<Instant>,
    sequences: Sequences,
    next_serial: u64,
    next_flight: u64,
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
    /// Why there is no such partition any more.
    gone: Option<Arc<Error>>,
    /// Whether the partition is part of the open transaction, if there are any: before, nothing is sent.
    enrolled: bool,
    /// Why what was not sent of the open transaction is not to be.
    retracted: Option<Arc<Error>>,
}

impl<T: Clone> BatchQueue<T> {
    pub(crate) fn new(limits: Limits, leader: Option<BrokerId>) -> Self {
        Self {
            limits,
            open: None,
            ready: VecDeque::new(),
            flights: Vec::new(),
            compressing: None,
            compressions: 0,
            splitting: Vec::new(),
            leader,
            term: 0,
            backoff_until: None,
            sequences: Sequences::Fresh,
            next_serial: 0,
            next_flight: 0,
            topic: TopicId::ZERO,
            last_ack: None,
            sticky_bytes: 0,
            last_len: 0,
            watched: false,
            closed: false,
            gone: None,
            enrolled: !limits.transactional,
            retracted: None,
        }
    }

    /// In release builds nothing is checked.
    #[cfg(not(debug_assertions))]
    #[inline]
    fn check(&self) {}

    pub(crate) fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// Whether a batch is open.
    #[inline]
    pub(crate) fn has_open(&self) -> bool {
        self.open.is_some()
    }

    /// The time of the open batch's first record; -1 where none is open.
    #[inline]
    pub(crate) fn open_since(&self) -> i64 {
        let open = self.open.as_ref();
        open.map_or(-1, |open| open.writer.base_timestamp())
    }

    /// Bytes of the batch that comes next, before its compression.
    pub(crate) fn next_len(&self) -> usize {
        match (self.next(), &self.open) {
            (Some(next), _) => next.body.len(),
            (None, open) => open.as_ref().map_or(0, |open| open.writer.len()),
        }
    }

    /// The batch to send next: those before it are doubted.
    fn next(&self) -> Option<&ProducerBatch<T>> {
        self.ready.get(self.doubted())
    }

    /// How many batches are doubted; they stand before all others.
    fn doubted(&self) -> usize {
        let is_doubted = |batch: &&ProducerBatch<T>| batch.knowledge.is_doubted_in(self.term);
        self.ready.iter().take_while(is_doubted).count()
    }

    /// Batches that wait to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.ready.len()
    }

    /// Closes batches at another size from now on; larger ones that wait are to be split.
    pub(crate) fn fit(&mut self, size: usize) {
        let before = std::mem::replace(&mut self.limits.batch_size, size);
        if let Some(open) = &mut self.open {
            open.fit(before, size);
        }
    }

    /// Names the partition's leader. A change ends a backoff: the new leader has refused nothing yet. It may
    /// know nothing of the producer either, after an unclean election.
    pub(crate) fn lead(&mut self, leader: Option<BrokerId>) -> bool {
        if self.leader == leader {
            return false;
        }
        self.leader = leader;
        if leader.is_some() {
            self.gone = None;
        }
        self.term += 1;
        self.sequences.distrust();
        self.backoff_until = None;
        self.check();
        true
    }
}
