//! When an outage is told of at the default log level: its beginning, its end, and now and then that it lasts.

use std::time::Duration;

use tokio::time::Instant;

/// How often an outage that lasts is told of.
const AGAIN: Duration = Duration::from_secs(60);

/// Failures in a row, of one server or of one task.
#[derive(Debug)]
pub(crate) struct Outage {
    since: Instant,
    told: Option<Instant>,
    pub(crate) failures: u32,
}

impl Outage {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            told: None,
            failures: 0,
        }
    }

    /// One more failure; whether to tell of it.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let tells = self.told.is_none_or(|told| now >= told + AGAIN);
        if tells {
            self.told = Some(now);
        }
        tells
    }

    pub(crate) fn lasted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_of_when_it_begins_and_once_a_minute() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        let told = (0..150).filter(|second| outage.failed(start + Duration::from_secs(*second)));
        assert_eq!(told.collect::<Vec<_>>(), [0, 60, 120]);
        assert_eq!(outage.failures, 150);
        assert_eq!(outage.lasted(start + AGAIN), AGAIN);
    }
}
