//! The promises to those who wait: in order of asking, to the byte, and with full batches.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::waiters::{BATCH_COST, Key, MemoryWaiters};
use crate::batch::HEADER_LEN;

const COST: usize = HEADER_LEN + BATCH_COST;

/// Those who wait, and who was woken.
struct Bench {
    waiters: MemoryWaiters<u64>,
    woken: Vec<u64>,
    later: Instant,
}

impl Bench {
    /// With memory that is used up.
    fn full(limit: usize, batch_size: usize) -> Self {
        let mut waiters = MemoryWaiters::new(limit, batch_size);
        assert_eq!(waiters.allocate(None, limit, limit), Some(limit));
        Self {
            waiters,
            woken: Vec::new(),
            later: Instant::now() + Duration::from_secs(60),
        }
    }

    fn join(&mut self, key: Key, bytes: usize) -> u64 {
        let place = self.waiters.next_place();
        self.waiters.join(key, place, bytes, self.later, place);
        self.waiters.call(&mut self.woken);
        place
    }

    fn release(&mut self, bytes: usize) -> Vec<u64> {
        self.waiters.release(bytes);
        self.waiters.call(&mut self.woken);
        std::mem::take(&mut self.woken)
    }

    fn done(&mut self, key: Key, bytes: usize) -> Vec<u64> {
        self.waiters.done(key, bytes);
        self.waiters.call(&mut self.woken);
        std::mem::take(&mut self.woken)
    }
}

#[test]
fn those_who_wait_for_a_partition_are_called_together_as_many_as_a_batch_holds() {
    let mut bench = Bench::full(1 << 20, 10_000);
    let waiters: Vec<_> = (0..30).map(|_| bench.join(1, 1000)).collect();
    let called = bench.release(1 << 20);
    // Three batches of nine, as records need some bytes for the header, and what is left.
    assert_eq!(called, waiters);
    let mut bench = Bench::full(1 << 20, 10_000);
    let waiters: Vec<_> = (0..30).map(|_| bench.join(1, 1000)).collect();
    let called = bench.release(10_000 + BATCH_COST);
    assert_eq!(called, waiters[..9]);
    assert_eq!(bench.waiters.promised(1), 9000);
    assert_eq!(
        bench.waiters.allocate(Some(1), 1000, usize::MAX),
        Some(10_000 + BATCH_COST)
    );
}

#[test]
fn the_oldest_is_served_first_whatever_the_others_want() {
    let mut bench = Bench::full(1 << 20, 10_000);
    let large = bench.join(1, 9000);
    let small = bench.join(2, 10);
    assert!(bench.release(9000).is_empty(), "not enough for the oldest");
    assert_eq!(bench.release(COST), [large]);
    assert_eq!(bench.release(COST + 10), [small]);
}

#[test]
fn a_part_of_what_is_wanted_is_given_and_the_others_keep_their_places() {
    let mut bench = Bench::full(1 << 20, 10_000);
    let first = bench.join(1, 1000);
    let second = bench.join(1, 1000);
    let other = bench.join(2, 1000);
    assert_eq!(bench.release(COST + 1500), [first]);
    assert_eq!(bench.release(COST + 1000), [second]);
    assert_eq!(bench.release(COST + 1000), [other]);
}

#[test]
fn nobody_overtakes_those_who_wait_but_they_themselves_at_their_old_place() {
    let mut bench = Bench::full(1 << 20, 10_000);
    let first = bench.join(1, 1000);
    let second = bench.join(2, 1000);
    assert_eq!(bench.release(COST + 1000), [first]);
    assert_eq!(bench.waiters.allocate(None, 1, 1), None);
    // Its purse was not enough after all.
    bench.waiters.join(1, first, 1000, bench.later, first);
    assert!(bench.done(1, 1000).contains(&first));
    assert_eq!(bench.release(COST + 1000), [second]);
}

#[test]
fn what_is_left_in_the_purse_goes_back_with_the_last_who_was_called() {
    let mut bench = Bench::full(1 << 20, 10_000);
    (0..3).for_each(|_| {
        bench.join(1, 1000);
    });
    assert_eq!(bench.release(COST + 3000).len(), 3);
    assert_eq!(bench.waiters.allocate(Some(1), 500, 600), Some(600));
    bench.done(1, 1000);
    bench.done(1, 1000);
    assert_eq!(bench.waiters.free(), 0);
    bench.done(1, 1000);
    assert_eq!(bench.waiters.free(), COST + 2400);
}

#[test]
fn who_leaves_lets_the_next_one_have_its_turn() {
    let mut bench = Bench::full(1 << 20, 10_000);
    let large = bench.join(1, 9000);
    let small = bench.join(1, 10);
    assert!(bench.release(COST + 10).is_empty());
    assert!(bench.waiters.leave(1, large));
    assert!(!bench.waiters.leave(1, large));
    assert_eq!(bench.release(0), [small]);
}

#[test]
fn a_limit_below_the_cost_of_a_batch_still_serves_one_at_a_time() {
    let mut bench = Bench::full(100, 50);
    let (first, second) = (bench.join(1, 30), bench.join(2, 30));
    assert_eq!(bench.release(100), [first]);
    assert_eq!(bench.waiters.allocate(Some(1), 100, 100), Some(100));
    assert!(bench.done(1, 30).is_empty());
    assert_eq!(bench.release(100), [second]);
}

#[test]
fn those_whose_time_is_up_are_woken_and_the_next_look_is_at_the_next_deadline() {
    let mut bench = Bench::full(1000, 500);
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    assert!(bench.waiters.join(1, 10, 10, at(20), 10));
    assert!(!bench.waiters.join(2, 11, 10, at(30), 11));
    assert!(bench.waiters.join(1, 12, 10, at(10), 12));
    let mut woken = Vec::new();
    assert_eq!(bench.waiters.expire(at(5), &mut woken), Some(at(10)));
    assert!(woken.is_empty());
    assert_eq!(bench.waiters.expire(at(20), &mut woken), Some(at(30)));
    woken.sort_unstable();
    assert_eq!(woken, [10, 12]);
}

/// What happens to them.
#[derive(Clone, Copy, Debug)]
enum Event {
    Join(Key, usize),
    Leave(usize),
    /// Who was called appends: takes some of its purse.
    Append(usize),
    /// Who was called has to wait again.
    Again(usize),
    /// A batch has ended.
    Release,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4_usize, 1..3000_usize).prop_map(|(key, bytes)| Event::Join(key, bytes)),
        any::<usize>().prop_map(Event::Leave),
        any::<usize>().prop_map(Event::Append),
        any::<usize>().prop_map(Event::Again),
        Just(Event::Release),
    ]
}

proptest! {
    #[test]
    fn memory_is_kept_to_the_byte_and_the_oldest_never_waits_while_there_is_enough(
        events in proptest::collection::vec(event(), 1..200),
        limit in 3100..40_000_usize,
    ) {
        let mut bench = Bench::full(limit, 4096.min(limit));
        let mut held = vec![limit];
        let mut waiting: Vec<(u64, Key, usize)> = Vec::new();
        let mut called: Vec<(u64, Key, usize)> = Vec::new();
        for event in events {
            match event {
                Event::Join(key, bytes) => {
                    let place = bench.join(key, bytes);
                    waiting.push((place, key, bytes));
                }
                Event::Leave(at) if !waiting.is_empty() => {
                    let (place, key, _) = waiting.remove(at % waiting.len());
                    assert!(bench.waiters.leave(key, place));
                }
                Event::Append(at) if !called.is_empty() => {
                    let (_, key, bytes) = called.remove(at % called.len());
                    held.extend(bench.waiters.allocate(Some(key), bytes, 4096));
                    bench.waiters.done(key, bytes);
                }
                Event::Again(at) if !called.is_empty() => {
                    let (place, key, bytes) = called.remove(at % called.len());
                    bench.waiters.done(key, bytes);
                    bench.waiters.join(key, place, bytes, bench.later, place);
                    waiting.push((place, key, bytes));
                }
                Event::Release => {
                    bench.waiters.release(held.pop().unwrap_or(0));
                }
                _ => {}
            }
            bench.waiters.call(&mut bench.woken);
            waiting.sort_unstable();
            for place in std::mem::take(&mut bench.woken) {
                let at = waiting.iter().position(|w| w.0 == place).unwrap();
                called.push(waiting.remove(at));
            }
            prop_assert_eq!(bench.waiters.waiting(), waiting.len());
            let in_purses = limit - bench.waiters.free() - held.iter().sum::<usize>();
            prop_assert!(!called.is_empty() || in_purses == 0);
            if let Some((_, _, bytes)) = waiting.first() {
                prop_assert!(bench.waiters.free() < (bytes + COST).min(limit));
                prop_assert_eq!(bench.waiters.allocate(None, 1, 1), None);
            }
        }
        // In the end everybody is served.
        for _ in 0..1000 {
            while let Some((_, key, bytes)) = called.pop() {
                bench.waiters.done(key, bytes);
            }
            bench.waiters.release(held.drain(..).sum());
            bench.waiters.call(&mut bench.woken);
            for place in std::mem::take(&mut bench.woken) {
                let at = waiting.iter().position(|w| w.0 == place).unwrap();
                called.push(waiting.remove(at));
            }
        }
        prop_assert!(waiting.is_empty());
        prop_assert_eq!(bench.waiters.free(), limit);
    }
}
