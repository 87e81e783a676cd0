//! What a runner's tasks, its handle and its consumer share: the state with its lock, and who is woken by what.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::failure::Failure;
use super::letters::DeadLetters;
use super::order::Order;
use super::state::{End, Item, State, Task, Turn};
use crate::consumer::{ConsumerRecord, Records};
use crate::machine::runner::{Attempts, OnFailure, Origin, Pace, Place};
use crate::types::TopicPartition;

/// What the application says about a failure.
pub(super) type Classify = dyn Fn(&Failure) -> OnFailure + Send + Sync;

/// How a runner handles records.
pub(super) struct Conduct {
    pub(super) group: Arc<str>,
    pub(super) order: Order,
    pub(super) attempts: Attempts,
    pub(super) classify: Box<Classify>,
    pub(super) dead_letters: Option<DeadLetters>,
    /// How long partitions that are revoked are waited for.
    pub(super) patience: Duration,
}

/// Starts a worker, which runs the application's handler.
pub(super) type StartWorker = dyn Fn(Arc<Shared>) + Send + Sync;

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) conduct: Conduct,
    hasher: hashbrown::DefaultHashBuilder,
    start: Box<StartWorker>,
    runtime: tokio::runtime::Handle,
    /// Tells the reading task.
    pub(super) news: Notify,
    /// A handler has ended, and somebody may wait for that.
    pub(super) rest: Notify,
    /// The runner has ended by itself.
    pub(super) failed: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new(state: State, conduct: Conduct, start: Box<StartWorker>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
            conduct,
            hasher: hashbrown::DefaultHashBuilder::default(),
            start,
            runtime: tokio::runtime::Handle::current(),
            news: Notify::new(),
            rest: Notify::new(),
            failed: watch::Sender::new(false),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the state, then starts a worker if there is work for one more, and tells the reading task.
    pub(super) fn apply<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state);
        let (wants_worker, is_news) = (state.wants_worker(), state.is_news());
        let has_failed = state.failure.is_some();
        drop(state);
        if wants_worker {
            (self.start)(self.clone());
        }
        if is_news {
            self.news.notify_one();
        }
        if has_failed {
            self.failed
                .send_if_modified(|failed| !std::mem::replace(failed, true));
        }
        done
    }

    /// Puts records in line; those partitions of which enough are unfinished for now.
    pub(super) fn add(self: &Arc<Self>, records: &Records) -> Vec<TopicPartition> {
        let now = Instant::now();
        self.apply(|state| {
            let mut full = Vec::new();
            let before = state.lanes.waiting();
            for block in records.blocks() {
                let Some(first) = block.iter().next() else {
                    continue;
                };
                let Some(index) = state.index(first.topic_partition()) else {
                    continue;
                };
                let State {
                    bounds,
                    lanes,
                    partitions,
                    held,
                    ..
                } = &mut *state;
                let partition = partitions.get_mut(index as usize);
                let partition = partition
                    .and_then(Option::as_mut)
                    .filter(|partition| !partition.is_stopped && partition.since <= block.version);
                let Some(partition) = partition else {
                    continue;
                };
                let origin = Origin {
                    topic_id: first.topic_id(),
                    leader_epoch: first.leader_epoch().unwrap_or(-1),
                    version: block.version,
                    block: block.address(),
                    bytes: block.bytes(),
                };
                let memory = partition.acks.set_origin(origin, first.offset(), now);
                *held = *held + memory.used - memory.freed;
                for record in block.iter() {
                    if let Some(number) = partition.acks.take(record.offset()) {
                        let item = Item {
                            record: record.to_owned(),
                            index,
                            generation: partition.generation,
                            number,
                            attempt: 0,
                            dead: None,
                        };
                        lanes.push(self.lane(item.generation, &item.record), item);
                    }
                }
                *held -= partition.acks.taken();
                if !partition.is_full && partition.acks.open() >= bounds.unfinished {
                    partition.is_full = true;
                    full.push(partition.name.clone());
                }
            }
            let more = state.lanes.waiting() - before;
            state.bucket.spend(u32::try_from(more).unwrap_or(u32::MAX));
            full
        })
    }

    /// What a record waits behind.
    fn lane(&self, generation: u64, record: &ConsumerRecord) -> Option<u64> {
        match self.conduct.order {
            Order::Partition => Some(generation),
            Order::Key => Some(self.hasher.hash_one((generation, record.key()?))),
            Order::None => None,
        }
    }

    /// One turn is over, in which a handler ran for so long, and the worker takes the next; `None` ends it.
    pub(super) fn next(
        self: &Arc<Self>,
        over: Option<(Turn, End, Option<Duration>)>,
    ) -> Option<Task> {
        let is_first = over.is_none();
        let (task, aside, is_awaited) = self.apply(|state| {
            let aside = over.and_then(|(turn, end, took)| {
                if let Some(took) = took {
                    state.counts.time.add(took);
                }
                state.finish(&turn, end)
            });
            let task = state.take();
            if is_first {
                state.is_starting = false;
            }
            if task.is_none() {
                state.workers -= 1;
            }
            (task, aside, std::mem::take(&mut state.is_awaited))
        });
        if let Some((place, delay)) = aside {
            self.call_after(place, delay);
        }
        if is_awaited {
            self.rest.notify_waiters();
        }
        task
    }

    /// Calls what was set aside when its delay is over.
    fn call_after(self: &Arc<Self>, place: Place, delay: Duration) {
        let shared = Arc::downgrade(self);
        self.runtime.spawn(async move {
            sleep(delay).await;
            if let Some(shared) = shared.upgrade() {
                shared.apply(|state| {
                    state.aside -= 1;
                    state.lanes.call(place);
                });
            }
        });
    }

    /// Waits until none of the handlers in question is in flight.
    pub(super) async fn resting(&self, mut is_busy: impl FnMut(&mut State) -> bool) {
        loop {
            let mut rest = std::pin::pin!(self.rest.notified());
            rest.as_mut().enable();
            {
                let mut state = self.lock();
                if !is_busy(&mut state) {
                    return;
                }
                state.is_awaited = true;
            }
            rest.await;
        }
    }

    /// No handler begins any more.
    pub(super) fn close(self: &Arc<Self>) {
        self.apply(|state| state.is_closed = true);
    }

    pub(super) fn pause(self: &Arc<Self>, is_paused: bool) {
        self.apply(|state| state.is_paused = is_paused);
        self.news.notify_one();
    }

    pub(super) fn set_pace(self: &Arc<Self>, pace: Option<Pace>) {
        self.apply(|state| state.bucket.set(pace));
        self.news.notify_one();
    }
}
