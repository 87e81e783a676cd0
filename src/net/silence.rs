//! When a stream that was idle is silent for too long: the first request after a pause stays without an answer.

use std::time::Duration;

use tokio::time::Instant;

/// A stream without traffic for so long is one that somebody on the way may have forgotten.
const IDLE: Duration = Duration::from_secs(3);
/// How long its first request may go without an answer before that is looked into.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a stream is silent where it should not be.
#[derive(Debug, Default)]
pub(super) struct Silence {
    due: Option<Instant>,
    heard: u64,
}

impl Silence {
    /// A request goes out while none other is on the way; `held` is how long a broker keeps its answer back.
    pub(super) fn asked(&mut self, now: Instant, idle: Duration, held: Option<Duration>) {
        self.due = held
            .filter(|_| idle >= IDLE)
            .and_then(|held| now.checked_add(PATIENCE + held));
    }

    /// An answer has come.
    pub(super) fn heard(&mut self) {
        self.heard += 1;
        self.due = None;
    }

    /// The broker said that it will not answer before.
    pub(super) fn extend(&mut self, by: Duration) {
        self.due = self.due.and_then(|due| due.checked_add(by));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Once, when the silence has lasted too long: how many answers there were so far.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u64> {
        self.due.take_if(|due| *due <= now).map(|_| self.heard)
    }

    pub(super) fn count(&self) -> u64 {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_after_a_pause_is_watched_and_for_no_less_than_brokers_keep_it_back() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        for (idle, held, expected) in [
            (second, Some(Duration::ZERO), None),
            (IDLE, Some(Duration::ZERO), Some(PATIENCE)),
            (IDLE, Some(40 * second), Some(PATIENCE + 40 * second)),
            (IDLE, None, None),
        ] {
            let mut silence = Silence::default();
            silence.asked(now, idle, held);
            assert_eq!(silence.due(), expected.map(|wait| now + wait));
            silence.extend(second);
            assert_eq!(silence.due(), expected.map(|wait| now + wait + second));
        }
    }

    #[test]
    fn silence_ends_with_an_answer_and_is_told_once() {
        let now = Instant::now();
        let mut silence = Silence::default();
        silence.asked(now, IDLE, Some(Duration::ZERO));
        assert_eq!(silence.take_due(now), None);
        assert_eq!(silence.take_due(now + PATIENCE), Some(0));
        assert_eq!(silence.take_due(now + PATIENCE), None);
        silence.asked(now, IDLE, Some(Duration::ZERO));
        silence.heard();
        assert_eq!(
            (silence.take_due(now + PATIENCE), silence.count()),
            (None, 1)
        );
    }
}
