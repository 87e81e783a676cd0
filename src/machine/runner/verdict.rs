//! What a handler's failure leads to.

use std::time::Duration;

use crate::config::Backoff;

/// What the application wants to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The handler is called again, after a while, for as many attempts as there are; what is behind the record in its
    /// order waits. When the attempts are used up, as `DeadLetter`.
    Retry,
    /// At once to the dead-letter topic, as what will fail again does. Without one, as `Stop`.
    DeadLetter,
    /// The record counts as finished.
    Skip,
    /// The runner stops; the record counts as unfinished, and whoever reads on begins with it.
    Stop,
}

/// How often a handler is called with a record, and after what delays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attempts {
    pub(crate) most: u32,
    pub(crate) backoff: Backoff,
}

/// What is done next with a record that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    RetryIn(Duration),
    DeadLetter,
    Skip,
    Stop,
}

/// What to do after the attempt with this number (1 or more); `jitter` is from 0.0 to 1.0.
pub(crate) fn step(
    wanted: OnFailure,
    attempt: u32,
    attempts: Attempts,
    has_dead_letters: bool,
    jitter: f64,
) -> Step {
    match wanted {
        OnFailure::Retry if attempt < attempts.most => {
            Step::RetryIn(attempts.backoff.delay(attempt, jitter))
        }
        OnFailure::Retry | OnFailure::DeadLetter if has_dead_letters => Step::DeadLetter,
        // Nothing is lost without a word.
        OnFailure::Retry | OnFailure::DeadLetter | OnFailure::Stop => Step::Stop,
        OnFailure::Skip => Step::Skip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_the_step_of_the_table() {
        use OnFailure as W;
        let seconds = Duration::from_secs;
        let attempts = Attempts {
            most: 3,
            backoff: Backoff {
                base: seconds(1),
                max: seconds(60),
            },
        };
        let table = [
            (W::Retry, 1, true, Step::RetryIn(seconds(1))),
            (W::Retry, 2, true, Step::RetryIn(seconds(2))),
            (W::Retry, 2, false, Step::RetryIn(seconds(2))),
            (W::Retry, 3, true, Step::DeadLetter),
            (W::Retry, 3, false, Step::Stop),
            (W::Retry, u32::MAX, true, Step::DeadLetter),
            (W::DeadLetter, 1, true, Step::DeadLetter),
            (W::DeadLetter, 1, false, Step::Stop),
            (W::Skip, 1, true, Step::Skip),
            (W::Skip, 9, false, Step::Skip),
            (W::Stop, 1, true, Step::Stop),
            (W::Stop, 9, false, Step::Stop),
        ];
        for (wanted, attempt, has_dead_letters, expected) in table {
            let found = step(wanted, attempt, attempts, has_dead_letters, 0.5);
            assert_eq!(found, expected, "{wanted:?} {attempt} {has_dead_letters}");
        }
    }

    #[test]
    fn delays_double_up_to_their_bound_with_a_fifth_to_either_side() {
        let attempts = Attempts {
            most: u32::MAX,
            backoff: Backoff {
                base: Duration::from_millis(100),
                max: Duration::from_secs(1),
            },
        };
        let delay = |attempt, jitter| match step(OnFailure::Retry, attempt, attempts, true, jitter)
        {
            Step::RetryIn(delay) => delay.as_millis(),
            step => panic!("{step:?}"),
        };
        assert_eq!((delay(1, 0.0), delay(1, 1.0)), (80, 120));
        assert_eq!(
            (delay(4, 0.5), delay(5, 0.5), delay(99, 0.5)),
            (800, 1000, 1000)
        );
    }
}
