//! A runner's state, behind one lock: no IO, no waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::context::Context;
use super::letters::Told;
use super::metrics::Counts;
use super::partition::Partition;
use crate::consumer::ConsumerRecord;
use crate::error::Error;
use crate::machine::runner::{Bucket, Lanes, Place};
use crate::types::TopicPartition;

/// A record on its way through the runner.
pub(super) struct Item {
    pub(super) record: ConsumerRecord,
    /// Where its partition is.
    pub(super) index: u32,
    pub(super) generation: u64,
    pub(super) number: u64,
    /// How often its handler was called.
    pub(super) attempt: u32,
    /// It is to become a dead letter, and could not be sent so far.
    pub(super) dead: Option<Box<Told>>,
}

/// A record whose turn it is, with what its handler is told.
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) item: Item,
    pub(super) context: Context,
}

/// What became of a record's turn.
pub(super) enum End {
    Handled,
    Skipped,
    DeadLettered,
    /// After this delay it is its turn again.
    Again(Item, Duration),
    /// The runner ends, and the record is unfinished.
    Stop(Item, Error),
}

/// What the reading task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It looks after things.
    Busy,
    /// It waits for records.
    Asking,
    /// There is no room, or it is not to read: it waits to be told.
    Resting,
}

/// What the reading task may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Take so many records.
    For(usize),
    /// Wait, until then or until told.
    None(Option<Instant>),
    /// End.
    Ended,
}

/// Bounds of what is taken from the consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) handlers: usize,
    pub(super) queued: usize,
    pub(super) unfinished: usize,
    pub(super) bytes: usize,
}

pub(super) struct State {
    pub(super) bounds: Bounds,
    pub(super) lanes: Lanes<Item>,
    pub(super) partitions: Vec<Option<Partition>>,
    places: HashMap<TopicPartition, u32>,
    generations: u64,
    /// Handlers in flight, those of partitions that are gone among them.
    pub(super) running: usize,
    /// Handlers that have ended.
    pub(super) ended: u64,
    /// How often a runner that rests was asked whether it is alive.
    pub(super) rests: u64,
    pub(super) workers: usize,
    /// A worker was started and has not taken anything yet.
    pub(super) is_starting: bool,
    /// Set aside until it is their turn again.
    pub(super) aside: usize,
    pub(super) held: usize,
    /// What was told of that to the consumer.
    pub(super) held_told: usize,
    pub(super) reading: Reading,
    /// Partitions to be read again.
    pub(super) resumable: Vec<TopicPartition>,
    pub(super) bucket: Bucket,
    pub(super) is_paused: bool,
    /// No handler begins any more.
    pub(super) is_closed: bool,
    /// Somebody waits for handlers to end, and is told of the next one that does.
    pub(super) is_awaited: bool,
    /// Bytes of a commit's metadata.
    pub(super) metadata_limit: usize,
    pub(super) counts: Counts,
    pub(super) failure: Option<Error>,
}

impl State {
    pub(super) fn new(bounds: Bounds, metadata_limit: usize) -> Self {
        Self {
            bounds,
            lanes: Lanes::default(),
            partitions: Vec::new(),
            places: HashMap::new(),
            generations: 0,
            running: 0,
            ended: 0,
            rests: 0,
            workers: 0,
            is_starting: false,
            aside: 0,
            held: 0,
            held_told: 0,
            reading: Reading::Busy,
            resumable: Vec::new(),
            bucket: Bucket::default(),
            is_paused: false,
            is_closed: false,
            is_awaited: false,
            metadata_limit,
            counts: Counts::default(),
            failure: None,
        }
    }

    pub(super) fn index(&self, name: &TopicPartition) -> Option<u32> {
        self.places.get(name).copied()
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut Partition> {
        self.partitions.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn find(&mut self, name: &TopicPartition) -> Option<&mut Partition> {
        self.get(self.index(name)?)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().flatten()
    }

    /// Whether handlers are in flight of partitions that are assigned still.
    pub(super) fn has_handlers(&self) -> bool {
        self.all().any(|partition| partition.running > 0)
    }

    /// A partition is assigned; one that is already stays as it is.
    pub(super) fn hold(&mut self, name: &TopicPartition, version: u64) {
        if self.places.contains_key(name) {
            return;
        }
        self.generations += 1;
        let partition = Partition::new(name.clone(), self.generations, version);
        let free = self.partitions.iter().position(Option::is_none);
        let index = free.unwrap_or(self.partitions.len());
        match self.partitions.get_mut(index) {
            Some(place) => *place = Some(partition),
            None => self.partitions.push(Some(partition)),
        }
        self.places.insert(name.clone(), index as u32);
        // It may be paused from when it was here before.
        self.resumable.push(name.clone());
    }

    /// A partition is gone.
    pub(super) fn remove(&mut self, name: &TopicPartition) {
        let index = self.places.remove(name);
        let place = index.and_then(|index| self.partitions.get_mut(index as usize));
        if let Some(partition) = place.and_then(Option::take) {
            self.held -= partition.acks.bytes();
            partition.assignment.lose();
        }
    }

    /// The next record whose turn it is, by whoever is about to handle it.
    pub(super) fn take(&mut self) -> Option<Task> {
        if self.is_closed || self.is_paused {
            return None;
        }
        while let Some((place, item)) = self.lanes.take() {
            let partition = self.partitions.get_mut(item.index as usize);
            let partition = partition.and_then(Option::as_mut).filter(|partition| {
                partition.generation == item.generation
                    && !partition.is_stopped
                    && partition.acks.counts(item.number)
            });
            let Some(partition) = partition else {
                self.lanes.done(place);
                continue;
            };
            partition.running += 1;
            self.running += 1;
            let context = Context {
                assignment: partition.assignment.clone(),
                attempt: item.attempt + 1,
            };
            return Some(Task {
                place,
                item,
                context,
            });
        }
        None
    }

    /// A record's turn is over; what is to be called again, and after what delay.
    pub(super) fn finish(&mut self, turn: &Turn, end: End) -> Option<(Place, Duration)> {
        self.running -= 1;
        self.ended += 1;
        let is_finished = match &end {
            End::Handled => {
                self.counts.handled += 1;
                true
            }
            End::Skipped => {
                self.counts.skipped += 1;
                true
            }
            End::DeadLettered => {
                self.counts.dead_letters += 1;
                true
            }
            End::Again(..) | End::Stop(..) => false,
        };
        let most = self.bounds.unfinished;
        let partition = self.partitions.get_mut(turn.index as usize);
        let partition = partition.and_then(Option::as_mut);
        if let Some(partition) = partition.filter(|p| p.generation == turn.generation) {
            partition.running -= 1;
            if is_finished {
                self.held -= partition.acks.finish(turn.number);
                if partition.is_full && partition.acks.open() <= most / 2 {
                    partition.is_full = false;
                    self.resumable.push(partition.name.clone());
                }
            }
        }
        match end {
            End::Again(item, delay) => {
                self.counts.retries += u64::from(item.dead.is_none());
                self.lanes.put_back(turn.place, item);
                self.aside += 1;
                return Some((turn.place, delay));
            }
            End::Stop(item, error) => {
                self.fail(error);
                self.lanes.put_back(turn.place, item);
            }
            End::Handled | End::Skipped | End::DeadLettered => self.lanes.done(turn.place),
        }
        None
    }

    /// The runner ends by itself: the first reason counts.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.is_closed = true;
    }

    /// Whether another worker is to be started, which is counted.
    pub(super) fn wants_worker(&mut self) -> bool {
        let wants = !self.is_starting
            && self.workers < self.bounds.handlers
            && self.lanes.has_ready()
            && !self.is_paused
            && !self.is_closed;
        if wants {
            self.is_starting = true;
            self.workers += 1;
        }
        wants
    }

    /// What the reading task may do now.
    pub(super) fn room(&mut self, now: Instant) -> Room {
        if self.is_closed {
            return Room::Ended;
        }
        if self.is_paused {
            return Room::None(None);
        }
        let waiting = self.lanes.waiting();
        let room = self.bounds.queued.saturating_sub(waiting);
        if room == 0 || self.held >= self.bounds.bytes {
            return Room::None(None);
        }
        match self.bucket.left(now) {
            Err(next) => Room::None(Some(next)),
            Ok(u32::MAX) => Room::For(room),
            // What only waits for a handler was given already: it is not to become more than one period's. What waits
            // behind others, or to be tried again, holds nobody up.
            Ok(left) => match room.min((left as usize).saturating_sub(self.lanes.ready())) {
                0 => Room::None(self.bucket.next()),
                room => Room::For(room),
            },
        }
    }

    /// Whether handlers are under way that the member's life depends on.
    pub(super) fn is_busy(&self) -> bool {
        // Where all hang, if only with records of before, no other one begins.
        let is_stuck = self.running >= self.bounds.handlers && self.lanes.has_ready();
        self.has_handlers() || is_stuck
    }

    /// Whether the reading task has something to do by now.
    pub(super) fn is_news(&mut self) -> bool {
        if !self.resumable.is_empty() || self.is_closed {
            return true;
        }
        match self.reading {
            Reading::Busy => false,
            // The consumer may wait for room that is there by now.
            Reading::Asking => self.held < self.held_told / 2,
            Reading::Resting => {
                // In one go, not for each record.
                let (queued, bytes) = (self.bounds.queued, self.bounds.bytes);
                let waiting = self.lanes.waiting();
                let is_half = waiting <= queued / 2 && self.held <= bytes / 2;
                // Nobody has anything to do, whatever else waits to be tried again.
                let is_idle = !self.lanes.has_ready() && waiting < queued && self.held < bytes;
                (is_half || is_idle) && !self.is_paused
            }
        }
    }
}

/// Which record's turn it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) place: Place,
    pub(super) index: u32,
    pub(super) generation: u64,
    pub(super) number: u64,
}

impl Task {
    pub(super) fn turn(&self) -> Turn {
        Turn {
            place: self.place,
            index: self.item.index,
            generation: self.item.generation,
            number: self.item.number,
        }
    }
}
