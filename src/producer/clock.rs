//! The time of records, which the operating system is asked for only when it may have changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::apart::Apart;

/// Between two ticks; with that, and what a sleep lasts longer, a record's time is less than a millisecond behind. Each
/// tick takes a core from who sends for a moment.
const PERIOD: Duration = Duration::from_micros(900);
/// Ticks for which nobody asked, after which there are no more.
const IDLE: u32 = 50;

/// Tells that time has passed, to who cannot afford to ask what time it is.
///
/// A thread of its own counts the ticks, whatever the application does to its runtime, and sleeps while no producer
/// sends many records.
pub(crate) struct Ticker {
    /// Ticks so far, 0 while nobody counts. Every record reads it: nothing else is on its cache line.
    ticks: Apart<AtomicU64>,
    /// Whether anyone relied on ticks since the last one.
    wanted: Apart<AtomicBool>,
    thread: Mutex<Option<Thread>>,
}

/// All producers' ticker.
pub(crate) static TICKER: Ticker = Ticker::new();

impl Ticker {
    const fn new() -> Self {
        Self {
            ticks: Apart(AtomicU64::new(0)),
            wanted: Apart(AtomicBool::new(false)),
            thread: Mutex::new(None),
        }
    }

    /// The last tick, 0 where there are none.
    #[inline]
    fn last(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Keeps it ticking for a while.
    fn want(&'static self) {
        if !self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        if self.ticks.load(Ordering::SeqCst) == 0 {
            self.start();
        }
    }

    #[cold]
    fn start(&'static self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Some(thread) => thread.unpark(),
            None => {
                let builder = std::thread::Builder::new().name("ottla-clock".to_owned());
                // Without a thread every record asks for the time.
                let started = builder.spawn(|| self.run());
                *thread = started.ok().map(|handle| handle.thread().clone());
            }
        }
    }

    fn run(&self) {
        let mut tick = 0;
        loop {
            while !self.wanted.swap(false, Ordering::SeqCst) {
                std::thread::park();
            }
            let mut idle = 0;
            while idle < IDLE {
                tick += 1;
                self.ticks.store(tick, Ordering::Relaxed);
                std::thread::sleep(PERIOD);
                let wanted = self.wanted.swap(false, Ordering::SeqCst);
                idle = if wanted { 0 } else { idle + 1 };
            }
            // Before the last look at whether anyone wants it: who does not see this is seen there.
            self.ticks.store(0, Ordering::SeqCst);
        }
    }
}

/// The time of one partition's records.
///
/// After a run of records within one millisecond the next few take the same time without asking the operating
/// system, which costs as much as all the rest of an append, until the next tick. The first record of a batch always asks.
#[derive(Default)]
pub(crate) struct Clock {
    last: i64,
    /// Records that may still take `last`.
    skip: u32,
    streak: u32,
    /// The tick before `last` was read.
    tick: u64,
}

impl Clock {
    const LONGEST_SKIP: u32 = 63;

    #[inline]
    pub(crate) fn now(
        &mut self,
        ticker: &'static Ticker,
        fresh: bool,
        read: impl FnOnce() -> i64,
    ) -> i64 {
        if self.skip > 0 && !fresh && self.tick == ticker.last() {
            self.skip -= 1;
            return self.last;
        }
        self.read(ticker, read)
    }

    fn read(&mut self, ticker: &'static Ticker, read: impl FnOnce() -> i64) -> i64 {
        self.tick = ticker.last();
        let now = read();
        let fast = (0..=1).contains(&(now - self.last));
        self.streak = if fast {
            (self.streak * 2 + 1).min(Self::LONGEST_SKIP)
        } else {
            0
        };
        if self.streak > 0 {
            ticker.want();
        }
        self.skip = if self.tick == 0 { 0 } else { self.streak };
        self.last = now;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    /// A ticker that ticks when it is told to.
    fn by_hand() -> &'static Ticker {
        let ticker: &Ticker = Box::leak(Box::new(Ticker::new()));
        ticker.ticks.store(1, Ordering::Relaxed);
        ticker
    }

    #[test]
    fn clock_is_read_for_every_record_that_comes_slowly() {
        let (ticker, mut clock) = (by_hand(), Clock::default());
        for time in (0..100).map(|i| 1_000_000 + i * 10) {
            assert_eq!(clock.now(ticker, false, || time), time);
        }
    }

    #[test]
    fn clock_is_read_seldom_when_records_come_fast_and_anew_for_a_new_batch() {
        let (ticker, mut clock) = (by_hand(), Clock::default());
        let mut reads = 0;
        for _ in 0..10_000 {
            clock.now(ticker, false, || {
                reads += 1;
                5
            });
        }
        assert!(reads < 200, "{reads} reads");
        assert_eq!(clock.now(ticker, true, || 77), 77);
    }

    #[test]
    fn record_after_a_pause_has_its_own_time_though_those_before_came_fast() {
        let (ticker, mut clock) = (by_hand(), Clock::default());
        for _ in 0..1000 {
            clock.now(ticker, false, || 5);
        }
        ticker.ticks.store(2, Ordering::Relaxed);
        assert_eq!(clock.now(ticker, false, || 105), 105);
        // The same when the ticker has fallen asleep meanwhile.
        for _ in 0..1000 {
            clock.now(ticker, false, || 105);
        }
        ticker.ticks.store(0, Ordering::Relaxed);
        assert_eq!(clock.now(ticker, false, || 205), 205);
    }

    #[test]
    fn without_ticks_every_record_is_asked_for() {
        let (ticker, mut clock) = (by_hand(), Clock::default());
        ticker.ticks.store(0, Ordering::Relaxed);
        // As if its thread could not be started.
        *ticker.thread.lock().unwrap() = Some(std::thread::current());
        let mut reads = 0;
        for _ in 0..100 {
            clock.now(ticker, false, || {
                reads += 1;
                5
            });
        }
        assert_eq!(reads, 100);
    }

    #[test]
    fn ticks_go_on_while_they_are_wanted_stop_when_not_and_begin_again() {
        let ticker: &'static Ticker = Box::leak(Box::new(Ticker::new()));
        let until = |what: &str, is_so: &dyn Fn() -> bool| {
            let limit = Instant::now() + Duration::from_secs(20);
            while !is_so() {
                assert!(Instant::now() < limit, "{what}");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        for _ in 0..2 {
            ticker.want();
            until("it ticks", &|| ticker.last() > 0);
            let first = ticker.last();
            until("it ticks on", &|| {
                ticker.want();
                ticker.last() > first + 2 * u64::from(IDLE)
            });
            until("it sleeps", &|| ticker.last() == 0);
        }
    }

    #[test]
    fn time_is_hardly_behind_in_a_run_with_pauses() {
        let mut clock = Clock::default();
        let millis = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            i64::try_from(now.unwrap().as_millis()).unwrap()
        };
        let mut behind = Vec::new();
        for _ in 0..40 {
            for _ in 0..2000 {
                clock.now(&TICKER, false, millis);
            }
            std::thread::sleep(Duration::from_millis(10));
            let before = millis();
            behind.push(before - clock.now(&TICKER, false, millis));
        }
        behind.sort_unstable();
        // The machine may hold the ticker's thread up now and then, but not as a rule.
        assert!(behind[behind.len() / 2] <= 1, "{behind:?}");
    }
}
