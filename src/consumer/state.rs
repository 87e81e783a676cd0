//! What the application's calls, the fetch loops and the membership share, behind one lock: no IO, no waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::config::ConsumerSettings;
use crate::error::{Error, Result};
use crate::machine::fetch::{Asked, Chunk, Partition, Position, Session, Start};
use crate::types::{BrokerId, TopicName, TopicPartition};

/// Who chooses the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The group, among its members.
    Subscribed,
    /// The application.
    Assigned,
}

/// The consumer's state.
#[derive(Default)]
pub(super) struct State {
    /// The assigned partitions; an index is given again only after its partition is gone.
    slab: Vec<Option<Partition>>,
    free: Vec<u32>,
    names: HashMap<TopicName, HashMap<i32, u32>>,
    /// Those that have something to hand out.
    line: VecDeque<u32>,
    errors: VecDeque<Error>,
    /// What ended the consumer, and not the application.
    pub(super) end: Option<Error>,
    /// Made once.
    choice: Option<Choice>,
    versions: u64,
    /// Raised with each change that may void what the application's side holds.
    pub(super) epoch: u64,
    /// Partitions of which the application holds records that it may not be done with.
    outstanding: Vec<u32>,
    /// Calls of `recv` and `poll` so far.
    pub(super) calls: u64,
    /// Somebody waits for the application to be done with its records.
    pub(super) is_awaited: bool,
    /// A call is waiting for records.
    pub(super) is_waiting: bool,
    /// The application wants no more records.
    pub(super) is_stopped: bool,
    /// The application has closed or dropped the consumer.
    pub(super) is_gone: bool,
    /// The consumer's tasks are to end.
    pub(super) is_closed: bool,
    /// Bytes that the application was handed decompressed, and is not done with.
    pub(super) unpacked: usize,
    /// The running fetch loops.
    pub(super) sources: HashMap<BrokerId, Arc<Notify>>,
}

/// What a fetch loop is to do next.
pub(super) enum Plan {
    /// Ask the broker, for so many bytes.
    Fetch { asked: Asked, max_bytes: usize },
    /// A partition has so much buffered that it is left out: better wait a little, and ask for all.
    Full,
    /// Nothing can be fetched now; look again at this time, or when told.
    Wait(Option<Instant>),
    /// The broker leads none of the partitions.
    Unneeded,
}

impl State {
    fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    pub(super) fn index(&self, partition: &TopicPartition) -> Option<u32> {
        let numbers = self.names.get(partition.name())?;
        numbers.get(&partition.partition()).copied()
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut Partition> {
        self.slab.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn find(&mut self, partition: &TopicPartition) -> Option<&mut Partition> {
        self.get(self.index(partition)?)
    }

    /// The assigned partitions with their indexes.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (u32, &mut Partition)> {
        let places = self.slab.iter_mut().enumerate();
        places.filter_map(|(at, place)| Some((at as u32, place.as_mut()?)))
    }

    /// Has the partitions chosen in this way from now on.
    ///
    /// # Errors
    /// [`Error::Config`] when they are chosen in the other way already.
    pub(super) fn choose(&mut self, choice: Choice) -> Result<()> {
        let before = *self.choice.get_or_insert(choice);
        if before == choice {
            return Ok(());
        }
        let (setting, reason) = match before {
            Choice::Subscribed => ("assign", "the consumer has subscribed to topics"),
            Choice::Assigned => ("subscribe", "the consumer was assigned partitions by hand"),
        };
        let reason = format!("{reason}: make another consumer for the other way");
        Err(Error::config(setting, reason))
    }

    pub(super) fn assigned(&self) -> Vec<TopicPartition> {
        let assigned = self.slab.iter().flatten();
        assigned.map(|partition| partition.name.clone()).collect()
    }

    /// Adds partitions that are not fetched yet; those that are there already stay as they are.
    pub(super) fn hold(&mut self, partitions: &[TopicPartition]) {
        for name in partitions {
            if self.index(name).is_some() {
                continue;
            }
            let partition = Partition::held(name.clone(), self.next_version());
            let index = self.free.pop().unwrap_or_else(|| {
                self.slab.push(None);
                (self.slab.len() - 1) as u32
            });
            if let Some(place) = self.slab.get_mut(index as usize) {
                *place = Some(partition);
            }
            self.names
                .entry(name.name().clone())
                .or_default()
                .insert(name.partition(), index);
        }
    }

    /// Hands out nothing more of these.
    pub(super) fn stop(&mut self, partitions: &[TopicPartition]) {
        for name in partitions {
            let version = self.next_version();
            if let Some(partition) = self.find(name) {
                partition.stopped = true;
                partition.refetch(version);
            }
        }
        self.epoch += 1;
    }

    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        for name in partitions {
            let Some(index) = self.index(name) else {
                continue;
            };
            if let Some(place) = self.slab.get_mut(index as usize) {
                *place = None;
            }
            self.free.push(index);
            self.line.retain(|at| *at != index);
            self.outstanding.retain(|at| *at != index);
            if let Some(numbers) = self.names.get_mut(name.name()) {
                numbers.remove(&name.partition());
                if numbers.is_empty() {
                    self.names.remove(name.name());
                }
            }
        }
        self.epoch += 1;
    }

    /// Goes on from this offset.
    pub(super) fn seek(&mut self, partition: &TopicPartition, position: Position) -> bool {
        self.change(partition, |partition, version| {
            partition.seek(position, version);
        })
    }

    /// Goes on from an offset that is to be looked up.
    pub(super) fn reset(&mut self, partition: &TopicPartition, start: Start) -> bool {
        self.change(partition, |partition, version| {
            partition.reset(start, version);
        })
    }

    /// Changes a partition so that what was fetched of it is void; `false` when it is not assigned.
    pub(super) fn change(
        &mut self,
        partition: &TopicPartition,
        change: impl FnOnce(&mut Partition, u64),
    ) -> bool {
        let version = self.next_version();
        let Some(partition) = self.find(partition) else {
            return false;
        };
        change(partition, version);
        self.epoch += 1;
        true
    }

    /// A new version for a change to the partition at this index.
    pub(super) fn change_at(&mut self, index: u32, change: impl FnOnce(&mut Partition, u64)) {
        let version = self.next_version();
        if let Some(partition) = self.get(index) {
            change(partition, version);
            self.epoch += 1;
        }
    }

    pub(super) fn pause(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        let Some(index) = self.index(partition) else {
            return false;
        };
        if let Some(partition) = self.get(index) {
            partition.pause(paused);
        }
        self.epoch += 1;
        self.queue(index);
        true
    }

    /// Puts a partition into the line, if it has something to hand out.
    pub(super) fn queue(&mut self, index: u32) {
        let Some(partition) = self.get(index) else {
            return;
        };
        if partition.has_some() && !partition.in_line {
            partition.in_line = true;
            self.line.push_back(index);
        }
    }

    /// The oldest chunk of the partition that has waited longest, with its index and version.
    pub(super) fn next_chunk(&mut self) -> Option<(u32, u64, Chunk)> {
        while let Some(index) = self.line.pop_front() {
            let Some(partition) = self.get(index) else {
                continue;
            };
            partition.in_line = false;
            if !partition.has_some() {
                continue;
            }
            let version = partition.version;
            if let Some(chunk) = partition.take_chunk() {
                return Some((index, version, chunk));
            }
        }
        None
    }

    pub(super) fn has_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// The application calls again: it is done with what it was handed before.
    pub(super) fn enter(&mut self) {
        self.calls += 1;
        while let Some(index) = self.outstanding.pop() {
            if let Some(partition) = self.get(index) {
                partition.done = partition.handed;
            }
        }
    }

    /// The application is handed the records before `position`.
    pub(super) fn hand_out(&mut self, index: u32, position: (i64, i32)) {
        if let Some(partition) = self.get(index) {
            partition.hand_out(position);
            if self.outstanding.last() != Some(&index) {
                self.outstanding.push(index);
            }
        }
    }

    /// Whether the application holds records of these.
    pub(super) fn holds_any(&self, partitions: &[TopicPartition]) -> bool {
        let mut indexes = partitions.iter().filter_map(|name| self.index(name));
        indexes.any(|index| self.outstanding.contains(&index))
    }

    /// An error for the next call; of many, the last ones are dropped.
    pub(super) fn tell(&mut self, error: Error) {
        const MOST: usize = 64;
        if self.errors.len() < MOST {
            self.errors.push_back(error);
        }
    }

    pub(super) fn next_error(&mut self) -> Option<Error> {
        while let Some(error) = self.errors.pop_front() {
            if self.is_news(&error) {
                return Some(error);
            }
        }
        self.end.clone().filter(|_| !self.is_stopped)
    }

    /// Whether it was not dealt with before it could be told, by a seek.
    fn is_news(&mut self, error: &Error) -> bool {
        match error {
            Error::NoOffset { partition, .. } | Error::LogTruncated { partition, .. } => self
                .find(partition)
                .is_some_and(|partition| partition.is_stuck()),
            _ => true,
        }
    }

    /// What the fetch loop of a broker is to do; `hurry` leaves full partitions out rather than wait for room.
    pub(super) fn plan(
        &mut self,
        broker: BrokerId,
        session: &mut Session,
        settings: &ConsumerSettings,
        hurry: bool,
        now: Instant,
    ) -> Plan {
        // Each broker has a share of its own: one that does not answer takes nothing from the others.
        let memory = settings.buffer_memory.saturating_sub(self.unpacked);
        let share = memory / self.sources.len().max(1);
        // Whatever is left: what has nothing buffered is not full.
        let full_at = settings.partition_fetch_bytes.min(share).max(1);
        let survey = self.survey(broker, full_at, now);
        if survey.led == 0 {
            return Plan::Unneeded;
        }
        if survey.fetchable == 0 {
            return Plan::Wait(survey.wake);
        }
        if survey.is_full && !hurry {
            return Plan::Full;
        }
        let mut used = survey.used;
        if share.saturating_sub(used + survey.kept) < full_at {
            if used > 0 {
                return Plan::Wait(survey.wake);
            }
            // Paused partitions must not keep the others from being fetched.
            self.drop_paused(broker, now);
        } else {
            used += survey.kept;
        }
        let room = share.saturating_sub(used).max(1);
        let useful = survey
            .fetchable
            .saturating_mul(settings.partition_fetch_bytes);
        let places = self.slab.iter().enumerate();
        let partitions = places.filter_map(|(at, place)| {
            let partition = place.as_ref()?;
            let is_wanted = partition.source(now) == Some(broker)
                && partition.is_fetchable(now)
                && partition.buffered() < full_at;
            is_wanted.then_some((at as u32, partition))
        });
        let most = i32::try_from(settings.partition_fetch_bytes).unwrap_or(i32::MAX);
        Plan::Fetch {
            asked: session.ask(partitions, most),
            max_bytes: settings.fetch_max_bytes.min(room).min(useful),
        }
    }

    fn survey(&self, broker: BrokerId, full_at: usize, now: Instant) -> Survey {
        let mut survey = Survey::default();
        for partition in self.slab.iter().flatten() {
            if partition.source(now) != Some(broker) {
                continue;
            }
            survey.led += 1;
            if partition.paused {
                survey.kept += partition.buffered();
                continue;
            }
            survey.used += partition.buffered();
            if partition.is_fetchable(now) {
                if partition.buffered() < full_at {
                    survey.fetchable += 1;
                } else {
                    survey.is_full = true;
                }
            } else if partition.is_waiting(now) && partition.is_fetching() {
                let at = partition.not_before();
                survey.wake = survey.wake.into_iter().chain(at).min();
            }
        }
        survey
    }

    fn drop_paused(&mut self, broker: BrokerId, now: Instant) {
        for index in 0..self.slab.len() as u32 {
            let is_paused = self
                .get(index)
                .is_some_and(|p| p.paused && p.buffered() > 0 && p.source(now) == Some(broker));
            if is_paused {
                self.change_at(index, |partition, version| {
                    partition.refetch(version);
                });
            }
        }
    }

    /// Has what is fetched from this broker as a replica (KIP-392) fetched from its leader; `false` when there is none.
    pub(super) fn leave_replica(&mut self, broker: BrokerId) -> bool {
        let mut left = false;
        for (_, partition) in self.all() {
            left |= partition.leave_replica(broker);
        }
        left
    }

    /// Wakes the fetch loop of a partition: there is room, or something to fetch.
    pub(super) fn wake_source(&mut self, index: u32, now: Instant) {
        let source = self.get(index).and_then(|partition| partition.source(now));
        if let Some(wake) = source.and_then(|broker| self.sources.get(&broker)) {
            wake.notify_one();
        }
    }

    pub(super) fn wake_sources(&self) {
        self.sources.values().for_each(|wake| wake.notify_one());
    }
}

/// What a broker's partitions are like.
#[derive(Default)]
struct Survey {
    led: usize,
    fetchable: usize,
    is_full: bool,
    /// Bytes buffered, of partitions that are not paused.
    used: usize,
    /// Bytes buffered of paused ones.
    kept: usize,
    wake: Option<Instant>,
}
