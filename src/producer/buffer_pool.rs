//! `buffer.memory`: who may buffer how much, in order of asking, and buffers for reuse.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use tokio::sync::Notify;

use crate::machine::produce::waiters::{BATCH_COST, Key, MemoryWaiters};

/// How far buffers that are kept for reuse may exceed the limit.
///
/// When memory is used up a returned buffer's bytes belong to a waiter at once, who is about to ask
/// for a buffer: without some slack it would be freed and allocated again for every batch.
const SLACK: usize = 4 << 20;

/// The producer's memory.
pub(crate) struct BufferPool {
    limit: usize,
    batch_size: usize,
    state: Mutex<State>,
    /// What the waiters say, for who does not lock it.
    free: AtomicUsize,
    waiting: AtomicUsize,
    pub(super) waits: AtomicUsize,
    /// Somebody who does not wait found no memory since some was given back.
    tried: AtomicBool,
    /// The soonest deadline of those who wait is another.
    pub(super) look: Notify,
    /// Buffers of exactly `batch_size`; with what is charged they stay below the limit and `SLACK`.
    pub(super) spare: Mutex<Vec<Vec<u8>>>,
}

pub(super) struct State {
    pub(super) waiters: MemoryWaiters<Waker>,
    /// Nobody is given anything any more.
    pub(super) closed: bool,
}

impl BufferPool {
    pub(crate) fn new(limit: usize, batch_size: usize) -> Self {
        Self {
            limit,
            batch_size,
            state: Mutex::new(State {
                waiters: MemoryWaiters::new(limit, batch_size),
                closed: false,
            }),
            free: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            waits: AtomicUsize::new(0),
            tried: AtomicBool::new(false),
            look: Notify::new(),
            spare: Mutex::default(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    pub(crate) fn used(&self) -> usize {
        self.limit - self.free.load(Ordering::Relaxed).min(self.limit)
    }

    /// Whether somebody waits for memory, or would have some at once.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.tried.load(Ordering::Relaxed)
    }

    /// Notes that somebody who does not wait found no memory; tells whether that is news.
    pub(crate) fn tried(&self) -> bool {
        let is_news = !self.tried.swap(true, Ordering::Relaxed);
        // As for who begins to wait.
        fence(Ordering::SeqCst);
        is_news
    }

    /// How often somebody had to wait.
    pub(crate) fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what has changed.
    pub(super) fn publish(&self, state: &State) {
        self.free.store(state.waiters.free(), Ordering::Relaxed);
        self.waiting
            .store(state.waiters.waiting(), Ordering::Relaxed);
    }

    /// Changes who waits and what is free, and wakes those whose turn has come by that.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut woken = Vec::new();
        let result = {
            let mut state = self.lock();
            let result = change(&mut state);
            if !state.closed {
                state.waiters.call(&mut woken);
            }
            self.publish(&state);
            result
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Takes as much as there is of `least` to `most` bytes, out of turn only when nobody waits.
    fn allocate(&self, called: Option<Key>, least: usize, most: usize) -> Option<usize> {
        if called.is_none() && self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let mut state = self.lock();
        let taken = state.waiters.allocate(called, least, most);
        self.publish(&state);
        taken
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.tried.store(false, Ordering::Relaxed);
            self.change(|state| state.waiters.release(bytes));
        }
    }

    /// Gives nobody anything any more: those who wait are told.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            state.waiters.wakers()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Wakes those who have waited for too long; tells when to look again.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut woken = Vec::new();
        let next = self.lock().waiters.expire(now, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        next
    }

    /// Waits until [`expire`](Self::expire) is due earlier than it said.
    pub(crate) async fn deadline_changed(&self) {
        self.look.notified().await;
    }

    /// A buffer for `capacity` bytes that have been charged.
    pub(super) fn buffer(&self, capacity: usize) -> Vec<u8> {
        // Any other size takes the place of a spare buffer when it would not fit beside it.
        let spare = {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            let crowded = self.used() + spare.len() * self.batch_size > self.limit + SLACK;
            if crowded || capacity == self.batch_size {
                spare.pop()
            } else {
                None
            }
        };
        spare
            .filter(|spare| spare.capacity() == capacity)
            .unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// Keeps a buffer for reuse, if it is of use.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        if buffer.capacity() != self.batch_size {
            return;
        }
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if self.used() + (spare.len() + 1) * self.batch_size <= self.limit + SLACK {
            spare.push(buffer);
        }
    }
}

/// The turn of who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The partition that it is for.
    pub(super) key: Key,
    /// Bytes of the records of the others who were called with it.
    pub(super) others: usize,
}

/// Takes memory for an append.
pub(crate) struct Allocator<'a> {
    pub(crate) pool: &'a BufferPool,
    pub(crate) turn: Option<Turn>,
}

impl Allocator<'_> {
    pub(crate) fn grow(&self, least: usize, most: usize) -> Option<usize> {
        self.pool.allocate(self.called(), least, most)
    }

    /// A buffer, and what was charged for it and for a batch's other costs.
    pub(crate) fn buffer(&self, least: usize, most: usize) -> Option<(Vec<u8>, usize)> {
        // A limit that is smaller than that still holds one batch.
        let charge = |capacity: usize| (capacity + BATCH_COST).min(self.pool.limit);
        let charged = self
            .pool
            .allocate(self.called(), charge(least), charge(most.max(least)))?;
        let capacity = charged.saturating_sub(BATCH_COST).max(least);
        Some((self.pool.buffer(capacity), charged))
    }

    /// Bytes of the records of others whose turn it is too; `None` for who has no turn.
    pub(crate) fn others(&self) -> Option<usize> {
        self.turn.map(|turn| turn.others)
    }

    fn called(&self) -> Option<Key> {
        self.turn.map(|turn| turn.key)
    }
}
