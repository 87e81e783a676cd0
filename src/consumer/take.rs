//! Taking records out of what was fetched, so that nothing stale is handed out.

use std::time::Instant;

use super::shared::Shared;
use super::state::State;
use super::{Consumer, ConsumerRecord, Records};
use crate::batch::Unreadable;
use crate::error::{Error, Result};
use crate::machine::fetch::{Chunk, Damage, Step};
use crate::types::TopicPartition;

/// Bytes that one `poll` may decompress before it hands out what it has, if `max.partition.fetch.bytes` is less.
const ENOUGH: usize = 1 << 20;

/// The chunk that records are being taken of, which is out of the state for that time.
pub(super) struct Active {
    index: u32,
    version: u64,
    /// Of the state, when this was looked at last.
    epoch: u64,
    chunk: Chunk,
}

/// What became of the active chunk when it was looked at under the lock.
enum Standing {
    Valid,
    Void,
    /// Its partition was paused, or all are withheld: it goes back.
    Paused,
}

impl Active {
    fn new((index, version, chunk): (u32, u64, Chunk), epoch: u64) -> Self {
        Self {
            index,
            version,
            epoch,
            chunk,
        }
    }

    /// A commit of the last record that was taken is to go behind what follows it that nobody is handed.
    fn pass_unseen(&mut self, shared: &Shared) {
        let before = self.chunk.position();
        self.chunk.pass_unseen(&shared.filter);
        let behind = self.chunk.position();
        if behind != before {
            shared.lock().pass(self.index, self.version, behind);
        }
    }

    /// Whether records of the chunk may still be handed out.
    fn stand(&mut self, state: &mut State) -> Standing {
        if self.epoch == state.epoch {
            return Standing::Valid;
        }
        let (version, is_withheld) = (self.version, state.is_withheld());
        let standing = match state.get(self.index) {
            Some(partition) if partition.version != version || partition.stopped => Standing::Void,
            Some(partition) if partition.paused || is_withheld => Standing::Paused,
            Some(_) => Standing::Valid,
            None => Standing::Void,
        };
        if matches!(standing, Standing::Valid) {
            self.epoch = state.epoch;
        }
        standing
    }
}

/// Records of one partition that `poll` is about to hand out.
struct Part {
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
struct Waiting<'a>(&'a Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().is_waiting = false;
        self.0.called.notify_waiters();
    }
}

impl Consumer {
    /// A record of the active chunk, if that has one.
    pub(super) fn take_one(&mut self) -> Result<Option<ConsumerRecord>> {
        let mut is_decoded = false;
        loop {
            let Some(active) = &mut self.active else {
                return Ok(None);
            };
            let shared = self.handle.shared();
            let mut state = shared.lock();
            shared.enter(&mut state);
            if let Some(error) = state.next_error() {
                return Err(error);
            }
            if state.is_stopped {
                return Ok(None);
            }
            match active.stand(&mut state) {
                Standing::Valid => {}
                gone => {
                    let active = self.active.take();
                    put_away(&mut state, active, &gone);
                    return Ok(None);
                }
            }
            if is_decoded {
                state.unpacked = active.chunk.unpacked();
            }
            if let Some((block, slot)) = active.chunk.take() {
                let record = ConsumerRecord::new(block.clone(), slot);
                state.hand_out(active.index, active.chunk.position());
                state.counts.records += 1;
                drop(state);
                if shared.looks_ahead && active.chunk.is_drained() {
                    active.pass_unseen(shared);
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

    /// Decodes more of the active chunk; `false` when nothing is left of it.
    fn step(&mut self) -> Result<bool> {
        let shared = self.handle.shared();
        let Some(active) = &mut self.active else {
            return Ok(false);
        };
        match active.chunk.step(&shared.filter) {
            Ok(Step::Records) => Ok(true),
            Ok(Step::End) => {
                self.finish();
                Ok(false)
            }
            Err(damage) => self.damaged(damage).map_or(Ok(false), Err),
        }
    }

    /// The active chunk is used up.
    fn finish(&mut self) {
        let Some(active) = self.active.take() else {
            return;
        };
        close_chunk(&mut self.shared().lock(), &active);
    }

    /// The rest of the active chunk cannot be read: its partition stays where it is, and is fetched again. Of what is
    /// void, nothing is told.
    fn damaged(&mut self, damage: Damage) -> Option<Error> {
        let active = self.active.take()?;
        let shared = self.handle.shared();
        let mut state = shared.lock();
        if state.get(active.index)?.version != active.version {
            return None;
        }
        state.hand_out(active.index, active.chunk.position());
        state.change_at(active.index, |partition, version| {
            partition.refetch(version);
        });
        state.wake_source(active.index, Instant::now());
        Some(error_of(
            active.chunk.partition().clone(),
            damage,
            shared.filter.limit,
        ))
    }

    /// Makes the next chunk the active one; waits until there is one. `false` once the consumer was stopped.
    pub(super) async fn next_chunk(&mut self) -> Result<bool> {
        loop {
            let waiting = {
                let shared = self.handle.shared();
                let mut state = shared.lock();
                shared.enter(&mut state);
                state.counts.called_at = Some(Instant::now());
                if let Some(error) = state.next_error() {
                    return Err(error);
                }
                if state.is_stopped {
                    return Ok(false);
                }
                if let Some(active) = &mut self.active {
                    match active.stand(&mut state) {
                        Standing::Valid => return Ok(true),
                        gone => put_away(&mut state, self.active.take(), &gone),
                    }
                }
                state.unpacked = 0;
                if let Some(next) = state.next_chunk() {
                    self.active = Some(Active::new(next, state.epoch));
                    return Ok(true);
                }
                state.is_waiting = true;
                Waiting(self.handle.shared())
            };
            // Whoever waits for the application to be done with its records sees that it is.
            waiting.0.called.notify_waiters();
            waiting.0.ready.notified().await;
        }
    }

    /// Up to `max.poll.records` records of what is there, and fewer when they come out of large compressed batches.
    pub(super) fn take_many(&mut self) -> Result<Records> {
        let settings = &self.shared().settings;
        let most = settings.max_poll_records;
        let enough = settings.partition_fetch_bytes.max(ENOUGH);
        let mut unpacked = 0;
        let mut records = Records::with_capacity(most.min(1024));
        let mut parts: Vec<Part> = Vec::new();
        let mut ended: Vec<Active> = Vec::new();
        let mut damaged = None;
        while records.len() < most && unpacked < enough {
            let Some(active) = &mut self.active else {
                break;
            };
            match active.chunk.step(&self.handle.shared().filter) {
                Ok(Step::Records) => {
                    let from = records.len();
                    let room = most - from;
                    if let Some(block) = active.chunk.take_many(room, records.slots()) {
                        if !records.ends_in(&block) {
                            unpacked += active.chunk.unpacked();
                        }
                        records.put(block, from);
                        parts.push(Part {
                            index: active.index,
                            version: active.version,
                            position: active.chunk.position(),
                        });
                    }
                }
                Ok(Step::End) => {
                    ended.extend(self.active.take());
                    let mut state = self.handle.shared().lock();
                    if let Some(next) = state.next_chunk() {
                        self.active = Some(Active::new(next, state.epoch));
                    }
                }
                Err(damage) => {
                    // Behind records it is told by the next call: the chunk remembers.
                    damaged = records.is_empty().then_some(damage);
                    break;
                }
            }
        }
        self.confirm(&mut records, &parts, ended, unpacked);
        if let Some(active) = &mut self.active {
            let shared = self.handle.shared();
            if shared.looks_ahead && active.chunk.is_drained() {
                active.pass_unseen(shared);
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
        parts: &[Part],
        ended: Vec<Active>,
        unpacked: usize,
    ) {
        let mut state = self.handle.shared().lock();
        state.unpacked = unpacked;
        let mut is_valid = |part: &Part| {
            let partition = state.get(part.index);
            partition.is_some_and(|p| p.version == part.version && !p.stopped)
        };
        let valid: Vec<bool> = parts.iter().map(&mut is_valid).collect();
        for (part, _) in parts.iter().zip(&valid).filter(|(_, valid)| **valid) {
            state.hand_out(part.index, part.position);
        }
        for active in ended {
            close_chunk(&mut state, &active);
        }
        if valid.contains(&false) {
            records.retain(|part| valid.get(part).copied().unwrap_or(false));
        }
        state.counts.records += records.len() as u64;
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

/// Takes the active chunk out of the way: void, or back to its paused partition.
fn put_away(state: &mut State, active: Option<Active>, standing: &Standing) {
    let Some(active) = active.filter(|_| matches!(standing, Standing::Paused)) else {
        return;
    };
    if let Some(partition) = state.get(active.index) {
        partition.return_chunk(active.chunk);
        state.queue(active.index);
    }
}

/// The chunk is used up: there is room for another one.
fn close_chunk(state: &mut State, active: &Active) {
    let Some(partition) = state.get(active.index) else {
        return;
    };
    if partition.version == active.version {
        partition.release(active.chunk.size());
        state.pass(active.index, active.version, active.chunk.position());
        state.queue(active.index);
        state.freed(active.index, active.chunk.size(), Instant::now());
    }
}

#[cfg(test)]
mod tests;
