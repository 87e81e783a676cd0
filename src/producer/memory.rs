//! `buffer.memory`: who may buffer how much, in order of asking, and buffers for reuse.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How far buffers that are kept for reuse may exceed the limit.
///
/// When memory is used up a returned buffer's bytes belong to a waiter at once, who is about to ask
/// for a buffer: without some slack it would be freed and allocated again for every batch.
const SLACK: usize = 4 << 20;

/// The producer's memory.
pub(crate) struct Memory {
    limit: usize,
    /// One permit a byte; it serves waiters first come, first served.
    bytes: Semaphore,
    waiting: AtomicUsize,
    waits: AtomicUsize,
    batch_size: usize,
    /// Buffers of exactly `batch_size`; with what is charged they stay below the limit and `SLACK`.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Memory {
    pub(crate) fn new(limit: usize, batch_size: usize) -> Self {
        Self {
            limit,
            bytes: Semaphore::new(limit),
            waiting: AtomicUsize::new(0),
            waits: AtomicUsize::new(0),
            batch_size,
            spare: Mutex::default(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.limit - self.bytes.available_permits().min(self.limit)
    }

    /// Whether somebody waits for memory.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// How often somebody had to wait.
    pub(crate) fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    /// Charges `bytes` unless that would exceed the limit or overtake a waiter.
    fn try_charge(&self, bytes: usize) -> bool {
        let Ok(permits) = u32::try_from(bytes) else {
            return false;
        };
        match self.bytes.try_acquire_many(permits) {
            Ok(charge) => {
                charge.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Waits in line for `bytes`; `None` when `deadline` comes first. Dropping the future leaves the line.
    ///
    /// `on_wait` is called once [`is_wanted`](Self::is_wanted) tells of the wait.
    pub(crate) async fn charge(
        &self,
        bytes: usize,
        deadline: Instant,
        on_wait: impl FnOnce(),
    ) -> Option<Grant<'_>> {
        let permits = u32::try_from(bytes).ok()?;
        self.waits.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting::new(&self.waiting);
        on_wait();
        let charge = tokio::time::timeout_at(deadline, self.bytes.acquire_many(permits)).await;
        charge.ok()?.ok()?.forget();
        Some(Grant {
            memory: self,
            bytes,
        })
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.bytes.add_permits(bytes);
        }
    }

    /// A buffer for `capacity` bytes that have been charged.
    fn buffer(&self, capacity: usize) -> Vec<u8> {
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

/// Memory already charged for someone who waited; what is not used goes back.
pub(crate) struct Grant<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        self.memory.release(self.bytes);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes memory for an append, from the grant first.
pub(crate) struct Taker<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) grant: Option<Grant<'a>>,
}

impl Taker<'_> {
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let granted = self.grant.as_ref().map_or(0, |grant| grant.bytes);
        if bytes > granted && !self.memory.try_charge(bytes - granted) {
            return false;
        }
        if let Some(grant) = &mut self.grant {
            grant.bytes -= granted.min(bytes);
        }
        true
    }

    pub(crate) fn buffer(&mut self, capacity: usize) -> Option<Vec<u8>> {
        self.take(capacity).then(|| self.memory.buffer(capacity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order_and_nobody_overtakes_them() {
        let memory = Memory::new(100, 50);
        let mut taker = Taker {
            memory: &memory,
            grant: None,
        };
        assert!(taker.take(90));
        let first = memory.charge(60, later(), || ());
        let second = memory.charge(10, later(), || ());
        tokio::pin!(first, second);
        assert!(poll_once(first.as_mut()).await.is_none());
        assert!(poll_once(second.as_mut()).await.is_none());
        assert!(memory.is_wanted());
        memory.release(5);
        assert!(
            !taker.take(1),
            "a latecomer must not overtake those who wait"
        );
        memory.release(45);
        let grant = poll_once(first.as_mut())
            .await
            .expect("60 bytes are free")
            .expect("in time");
        assert!(poll_once(second.as_mut()).await.is_none());
        drop(grant);
        assert!(poll_once(second.as_mut()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn charge_ends_at_its_deadline_and_leaves_nothing_behind() {
        let memory = Memory::new(100, 50);
        let mut taker = Taker {
            memory: &memory,
            grant: None,
        };
        assert!(taker.take(100));
        assert!(
            memory
                .charge(1, Instant::now() + Duration::from_millis(50), || ())
                .await
                .is_none()
        );
        memory.release(100);
        assert_eq!(memory.used(), 0);
        assert!(!memory.is_wanted());
    }

    #[tokio::test]
    async fn grant_is_used_first_and_the_rest_goes_back() {
        let memory = Memory::new(100, 50);
        let grant = memory.charge(60, later(), || ()).await;
        let mut taker = Taker {
            memory: &memory,
            grant,
        };
        assert!(taker.buffer(50).is_some());
        drop(taker);
        assert_eq!(memory.used(), 50);
    }

    #[test]
    fn buffers_of_the_batch_size_are_used_again() {
        let memory = Memory::new(1000, 50);
        memory.recycle(Vec::with_capacity(50));
        memory.recycle(Vec::with_capacity(49));
        assert_eq!(memory.spare.lock().unwrap().len(), 1);
        assert_eq!(memory.buffer(50).capacity(), 50);
        assert!(memory.spare.lock().unwrap().is_empty());
    }

    /// Polls once.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
