//! Those who wait for the producer's memory, in line: whose turn it is, and how much is given.
//!
//! Callers wait by partition. When the oldest of all has its turn, those who wait for the same partition are
//! called with it, as many as one batch holds and as memory lasts: they fill the batch together.
//!
//! ```text
//!   join            call (memory goes into the partition's purse)        done
//! ───────▶ waiting ─────────────────────────────────────────────▶ called ─────▶
//!            ▲                    again, at the old place           │
//!            └──────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants:
//! - What is free, in purses and held by batches is the limit, to the byte.
//! - Nobody who has not been called takes memory while anyone waits.
//! - While anyone waits, less is free than the oldest one needs.

use std::collections::BTreeMap;
use std::time::Instant;

use hashbrown::HashMap;

use crate::batch::HEADER_LEN;

/// What a batch costs beside its buffer: its result, its places in queue and request, what its answer is matched by.
pub(crate) const BATCH_COST: usize = 1024;

/// Which partition somebody waits for.
pub(crate) type Key = usize;

/// The producer's memory, and who waits for it; `W` wakes a caller.
pub(crate) struct MemoryWaiters<W> {
    limit: usize,
    free: usize,
    batch_size: usize,
    next_place: u64,
    waiting: usize,
    groups: HashMap<Key, Group<W>>,
    /// The partitions that somebody waits for, by the place of their first one.
    order: BTreeMap<u64, Key>,
    /// When the watcher looks at deadlines next.
    look: Option<Instant>,
}

/// Those who want to append to one partition.
struct Group<W> {
    waiting: BTreeMap<u64, Waiter<W>>,
    /// Bytes of their records.
    demand: usize,
    called: usize,
    /// Bytes of the records of those who were called.
    promised: usize,
    /// Memory given to them and not taken yet.
    purse: usize,
}

struct Waiter<W> {
    bytes: usize,
    deadline: Instant,
    waker: W,
}

impl<W> Default for Group<W> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            demand: 0,
            called: 0,
            promised: 0,
            purse: 0,
        }
    }
}

impl<W> MemoryWaiters<W> {
    pub(crate) fn new(limit: usize, batch_size: usize) -> Self {
        Self {
            limit,
            free: limit,
            batch_size,
            next_place: 0,
            waiting: 0,
            groups: HashMap::new(),
            order: BTreeMap::new(),
            look: None,
        }
    }

    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A place for who comes now.
    pub(crate) fn next_place(&mut self) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        place
    }

    /// Waits at `place` for room for a record of `bytes`; tells whether the deadline is the soonest to look at.
    pub(crate) fn join(
        &mut self,
        key: Key,
        place: u64,
        bytes: usize,
        deadline: Instant,
        waker: W,
    ) -> bool {
        let group = self.groups.entry(key).or_default();
        let first = group.waiting.keys().next().copied();
        let waiter = Waiter {
            bytes,
            deadline,
            waker,
        };
        group.waiting.insert(place, waiter);
        group.demand += bytes;
        self.waiting += 1;
        if first.is_none_or(|first| place < first) {
            if let Some(first) = first {
                self.order.remove(&first);
            }
            self.order.insert(place, key);
        }
        let soonest = self.look.is_none_or(|look| deadline < look);
        if soonest {
            self.look = Some(deadline);
        }
        soonest
    }

    /// The waker of who still waits, to be replaced.
    pub(crate) fn waker(&mut self, key: Key, place: u64) -> Option<&mut W> {
        let waiter = self.groups.get_mut(&key)?.waiting.get_mut(&place)?;
        Some(&mut waiter.waker)
    }

    /// Leaves the line before having been called.
    pub(crate) fn leave(&mut self, key: Key, place: u64) -> bool {
        let Some(group) = self.groups.get_mut(&key) else {
            return false;
        };
        let Some(waiter) = group.waiting.remove(&place) else {
            return false;
        };
        group.demand -= waiter.bytes;
        self.waiting -= 1;
        if self.order.remove(&place).is_some()
            && let Some(next) = group.waiting.keys().next()
        {
            self.order.insert(*next, key);
        }
        self.forget_if_empty(key);
        true
    }

    /// Whoever was called for a record of `bytes` has appended it, wants to wait again, or is gone.
    pub(crate) fn done(&mut self, key: Key, bytes: usize) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.called = group.called.saturating_sub(1);
        group.promised = group.promised.saturating_sub(bytes);
        if group.called == 0 {
            self.free += std::mem::take(&mut group.purse);
            group.promised = 0;
            self.forget_if_empty(key);
        }
    }

    fn forget_if_empty(&mut self, key: Key) {
        let empty = |group: &Group<W>| group.called == 0 && group.waiting.is_empty();
        if self.groups.get(&key).is_some_and(empty) {
            self.groups.remove(&key);
        }
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.free += bytes;
    }

    /// Takes as much as there is of `least` to `most` bytes, `None` when there is less: out of the purse of the partition
    /// that one was called for, else of what is free unless anyone waits.
    pub(crate) fn allocate(
        &mut self,
        called: Option<Key>,
        least: usize,
        most: usize,
    ) -> Option<usize> {
        let purse = called.and_then(|key| Some(&mut self.groups.get_mut(&key)?.purse));
        let free = if self.order.is_empty() { self.free } else { 0 };
        let in_purse = purse.as_deref().copied().unwrap_or(0);
        let taken = most.max(least).min(in_purse + free);
        if taken < least {
            return None;
        }
        let of_purse = taken.min(in_purse);
        if let Some(purse) = purse {
            *purse -= of_purse;
        }
        self.free -= taken - of_purse;
        Some(taken)
    }

    /// Bytes of the records of those who were called for a partition.
    pub(crate) fn promised(&self, key: Key) -> usize {
        self.groups.get(&key).map_or(0, |group| group.promised)
    }

    /// Calls those whose turn it is; to be called after every change.
    pub(crate) fn call(&mut self, woken: &mut Vec<W>) {
        while let Some((&place, &key)) = self.order.first_key_value() {
            let Some(group) = self.groups.get_mut(&key) else {
                return;
            };
            let cost = HEADER_LEN + BATCH_COST;
            let first = group.waiting.get(&place).map_or(0, |waiter| waiter.bytes);
            let need = (first + cost).min(self.limit);
            if need > self.free {
                return;
            }
            let batch = self.batch_size + BATCH_COST;
            let grant = (group.demand + cost).min(batch).max(need).min(self.free);
            self.free -= grant;
            group.purse += grant;
            self.order.remove(&place);
            let mut room = grant.saturating_sub(cost).max(first);
            while let Some(next) = group.waiting.first_entry()
                && next.get().bytes <= room
            {
                let Waiter { bytes, waker, .. } = next.remove();
                room -= bytes;
                group.demand -= bytes;
                group.promised += bytes;
                group.called += 1;
                self.waiting -= 1;
                woken.push(waker);
            }
            if let Some(next) = group.waiting.keys().next() {
                self.order.insert(*next, key);
            }
        }
    }

    /// Wakes those whose deadline has passed, to leave the line, and tells when to look again.
    pub(crate) fn expire(&mut self, now: Instant, woken: &mut Vec<W>) -> Option<Instant>
    where
        W: Clone,
    {
        if self.look.is_none_or(|look| look > now) {
            return self.look;
        }
        let waiters = self
            .groups
            .values()
            .flat_map(|group| group.waiting.values());
        let mut soonest = None::<Instant>;
        for waiter in waiters {
            if waiter.deadline <= now {
                woken.push(waiter.waker.clone());
            } else {
                soonest = Some(soonest.map_or(waiter.deadline, |s| s.min(waiter.deadline)));
            }
        }
        self.look = soonest;
        soonest
    }

    /// The wakers of all who wait: nobody is given anything any more.
    pub(crate) fn wakers(&self) -> Vec<W>
    where
        W: Clone,
    {
        let waiters = self
            .groups
            .values()
            .flat_map(|group| group.waiting.values());
        waiters.map(|waiter| waiter.waker.clone()).collect()
    }
}
