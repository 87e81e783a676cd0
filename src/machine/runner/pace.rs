//! How many records may be taken, and when: a token bucket.

use std::time::{Duration, Instant};

use crate::types::after;

/// At most so many records in each period.
///
/// All of a period's records may come at its beginning; what was not used of one is not saved for the next. A record
/// counts when it is read: one that waits behind another one of its key, or to be tried again, has counted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub(crate) records: u32,
    pub(crate) every: Duration,
}

impl Pace {
    /// At most `records` in each period of `every`; 0 records, or a period of no time, are refused where the pace is set.
    #[must_use]
    pub fn new(records: u32, every: Duration) -> Self {
        Self { records, every }
    }

    /// Whether it says anything.
    pub(crate) fn is_valid(self) -> bool {
        self.records > 0 && self.every > Duration::ZERO
    }
}

/// A bucket that is filled up at each period's beginning.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pace: Option<Pace>,
    left: u32,
    /// When the current period began.
    began: Option<Instant>,
}

impl Bucket {
    /// Has this pace from now on; what the current period has given counts against the new one.
    pub(crate) fn set(&mut self, pace: Option<Pace>) {
        let used = self.pace.map_or(0, |pace| pace.records - self.left);
        self.left = pace.map_or(0, |pace| pace.records.saturating_sub(used));
        self.pace = pace;
    }

    /// How many records may be taken now.
    ///
    /// # Errors
    /// None: when the next period begins.
    pub(crate) fn left(&mut self, now: Instant) -> Result<u32, Instant> {
        let Some(pace) = self.pace else {
            return Ok(u32::MAX);
        };
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= pace.every {
            self.left = pace.records;
            // Periods follow one another, whenever it is that somebody looks.
            let late = passed.as_nanos() % pace.every.as_nanos().max(1);
            let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
            self.began = now.checked_sub(late).or(Some(now));
        }
        if self.left > 0 {
            return Ok(self.left);
        }
        Err(after(self.began.unwrap_or(now), pace.every))
    }

    /// When the next period begins, where there are periods and one has begun.
    pub(crate) fn next(&self) -> Option<Instant> {
        Some(after(self.began?, self.pace?.every))
    }

    /// So many were taken.
    pub(crate) fn spend(&mut self, records: u32) {
        self.left = self.left.saturating_sub(records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bucket(records: u32) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.set(Some(Pace::new(records, SECOND)));
        bucket
    }

    #[test]
    fn without_a_pace_there_is_no_end() {
        let mut bucket = Bucket::default();
        let now = Instant::now();
        bucket.spend(1000);
        assert_eq!(bucket.left(now), Ok(u32::MAX));
    }

    #[test]
    fn each_period_gives_so_many_and_saves_none() {
        let mut bucket = bucket(3);
        let began = Instant::now();
        assert_eq!(bucket.next(), None);
        assert_eq!(bucket.left(began), Ok(3));
        assert_eq!(bucket.next(), Some(began + SECOND));
        bucket.spend(2);
        assert_eq!(bucket.left(began), Ok(1));
        bucket.spend(1);
        assert_eq!(bucket.left(began), Err(began + SECOND));
        assert_eq!(bucket.left(began + SECOND / 2), Err(began + SECOND));
        let later = began + SECOND * 10 + SECOND / 4;
        assert_eq!(bucket.left(later), Ok(3));
        bucket.spend(3);
        assert_eq!(bucket.left(later), Err(began + SECOND * 11));
    }

    #[test]
    fn a_new_pace_holds_at_once_and_what_was_given_counts() {
        let mut bucket = bucket(3);
        let began = Instant::now();
        assert_eq!(bucket.left(began), Ok(3));
        bucket.spend(2);
        bucket.set(Some(Pace::new(2, SECOND)));
        assert!(bucket.left(began).is_err());
        bucket.set(Some(Pace::new(4, SECOND)));
        assert_eq!(bucket.left(began), Ok(2));
        bucket.set(None);
        assert_eq!(bucket.left(began), Ok(u32::MAX));
        assert!(Pace::new(1, SECOND).is_valid());
        assert!(!Pace::new(0, SECOND).is_valid());
        assert!(!Pace::new(1, Duration::ZERO).is_valid());
    }
}
