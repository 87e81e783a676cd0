//! A caller's wait for memory: its place in the line, and the turn that comes of it.

use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::buffer_pool::{BufferPool, Turn};
use crate::machine::produce::waiters::Key;
use crate::types::after;

/// Why the wait for memory ended without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoMemory {
    TimedOut,
    Closed,
}

/// A caller's wait for its turn, and then the turn; dropping it leaves the line, or ends the turn.
pub(crate) struct Wait<'a> {
    pool: &'a BufferPool,
    key: Key,
    bytes: usize,
    deadline: Instant,
    /// Kept by who has to wait again.
    place: Option<u64>,
    /// There is no time to wait at all.
    is_hopeless: bool,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Outside,
    Waiting,
    Called { others: usize },
}

impl<'a> Wait<'a> {
    /// For room for a record of `bytes` in a batch of the partition `key`.
    pub(crate) fn new(
        pool: &'a BufferPool,
        key: Key,
        bytes: usize,
        now: Instant,
        limit: Duration,
    ) -> Self {
        Self {
            pool,
            key,
            bytes,
            deadline: after(now, limit),
            place: None,
            is_hopeless: limit.is_zero(),
            step: Step::Outside,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The turn, once one was called.
    pub(crate) fn turn(&self) -> Option<Turn> {
        match self.step {
            Step::Called { others } => Some(Turn {
                key: self.key,
                others,
            }),
            Step::Outside | Step::Waiting => None,
        }
    }

    /// What was given was not enough: waits once more, for the partition `key`, at the place that one had.
    pub(crate) fn again(&mut self, key: Key) {
        self.end();
        self.key = key;
    }

    /// Waits for the turn; `rush` is called when nobody waited before.
    pub(crate) fn poll(
        &mut self,
        cx: &Context<'_>,
        rush: impl FnOnce(),
    ) -> Poll<Result<(), NoMemory>> {
        match self.step {
            Step::Called { .. } => Poll::Ready(Ok(())),
            Step::Outside => self.join(cx, rush),
            Step::Waiting => self.look(cx),
        }
    }

    fn join(&mut self, cx: &Context<'_>, rush: impl FnOnce()) -> Poll<Result<(), NoMemory>> {
        if self.is_hopeless {
            return Poll::Ready(Err(NoMemory::TimedOut));
        }
        let (key, bytes, deadline) = (self.key, self.bytes, self.deadline);
        let mut woken = Vec::new();
        let (place, first, soonest, others) = {
            let mut state = self.pool.lock();
            if state.closed {
                return Poll::Ready(Err(NoMemory::Closed));
            }
            let place = self.place.unwrap_or_else(|| state.waiters.next_place());
            let first = state.waiters.waiting() == 0;
            let waker = cx.waker().clone();
            let soonest = state.waiters.join(key, place, bytes, deadline, waker);
            state.waiters.call(&mut woken);
            self.pool.publish(&state);
            let called = state.waiters.waker(key, place).is_none();
            let others = called.then(|| state.waiters.promised(key).saturating_sub(bytes));
            (place, first, soonest, others)
        };
        woken.into_iter().for_each(Waker::wake);
        if self.place.replace(place).is_none() {
            self.pool.waits.fetch_add(1, Ordering::Relaxed);
        }
        if soonest {
            self.pool.look.notify_one();
        }
        if let Some(others) = others {
            self.step = Step::Called { others };
            return Poll::Ready(Ok(()));
        }
        self.step = Step::Waiting;
        if first {
            // Who lists a batch meanwhile either sees that somebody waits, or its batch is seen by who is rushed.
            fence(Ordering::SeqCst);
            rush();
        }
        Poll::Pending
    }

    fn look(&mut self, cx: &Context<'_>) -> Poll<Result<(), NoMemory>> {
        let Some(place) = self.place else {
            return Poll::Pending;
        };
        let mut state = self.pool.lock();
        let closed = state.closed;
        let Some(waker) = state.waiters.waker(self.key, place) else {
            let others = state.waiters.promised(self.key).saturating_sub(self.bytes);
            self.step = Step::Called { others };
            return Poll::Ready(Ok(()));
        };
        let late = || self.deadline <= tokio::time::Instant::now().into_std();
        let why = if closed {
            NoMemory::Closed
        } else if late() {
            NoMemory::TimedOut
        } else {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        };
        drop(state);
        self.end();
        Poll::Ready(Err(why))
    }

    /// Leaves the line, or ends the turn.
    fn end(&mut self) {
        let step = std::mem::replace(&mut self.step, Step::Outside);
        let (Some(place), false) = (self.place, step == Step::Outside) else {
            return;
        };
        let (key, bytes) = (self.key, self.bytes);
        self.pool.change(|state| {
            // Who waited may have been called since it last looked.
            if step != Step::Waiting || !state.waiters.leave(key, place) {
                state.waiters.done(key, bytes);
            }
        });
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer_pool::Allocator;
    use super::*;
    use crate::machine::produce::waiters::BATCH_COST;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn waiter(pool: &BufferPool, key: Key, bytes: usize) -> Wait<'_> {
        Wait::new(pool, key, bytes, now(), Duration::from_secs(10))
    }

    /// Polls once, without being woken.
    fn poll(wait: &mut Wait<'_>) -> Poll<Result<(), NoMemory>> {
        wait.poll(&Context::from_waker(Waker::noop()), || ())
    }

    fn allocator(pool: &BufferPool) -> Allocator<'_> {
        Allocator { pool, turn: None }
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order_and_nobody_overtakes_them() {
        let pool = BufferPool::new(10_000, 5000);
        assert_eq!(allocator(&pool).grow(9000, 9000), Some(9000));
        let mut first = waiter(&pool, 1, 6000);
        let mut second = waiter(&pool, 2, 10);
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        assert!(pool.is_wanted());
        pool.release(500);
        assert_eq!(allocator(&pool).grow(1, 1), None, "a latecomer overtakes");
        pool.release(6000);
        assert_eq!(poll(&mut first), Poll::Ready(Ok(())));
        assert!(poll(&mut second).is_pending());
        drop(first);
        assert_eq!(poll(&mut second), Poll::Ready(Ok(())));
        assert!(!pool.is_wanted());
        drop(second);
        assert_eq!(pool.used(), 2500);
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_at_its_deadline_and_leaves_nothing_behind() {
        let pool = BufferPool::new(10_000, 5000);
        assert!(allocator(&pool).grow(10_000, 10_000).is_some());
        let (began, limit) = (now(), Duration::from_millis(50));
        let mut wait = Wait::new(&pool, 1, 1, began, limit);
        assert!(poll(&mut wait).is_pending());
        assert_eq!(pool.expire(began), Some(began + limit));
        tokio::time::advance(limit).await;
        assert_eq!(pool.expire(now()), None);
        assert_eq!(poll(&mut wait), Poll::Ready(Err(NoMemory::TimedOut)));
        pool.release(10_000);
        assert_eq!((pool.used(), pool.is_wanted()), (0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn wait_that_is_dropped_gives_its_turn_to_the_next() {
        let pool = BufferPool::new(10_000, 5000);
        assert!(allocator(&pool).grow(10_000, 10_000).is_some());
        let mut waits: Vec<_> = (1..4).map(|key| waiter(&pool, key, 10)).collect();
        assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
        pool.release(2000);
        drop(waits.remove(0));
        drop(waits.remove(0));
        assert_eq!(poll(&mut waits[0]), Poll::Ready(Ok(())));
        drop(waits);
        assert_eq!(pool.used(), 8000);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_hear_that_the_producer_is_closed() {
        let pool = BufferPool::new(10_000, 5000);
        assert!(allocator(&pool).grow(10_000, 10_000).is_some());
        let mut wait = waiter(&pool, 1, 10);
        assert!(poll(&mut wait).is_pending());
        pool.close();
        assert_eq!(poll(&mut wait), Poll::Ready(Err(NoMemory::Closed)));
        let mut late = waiter(&pool, 1, 10);
        assert_eq!(poll(&mut late), Poll::Ready(Err(NoMemory::Closed)));
    }

    #[test]
    fn batch_is_charged_for_more_than_its_buffer() {
        let pool = BufferPool::new(10_000, 5000);
        let (buffer, charged) = allocator(&pool).buffer(100, 4000).unwrap();
        assert_eq!((buffer.capacity(), charged), (4000, 4000 + BATCH_COST));
        assert_eq!(pool.used(), charged);
        let (buffer, charged) = allocator(&pool).buffer(100, 5000).unwrap();
        assert_eq!(charged, 10_000 - 4000 - BATCH_COST);
        assert_eq!(buffer.capacity(), charged - BATCH_COST);
        let small = BufferPool::new(200, 100);
        let (buffer, charged) = allocator(&small).buffer(150, 150).unwrap();
        assert_eq!((buffer.capacity(), charged), (150, 200));
    }

    #[test]
    fn buffers_of_the_batch_size_are_used_again() {
        let pool = BufferPool::new(1000, 50);
        pool.recycle(Vec::with_capacity(50));
        pool.recycle(Vec::with_capacity(49));
        assert_eq!(pool.spare.lock().unwrap().len(), 1);
        assert_eq!(pool.buffer(50).capacity(), 50);
        assert!(pool.spare.lock().unwrap().is_empty());
    }
}
