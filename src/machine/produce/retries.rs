//! Which retries are told of at the default log level: the first with a cause, now and then that they go on, and that
//! they are over.

use std::time::{Duration, Instant};

use hashbrown::HashSet;

use crate::error::ErrorCode;
use crate::types::{TopicPartition, after};

/// How often the same cause is told of.
const AGAIN: Duration = Duration::from_secs(60);

/// What brokers have refused, and will be sent again.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    causes: Vec<Cause>,
}

/// All that is refused with one code.
#[derive(Debug)]
struct Cause {
    code: ErrorCode,
    /// The first refusal since none was waiting.
    since: Instant,
    /// How many there were since then.
    refusals: u64,
    /// When it was told of last.
    told: Option<Instant>,
    /// Whether it was since `since`: only then its end is told.
    is_told: bool,
    /// Of which batches wait to be written.
    partitions: HashSet<TopicPartition>,
}

/// What there is to tell of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retried {
    pub(crate) code: ErrorCode,
    pub(crate) refusals: u64,
    pub(crate) partitions: usize,
    /// Since the first refusal.
    pub(crate) lasted: Duration,
}

impl Cause {
    fn new(code: ErrorCode, now: Instant) -> Self {
        Self {
            code,
            since: now,
            refusals: 0,
            told: None,
            is_told: false,
            partitions: HashSet::new(),
        }
    }

    fn retried(&self, now: Instant) -> Retried {
        Retried {
            code: self.code,
            refusals: self.refusals,
            partitions: self.partitions.len(),
            lasted: now.saturating_duration_since(self.since),
        }
    }
}

impl Retries {
    /// Whether any refusal waits for its end.
    pub(crate) fn are_any(&self) -> bool {
        self.causes.iter().any(|cause| !cause.partitions.is_empty())
    }

    /// A batch was refused and will be sent again: what to tell, if it is time to.
    #[must_use]
    pub(crate) fn refused(
        &mut self,
        code: ErrorCode,
        partition: &TopicPartition,
        now: Instant,
    ) -> Option<Retried> {
        let known = self.causes.iter().position(|cause| cause.code == code);
        let at = known.unwrap_or_else(|| {
            self.causes.push(Cause::new(code, now));
            self.causes.len() - 1
        });
        let cause = self.causes.get_mut(at)?;
        if cause.partitions.is_empty() {
            (cause.since, cause.refusals, cause.is_told) = (now, 0, false);
        }
        cause.partitions.insert(partition.clone());
        cause.refusals += 1;
        let tells = cause.told.is_none_or(|told| now >= after(told, AGAIN));
        if tells {
            (cause.told, cause.is_told) = (Some(now), true);
        }
        tells.then(|| cause.retried(now))
    }

    /// The partition takes batches again, or they have ended otherwise: the refusals that are over, of those that were
    /// told of.
    #[must_use]
    pub(crate) fn ended(&mut self, partition: &TopicPartition, now: Instant) -> Vec<Retried> {
        let mut over = Vec::new();
        for cause in &mut self.causes {
            let was_last = cause.partitions.remove(partition) && cause.partitions.is_empty();
            if was_last && std::mem::take(&mut cause.is_told) {
                over.push(cause.retried(now));
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS;
    const MOVED: ErrorCode = ErrorCode::NOT_LEADER_OR_FOLLOWER;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    #[test]
    fn each_cause_is_told_at_first_and_once_a_minute_and_its_end_behind_the_last_partition() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut retries = Retries::default();
        let mut told = Vec::new();
        for second in 0..130 {
            for number in 0..3 {
                let retried = retries.refused(FEW, &partition(number), at(second));
                told.extend(retried.map(|r| (second, r.refusals, r.partitions)));
            }
        }
        assert_eq!(told, [(0, 1, 1), (60, 181, 3), (120, 361, 3)]);
        assert!(retries.refused(MOVED, &partition(0), at(130)).is_some());
        assert_eq!(retries.ended(&partition(9), at(131)), []);
        let moved = retries.ended(&partition(0), at(131));
        assert_eq!(moved.len(), 1);
        assert_eq!((moved[0].code, moved[0].refusals), (MOVED, 1));
        assert_eq!(retries.ended(&partition(1), at(132)), []);
        assert!(retries.are_any());
        let few = retries.ended(&partition(2), at(133));
        assert_eq!(
            (few[0].code, few[0].lasted),
            (FEW, Duration::from_secs(133))
        );
        assert!(!retries.are_any());
    }

    #[test]
    fn what_comes_and_goes_is_told_once_a_minute_with_its_end() {
        let start = Instant::now();
        let mut retries = Retries::default();
        let mut told = Vec::new();
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            let begins = retries.refused(FEW, &partition(0), now).is_some();
            let ends = !retries.ended(&partition(0), now).is_empty();
            assert_eq!(begins, ends, "{second}");
            told.extend(begins.then_some(second));
        }
        assert_eq!(told, [0, 60]);
    }
}
