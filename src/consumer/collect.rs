//! Taking records out of what was fetched, so that nothing stale is handed out.

use std::sync::Arc;
use std::time::Instant;

use super::inner::ConsumerInner;
use super::record::{ConsumerRecord, Records};
use super::subscription_state::{SubscriptionState, Wakes};
use crate::batch::Unreadable;
use crate::error::{Error, Result};
use crate::machine::fetch::{CompletedFetch, Damage, NextRecords};
use crate::types::TopicPartition;

/// Bytes that one `poll` may decompress before it hands out what it has, if `max.partition.fetch.bytes` is less.
const ENOUGH: usize = 1 << 20;

/// Takes records out, for the application's calls. Kafka: `FetchCollector`.
pub(super) struct FetchCollector {
    inner: Arc<ConsumerInner>,
    active: Option<Active>,
}

/// The completed fetch that records are being taken of, which is out of the state for that time.
struct Active {
    index: u32,
    version: u64,
    /// Of the state, when this was looked at last.
    epoch: u64,
    completed: CompletedFetch,
}

/// What became of the active fetch when it was looked at under the lock.
enum ActiveStanding {
    Valid,
    Void,
    /// Its partition was paused, or all are withheld: it goes back.
    Paused,
}

impl Active {
    fn new((index, version, completed): (u32, u64, CompletedFetch), epoch: u64) -> Self {
        Self {
            index,
            version,
            epoch,
            completed,
        }
    }

    /// A commit of the last record that was taken is to go behind what follows it that nobody is handed.
    fn pass_unseen(&mut self, inner: &ConsumerInner) {
        let before = self.completed.position();
        self.completed.pass_unseen(&inner.filter);
        let behind = self.completed.position();
        if behind != before {
            inner.lock().pass(self.index, self.version, behind);
        }
    }

    /// Whether records of the completed fetch may still be handed out.
    fn stand(&mut self, state: &mut SubscriptionState) -> ActiveStanding {
        if self.epoch == state.epoch {
            return ActiveStanding::Valid;
        }
        let (version, is_withheld) = (self.version, state.is_withheld());
        let standing = match state.get(self.index) {
            Some(partition) if partition.version != version || partition.stopped => {
                ActiveStanding::Void
            }
            Some(partition) if partition.paused || is_withheld => ActiveStanding::Paused,
            Some(_) => ActiveStanding::Valid,
            None => ActiveStanding::Void,
        };
        if matches!(standing, ActiveStanding::Valid) {
            self.epoch = state.epoch;
        }
        standing
    }
}

/// Records of one partition that `poll` is about to hand out.
struct PolledPart {
    index: u32,
    version: u64,
    position: (i64, i32),
}

/// Gives other tasks their turn now and then: a call that finds records buffered waits for nothing, and whoever makes
/// it again and again would keep its thread from the rest of the runtime's work, heartbeats included.
pub(super) async fn give_way() {
    // By its name in every tokio from 1.40 on; the newer one came later.
    #[allow(deprecated)]
    tokio::task::consume_budget().await;
}

/// A call that waits for records, for as long as it is not dropped.
struct WaitingCall<'a>(&'a ConsumerInner);

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.0.lock().is_waiting = false;
        self.0.called.notify_waiters();
    }
}

impl FetchCollector {
    pub(super) fn new(inner: Arc<ConsumerInner>) -> Self {
        Self {
            inner,
            active: None,
        }
    }

    /// A record of the active fetch, if that has one.
    pub(super) fn take_one(&mut self) -> Result<Option<ConsumerRecord>> {
        let mut is_decoded = false;
        loop {
            let Some(active) = &mut self.active else {
                return Ok(None);
            };
            let inner = &self.inner;
            let mut state = inner.lock();
            inner.enter(&mut state);
            if let Some(error) = state.next_error() {
                return Err(error);
            }
            if state.is_stopped {
                return Ok(None);
            }
            match active.stand(&mut state) {
                ActiveStanding::Valid => {}
                gone => {
                    let active = self.active.take();
                    put_away(&mut state, active, &gone);
                    return Ok(None);
                }
            }
            if is_decoded {
                state.unpacked = active.completed.unpacked();
            }
            if let Some((block, slot)) = active.completed.take() {
                let record = ConsumerRecord::new(block.clone(), slot);
                state.hand_out(active.index, active.completed.position());
                state.counts.records += 1;
                drop(state);
                if inner.looks_ahead && active.completed.is_drained() {
                    active.pass_unseen(inner);
                }
                return Ok(Some(record));
            }
            drop(state);
            is_decoded = self.step()?;
            if !is_decoded {
                return Ok(None);
            }
        }
    }

    /// Decodes more of the active fetch; `false` when nothing is left of it.
    fn step(&mut self) -> Result<bool> {
        let inner = &self.inner;
        let Some(active) = &mut self.active else {
            return Ok(false);
        };
        match active.completed.step(&inner.filter) {
            Ok(NextRecords::Records) => Ok(true),
            Ok(NextRecords::End) => {
                self.finish();
                Ok(false)
            }
            Err(damage) => self.damaged(damage).map_or(Ok(false), Err),
        }
    }

    /// The active completed fetch is used up.
    fn finish(&mut self) {
        let Some(active) = self.active.take() else {
            return;
        };
        let used = |state: &mut SubscriptionState| {
            state.used_up(active.index, active.version, &active.completed)
        };
        self.inner.apply(used);
    }

    /// The rest of the active fetch cannot be read: its partition stays where it is, and is fetched again. Of what is
    /// void, nothing is told.
    fn damaged(&mut self, damage: Damage) -> Option<Error> {
        let active = self.active.take()?;
        let inner = &self.inner;
        let mut state = inner.lock();
        if state.get(active.index)?.version != active.version {
            return None;
        }
        state.hand_out(active.index, active.completed.position());
        let wakes = state.change_at(active.index, |partition, version| {
            partition.refetch(version);
        });
        drop(state);
        inner.wake(wakes);
        Some(error_of(
            active.completed.partition().clone(),
            damage,
            inner.filter.limit,
        ))
    }

    /// Makes the next completed fetch the active one; waits until there is one. `false` once the consumer was stopped.
    pub(super) async fn next_completed(&mut self) -> Result<bool> {
        loop {
            let waiting = {
                let inner = &self.inner;
                let mut state = inner.lock();
                inner.enter(&mut state);
                state.counts.called_at = Some(Instant::now());
                if let Some(error) = state.next_error() {
                    return Err(error);
                }
                if state.is_stopped {
                    return Ok(false);
                }
                if let Some(active) = &mut self.active {
                    match active.stand(&mut state) {
                        ActiveStanding::Valid => return Ok(true),
                        gone => put_away(&mut state, self.active.take(), &gone),
                    }
                }
                state.unpacked = 0;
                if let Some(next) = state.next_completed() {
                    self.active = Some(Active::new(next, state.epoch));
                    return Ok(true);
                }
                state.is_waiting = true;
                WaitingCall(&self.inner)
            };
            // Whoever waits for the application to be done with its records sees that it is.
            waiting.0.called.notify_waiters();
            waiting.0.ready.notified().await;
        }
    }

    /// Up to so many records of what is there, and fewer when they come out of large compressed batches.
    pub(super) fn take_many(&mut self, most: usize) -> Result<Records> {
        let settings = &self.inner.settings;
        let enough = settings.partition_fetch_bytes.max(ENOUGH);
        let mut unpacked = 0;
        let mut records = Records::with_capacity(most.min(1024));
        let mut parts: Vec<PolledPart> = Vec::new();
        let mut ended: Vec<Active> = Vec::new();
        let mut damaged = None;
        while records.len() < most && unpacked < enough {
            let Some(active) = &mut self.active else {
                break;
            };
            match active.completed.step(&self.inner.filter) {
                Ok(NextRecords::Records) => {
                    let from = records.len();
                    let room = most - from;
                    if let Some(block) = active.completed.take_many(room, records.slots()) {
                        if !records.ends_in(&block) {
                            unpacked += active.completed.unpacked();
                        }
                        records.put(block, from, active.version);
                        parts.push(PolledPart {
                            index: active.index,
                            version: active.version,
                            position: active.completed.position(),
                        });
                    }
                }
                Ok(NextRecords::End) => {
                    ended.extend(self.active.take());
                    let mut state = self.inner.lock();
                    if let Some(next) = state.next_completed() {
                        self.active = Some(Active::new(next, state.epoch));
                    }
                }
                Err(damage) => {
                    // Behind records it is told by the next call: the fetch remembers.
                    damaged = records.is_empty().then_some(damage);
                    break;
                }
            }
        }
        self.confirm(&mut records, &parts, ended, unpacked);
        if let Some(active) = &mut self.active {
            let inner = &self.inner;
            if inner.looks_ahead && active.completed.is_drained() {
                active.pass_unseen(inner);
            }
        }
        damaged
            .and_then(|damage| self.damaged(damage))
            .map_or(Ok(records), Err)
    }

    /// Hands out what may still be handed out, and counts it.
    fn confirm(
        &mut self,
        records: &mut Records,
        parts: &[PolledPart],
        ended: Vec<Active>,
        unpacked: usize,
    ) {
        let mut state = self.inner.lock();
        state.unpacked = unpacked;
        let mut is_valid = |part: &PolledPart| {
            let partition = state.get(part.index);
            partition.is_some_and(|p| p.version == part.version && !p.stopped)
        };
        let valid: Vec<bool> = parts.iter().map(&mut is_valid).collect();
        for (part, _) in parts.iter().zip(&valid).filter(|(_, valid)| **valid) {
            state.hand_out(part.index, part.position);
        }
        let mut wakes = Wakes::default();
        for active in ended {
            let used = state.used_up(active.index, active.version, &active.completed);
            wakes = wakes.and(used);
        }
        if valid.contains(&false) {
            records.retain(|part| valid.get(part).copied().unwrap_or(false));
        }
        state.counts.records += records.len() as u64;
        drop(state);
        self.inner.wake(wakes);
    }
}

fn error_of(partition: TopicPartition, damage: Damage, limit: usize) -> Error {
    let Damage {
        offset,
        next_offset,
        reason,
    } = damage;
    match reason {
        Unreadable::Malformed(reason) => Error::Corrupt {
            partition,
            offset,
            next_offset,
            reason: reason.to_string().into(),
        },
        Unreadable::TooLarge { size, .. } => Error::TooLargeToRead {
            partition,
            offset,
            next_offset,
            size,
            setting: "fetch.buffer.memory",
            limit,
        },
    }
}

/// Takes the active fetch out of the way: void, or back to its paused partition.
fn put_away(state: &mut SubscriptionState, active: Option<Active>, standing: &ActiveStanding) {
    let Some(active) = active.filter(|_| matches!(standing, ActiveStanding::Paused)) else {
        return;
    };
    state.put_back(active.index, active.completed);
}

#[cfg(test)]
mod tests;
