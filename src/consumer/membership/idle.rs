//! Whether the application still calls, and its listener still returns, within `max.poll.interval.ms`.

use std::time::Duration;

use tokio::time::Instant;

/// How often it is looked whether an application that was given up is back.
const RETURN_GLANCE: Duration = Duration::from_millis(20);

/// Since when the application has not called.
pub(super) struct Idle {
    limit: Duration,
    calls: u64,
    since: Instant,
    /// Whether a call that waits was woken to see whether anybody awaits it.
    is_nudged: bool,
    /// Since when partitions are being brought or taken, the listener's part included.
    working: Option<Instant>,
    /// When to look again.
    pub(super) look_at: Instant,
}

/// What there was to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Nothing that changes anything.
    Nothing,
    /// One that was given up calls again.
    Back,
    /// A call has waited for long: whether it is still awaited shows when it is woken.
    Unsure,
    /// It does not call, or does not return, within the limit.
    Gone,
}

impl Idle {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            calls: 0,
            since: now,
            is_nudged: false,
            working: None,
            look_at: now,
        }
    }

    /// The application is given up; it is back when there are more calls than these.
    pub(super) fn paused(&mut self, calls: u64, now: Instant) {
        self.calls = calls;
        self.look_at = now + RETURN_GLANCE;
    }

    /// The application ends: it does not call any more, and its end has the same time.
    pub(super) fn ends(&mut self, now: Instant) {
        self.since = now;
    }

    /// Partitions are being brought or taken.
    pub(super) fn works(&mut self, now: Instant) {
        self.working = Some(now);
    }

    /// That is done.
    pub(super) fn worked(&mut self) {
        self.working = None;
    }

    /// `calls` is how often the application has called, and whether a call waits.
    pub(super) fn look(&mut self, now: Instant, calls: (u64, bool), is_paused: bool) -> Liveness {
        let often = if is_paused {
            RETURN_GLANCE
        } else {
            (self.limit / 20).clamp(Duration::from_millis(10), Duration::from_secs(1))
        };
        self.look_at = now + often;
        let (calls, is_waiting) = calls;
        let is_back = calls != self.calls;
        if is_back {
            self.calls = calls;
            self.since = now;
            self.is_nudged = false;
        }
        let is_over = |since: Instant| now.duration_since(since) >= self.limit;
        if is_paused {
            return if is_back {
                Liveness::Back
            } else {
                Liveness::Nothing
            };
        }
        // Once for each work.
        if self.working.take_if(|since| is_over(*since)).is_some() || is_over(self.since) {
            self.since = now;
            self.is_nudged = false;
            return Liveness::Gone;
        }
        if is_waiting && !self.is_nudged && now.duration_since(self.since) >= self.limit / 2 {
            self.is_nudged = true;
            return Liveness::Unsure;
        }
        Liveness::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(100);

    fn at(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    #[test]
    fn an_application_without_a_call_is_gone_when_the_limit_is_over_and_back_with_its_next_call() {
        let began = Instant::now();
        let mut idle = Idle::new(LIMIT, began);
        assert_eq!(
            idle.look(at(began, 1), (5, false), false),
            Liveness::Nothing
        );
        assert_eq!(
            idle.look(at(began, 100), (5, false), false),
            Liveness::Nothing
        );
        assert_eq!(idle.look(at(began, 101), (5, false), false), Liveness::Gone);
        idle.paused(5, at(began, 101));
        assert_eq!(idle.look_at, at(began, 101) + RETURN_GLANCE);
        assert_eq!(
            idle.look(at(began, 300), (5, false), true),
            Liveness::Nothing
        );
        assert_eq!(idle.look(at(began, 301), (6, false), true), Liveness::Back);
        assert_eq!(
            idle.look(at(began, 302), (6, false), false),
            Liveness::Nothing
        );
    }

    #[test]
    fn a_call_that_waits_is_woken_once_and_gone_when_it_does_not_move() {
        let began = Instant::now();
        let mut idle = Idle::new(LIMIT, began);
        assert_eq!(idle.look(at(began, 0), (1, true), false), Liveness::Nothing);
        assert_eq!(idle.look(at(began, 50), (1, true), false), Liveness::Unsure);
        assert_eq!(
            idle.look(at(began, 51), (1, true), false),
            Liveness::Nothing
        );
        // It goes round, and waits again.
        assert_eq!(
            idle.look(at(began, 52), (2, true), false),
            Liveness::Nothing
        );
        assert_eq!(
            idle.look(at(began, 102), (2, true), false),
            Liveness::Unsure
        );
        assert_eq!(
            idle.look(at(began, 151), (2, true), false),
            Liveness::Nothing
        );
        assert_eq!(idle.look(at(began, 152), (2, true), false), Liveness::Gone);
        idle.paused(2, at(began, 152));
        let seen = idle.look(at(began, 153), (2, true), true);
        assert_eq!(
            seen,
            Liveness::Nothing,
            "the same call, which nobody awaits"
        );
    }

    #[test]
    fn a_listener_that_does_not_return_is_gone_once_however_often_the_application_calls() {
        let began = Instant::now();
        let mut idle = Idle::new(LIMIT, began);
        idle.works(at(began, 10));
        for second in 10..110 {
            let seen = idle.look(at(began, second), (second, true), false);
            assert_eq!(seen, Liveness::Nothing, "{second}");
        }
        assert_eq!(
            idle.look(at(began, 110), (110, true), false),
            Liveness::Gone
        );
        assert_eq!(
            idle.look(at(began, 111), (111, true), false),
            Liveness::Nothing
        );
        idle.worked();
        idle.works(at(began, 111));
        assert_eq!(
            idle.look(at(began, 112), (112, true), false),
            Liveness::Nothing
        );
        idle.worked();
        assert_eq!(
            idle.look(at(began, 299), (299, true), false),
            Liveness::Nothing
        );
    }
}
