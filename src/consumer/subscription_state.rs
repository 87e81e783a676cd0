//! What the application's calls, the fetch loops and the membership share, behind one lock: no IO, no waiting.

mod plan;
mod wakes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::machine::fetch::{CompletedFetch, FetchedPart, Growth, PartitionState, Position, Start};
use crate::types::{BrokerId, TopicName, TopicPartition};

use super::counts::ConsumerCounts;

pub(super) use plan::{LONG_WAIT, NodeFetch, Plan};
pub(super) use wakes::Wakes;

/// Who chooses the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionType {
    /// The group, among its members.
    Subscribed,
    /// The application.
    Assigned,
}

/// The consumer's state.
#[derive(Default)]
pub(super) struct SubscriptionState {
    /// The assigned partitions; an index is given again only after its partition is gone.
    slab: Vec<Option<PartitionState>>,
    free: Vec<u32>,
    /// Paused ones that were given up, until it is known whether they come back.
    paused: HashSet<TopicPartition>,
    /// The subscription for which the group has shared out, since partitions were taken last.
    given: Option<Arc<[TopicName]>>,
    names: HashMap<TopicName, HashMap<i32, u32>>,
    /// How many partitions the topics of interest had.
    pub(super) growth: Growth,
    /// Those that have something to hand out.
    line: VecDeque<u32>,
    /// To be told, each with what it says.
    errors: VecDeque<(String, Error)>,
    /// What ended the consumer, and not the application.
    end: Option<Error>,
    /// Made once.
    choice: Option<SubscriptionType>,
    versions: u64,
    /// Raised with each change that may void what the application's side holds.
    pub(super) epoch: u64,
    /// Partitions of which the application holds records that it may not be done with.
    outstanding: Vec<u32>,
    /// Calls of `recv` and `poll` so far.
    pub(super) calls: u64,
    pub(super) counts: ConsumerCounts,
    /// Somebody waits for the application to be done with its records.
    pub(super) is_awaited: bool,
    /// Nothing is handed out: whether the partitions are still this member's is not known.
    is_withheld: bool,
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
    /// Bytes that are in use by records which the application has passed on to handlers.
    held: usize,
    /// The running fetch loops.
    pub(super) nodes: HashMap<BrokerId, NodeFetch>,
}

impl SubscriptionState {
    fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    pub(super) fn index(&self, partition: &TopicPartition) -> Option<u32> {
        let numbers = self.names.get(partition.name())?;
        numbers.get(&partition.partition()).copied()
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut PartitionState> {
        self.slab.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn find(&mut self, partition: &TopicPartition) -> Option<&mut PartitionState> {
        self.get(self.index(partition)?)
    }

    /// The assigned partitions with their indexes.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (u32, &mut PartitionState)> {
        let places = self.slab.iter_mut().enumerate();
        places.filter_map(|(at, place)| Some((at as u32, place.as_mut()?)))
    }

    /// Has the partitions chosen in this way from now on.
    ///
    /// # Errors
    /// [`Error::Config`] when they are chosen in the other way already.
    pub(super) fn choose(&mut self, choice: SubscriptionType) -> Result<()> {
        let before = *self.choice.get_or_insert(choice);
        if before == choice {
            return Ok(());
        }
        let (setting, reason) = match before {
            SubscriptionType::Subscribed => ("assign", "the consumer has subscribed to topics"),
            SubscriptionType::Assigned => {
                ("subscribe", "the consumer was assigned partitions by hand")
            }
        };
        let reason = format!("{reason}: make another consumer for the other way");
        Err(Error::config(setting, reason))
    }

    /// Those of which partitions are assigned.
    pub(super) fn topics(&self) -> Vec<TopicName> {
        self.names.keys().cloned().collect()
    }

    /// Whether a partition of the topic is assigned.
    pub(super) fn has_topic(&self, name: &str) -> bool {
        self.names.contains_key(name)
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
            let mut partition = PartitionState::held(name.clone(), self.next_version());
            partition.pause(self.paused.remove(name));
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

    /// Lets partitions be fetched: from where the application has sought to, `start`, or the group's committed offset.
    pub(super) fn begin(&mut self, partitions: &[TopicPartition], start: Option<Start>) -> Wakes {
        for partition in partitions {
            if let Some(partition) = self.find(partition) {
                partition.begin(start);
            }
        }
        Wakes::keeper().and(Wakes::positions())
    }

    /// Hands out nothing more of these: there is room for others.
    pub(super) fn stop(&mut self, partitions: &[TopicPartition]) -> Wakes {
        for name in partitions {
            let version = self.next_version();
            if let Some(partition) = self.find(name) {
                partition.stopped = true;
                partition.refetch(version);
            }
        }
        self.epoch += 1;
        self.fetchers()
    }

    /// Hands out nothing at all, or again.
    pub(super) fn withhold(&mut self, withheld: bool) -> Wakes {
        self.is_withheld = withheld;
        self.epoch += 1;
        Wakes::caller()
    }

    /// Whether nothing of this one is handed out for now.
    pub(super) fn is_withheld(&self) -> bool {
        self.is_withheld
    }

    /// Removes partitions that may come back with the next assignment, and are paused then as they are now.
    pub(super) fn give_up(&mut self, partitions: &[TopicPartition]) -> Wakes {
        for name in partitions {
            if self.find(name).is_some_and(|partition| partition.paused) {
                self.paused.insert(name.clone());
            }
        }
        self.remove(partitions)
    }

    /// What was given up and has not come back is another member's: the group has shared out what is subscribed to.
    pub(super) fn rest(&mut self, subscription: Arc<[TopicName]>) -> Wakes {
        self.paused = HashSet::new();
        self.given = Some(subscription);
        Wakes::positions()
    }

    /// Whether the partitions are chosen by hand, or shared out for this subscription.
    pub(super) fn is_given(&self, subscription: &Arc<[TopicName]>) -> bool {
        subscription.is_empty() || self.given.as_ref() == Some(subscription)
    }

    /// Whether the partitions are those of a subscription.
    pub(super) fn is_subscribed(&self) -> bool {
        self.choice == Some(SubscriptionType::Subscribed)
    }

    /// Removes partitions: what was buffered of them is room for others.
    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) -> Wakes {
        self.given = None;
        for name in partitions {
            let Some(index) = self.index(name) else {
                continue;
            };
            if let Some(place) = self.slab.get_mut(index as usize) {
                *place = None;
            }
            self.free.push(index);
            if let Some(numbers) = self.names.get_mut(name.name()) {
                numbers.remove(&name.partition());
                if numbers.is_empty() {
                    self.names.remove(name.name());
                }
            }
        }
        let slab = &self.slab;
        let is_there = |at: &u32| slab.get(*at as usize).is_some_and(Option::is_some);
        self.line.retain(is_there);
        self.outstanding.retain(is_there);
        self.epoch += 1;
        let others = Wakes::keeper().and(Wakes::positions());
        self.fetchers().and(others)
    }

    /// Goes on from this offset; `None` when the partition is not assigned.
    pub(super) fn seek(&mut self, partition: &TopicPartition, position: Position) -> Option<Wakes> {
        self.change(partition, |partition, version| {
            partition.seek(position, version);
        })
    }

    /// Goes on from an offset that is to be looked up; `None` when the partition is not assigned.
    pub(super) fn reset(&mut self, partition: &TopicPartition, start: Start) -> Option<Wakes> {
        self.change(partition, |partition, version| {
            partition.reset(start, version);
        })
    }

    /// Changes a partition so that what was fetched of it is void; `None` when it is not assigned.
    pub(super) fn change(
        &mut self,
        partition: &TopicPartition,
        change: impl FnOnce(&mut PartitionState, u64),
    ) -> Option<Wakes> {
        let index = self.index(partition)?;
        Some(self.change_at(index, change))
    }

    /// A new version for a change to the partition at this index.
    pub(super) fn change_at(
        &mut self,
        index: u32,
        change: impl FnOnce(&mut PartitionState, u64),
    ) -> Wakes {
        self.void_at(index, change);
        self.look_after(index).and(Wakes::positions())
    }

    /// As `change_at`, where nobody but the one who does it has something to do by it.
    fn void_at(&mut self, index: u32, change: impl FnOnce(&mut PartitionState, u64)) {
        let version = self.next_version();
        if let Some(partition) = self.get(index) {
            change(partition, version);
            self.epoch += 1;
        }
    }

    /// Hands out nothing of the partition, or again; `None` when it is not assigned.
    pub(super) fn pause(&mut self, partition: &TopicPartition, paused: bool) -> Option<Wakes> {
        let index = self.index(partition)?;
        if let Some(partition) = self.get(index) {
            partition.pause(paused);
        }
        self.epoch += 1;
        self.line_up(index);
        let caller = Wakes {
            caller: self.has_line(),
            ..Wakes::default()
        };
        Some(self.look_after(index).and(caller))
    }

    /// Takes what was fetched of the partition, which expects it.
    pub(super) fn answered(&mut self, index: u32, answer: FetchedPart) -> Wakes {
        if let Some(partition) = self.get(index) {
            partition.answered(answer);
        }
        self.line_up(index);
        Wakes {
            caller: self.has_line(),
            ..Wakes::default()
        }
    }

    /// The call that takes records puts a completed fetch back, of a partition that was paused meanwhile.
    pub(super) fn put_back(&mut self, index: u32, completed: CompletedFetch) {
        if let Some(partition) = self.get(index) {
            partition.return_completed(completed);
            self.line_up(index);
        }
    }

    /// The call that takes records has used a completed fetch up: there is room for another one.
    pub(super) fn used_up(
        &mut self,
        index: u32,
        version: u64,
        completed: &CompletedFetch,
    ) -> Wakes {
        let Some(partition) = self.get(index).filter(|p| p.version == version) else {
            return Wakes::default();
        };
        partition.release(completed.size());
        self.pass(index, version, completed.position());
        self.line_up(index);
        self.freed(index, completed.size(), Instant::now())
    }

    /// Puts a partition into the line, if it has something to hand out.
    fn line_up(&mut self, index: u32) {
        let Some(partition) = self.get(index) else {
            return;
        };
        if partition.has_some() && !partition.in_line {
            partition.in_line = true;
            self.line.push_back(index);
        }
    }

    /// The oldest completed fetch of the partition that has waited longest, with its index and version.
    pub(super) fn next_completed(&mut self) -> Option<(u32, u64, CompletedFetch)> {
        while !self.is_withheld
            && let Some(index) = self.line.pop_front()
        {
            let Some(partition) = self.get(index) else {
                continue;
            };
            partition.in_line = false;
            if !partition.has_some() {
                continue;
            }
            let version = partition.version;
            if let Some(completed) = partition.take_completed() {
                return Some((index, version, completed));
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
                partition.set_done();
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

    /// Nothing that the application could be handed is before `position`.
    pub(super) fn pass(&mut self, index: u32, version: u64, position: (i64, i32)) {
        let partition = self.get(index).filter(|p| p.version == version);
        if let Some(partition) = partition {
            partition.pass(position);
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

    /// An error for a call of the application: of a partition, or of none. Nothing is dropped but what says the same
    /// as one that is not told yet, which many partitions of a topic may.
    pub(super) fn tell(&mut self, of: Option<&TopicPartition>, error: Error) -> Wakes {
        let about = match (of, error.broker_code()) {
            (Some(partition), Some(code)) => format!("{code} {}", partition.topic()),
            _ => error.to_string(),
        };
        if self.errors.iter().all(|(other, _)| *other != about) {
            self.errors.push_back((about, error));
        }
        Wakes::caller()
    }

    /// Each call of the application ends with this error, unless it ends already.
    pub(super) fn end(&mut self, error: Error) -> Wakes {
        self.end.get_or_insert(error);
        Wakes::caller()
    }

    /// The application hands itself nothing more.
    pub(super) fn stop_all(&mut self) -> Wakes {
        self.is_stopped = true;
        Wakes::caller()
    }

    /// The application is gone. What it was handed last counts as done if `is_done`.
    pub(super) fn part(&mut self, is_done: bool) -> Wakes {
        if is_done {
            self.enter();
        }
        self.is_stopped = true;
        self.is_gone = true;
        Wakes {
            called: true,
            ..Wakes::positions()
        }
    }

    /// The consumer's tasks are to end.
    pub(super) fn close(&mut self) -> Wakes {
        self.is_closed = true;
        let others = Wakes {
            called: true,
            ..Wakes::caller()
        };
        self.fetchers().and(others).and(Wakes::keeper())
    }

    pub(super) fn next_error(&mut self) -> Option<Error> {
        while let Some((_, error)) = self.errors.pop_front() {
            if self.is_news(&error) {
                return Some(error);
            }
        }
        self.end.clone().filter(|_| !self.is_stopped)
    }

    /// The error that is told next, which stays to be told.
    pub(super) fn next_told(&mut self) -> Option<Error> {
        while let Some((_, error)) = self.errors.front() {
            let error = error.clone();
            if self.is_news(&error) {
                return Some(error);
            }
            self.errors.pop_front();
        }
        self.end.clone()
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
}

#[cfg(test)]
mod tests;
