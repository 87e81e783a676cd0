//! Whether a partition that metadata lacks is gone, where topics have no ids by which a new one could be told.
//!
//! Brokers before Kafka 2.8 give none. A topic that was made anew with fewer partitions looks like one that has grown,
//! as a broker tells it that lags behind; but that passes, and so time tells, and several answers.

use std::time::{Duration, Instant};

use crate::types::after;

/// How long a broker may lag behind. One that is cut off from the cluster for longer is taken out of it.
const LAG: Duration = Duration::from_secs(10);
/// Answers in a row without the partition, beside the first.
const ANSWERS: u64 = 3;

/// A partition that an answer about its topic has left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    since: Instant,
    answers: u64,
}

impl Missing {
    /// Missing from now on; `answers` is how many there were about the topic so far.
    pub(crate) fn new(now: Instant, answers: u64) -> Self {
        Self {
            since: now,
            answers,
        }
    }

    /// Whether it is gone, if it was in none of the answers since then.
    pub(crate) fn is_gone(&self, now: Instant, answers: u64) -> bool {
        now >= after(self.since, LAG) && answers >= self.answers.saturating_add(ANSWERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_gone_when_it_is_missing_for_long_in_several_answers() {
        let start = Instant::now();
        let missing = Missing::new(start, 7);
        for (seconds, answers, expected) in [
            (0, 7, false),
            (9, 100, false),
            (10, 9, false),
            (10, 10, true),
            (3600, 8, false),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(
                missing.is_gone(now, answers),
                expected,
                "{seconds} {answers}"
            );
        }
    }
}
