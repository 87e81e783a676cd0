//! Topics that the cluster does not let be read, or does not have: who is told, and when.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::verdict::is_refusal;
use crate::error::ErrorCode;
use crate::types::{TopicName, after};

/// A topic that has only just been named, or made, is not missing yet.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two warnings of one topic.
const AGAIN: Duration = Duration::from_secs(300);

/// What is to be said about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// To the application: it, or who runs the cluster, can mend it.
    Tell(ErrorCode),
    /// To the application: there has been no such topic for so long.
    Missing(Duration),
    /// To the log.
    Warn(ErrorCode),
}

/// What was said already.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    topics: HashMap<TopicName, RefusedTopic>,
}

#[derive(Debug)]
struct RefusedTopic {
    /// The snapshot that was the newest when the topic was first of interest: what it says may be long over.
    stale: u64,
    trouble: Option<Trouble>,
    is_wanted: bool,
}

#[derive(Debug)]
struct Trouble {
    code: ErrorCode,
    since: Instant,
    next_warning: Instant,
    is_told: bool,
}

impl Refusals {
    /// Looks at what the snapshot `version` says of a topic; `tells_missing` if the application wants to know of a topic
    /// that is not there.
    pub(crate) fn look(
        &mut self,
        name: &TopicName,
        error: Option<ErrorCode>,
        version: u64,
        tells_missing: bool,
        now: Instant,
    ) -> Option<Word> {
        let topic = self
            .topics
            .entry(name.clone())
            .or_insert_with(|| RefusedTopic {
                stale: version,
                trouble: None,
                is_wanted: true,
            });
        topic.is_wanted = true;
        // One that is being made has no leader for a moment.
        let code = error.filter(|code| *code != ErrorCode::LEADER_NOT_AVAILABLE);
        let Some(code) = code.filter(|_| version > topic.stale) else {
            topic.trouble = None;
            return None;
        };
        let trouble = match &mut topic.trouble {
            Some(trouble) if trouble.code == code => trouble,
            other => other.insert(Trouble {
                code,
                since: now,
                next_warning: if is_refusal(code) {
                    now
                } else {
                    after(now, GRACE)
                },
                is_told: false,
            }),
        };
        trouble.word(tells_missing, now)
    }

    /// What was not looked at since the last call is of no interest any more.
    pub(crate) fn sweep(&mut self) {
        self.topics
            .retain(|_, topic| std::mem::take(&mut topic.is_wanted));
    }

    /// The topics that are refused, of which only a new snapshot can tell when they are not any more.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &TopicName> {
        let is_refused =
            |topic: &RefusedTopic| topic.trouble.as_ref().is_some_and(|t| is_refusal(t.code));
        let refused = self
            .topics
            .iter()
            .filter(move |(_, topic)| is_refused(topic));
        refused.map(|(name, _)| name)
    }

    /// When to look again even if nothing has changed.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let troubles = self.topics.values().filter_map(|t| t.trouble.as_ref());
        let waiting = troubles.filter(|trouble| !is_refusal(trouble.code));
        waiting.map(|trouble| trouble.next_warning).min()
    }
}

impl Trouble {
    fn word(&mut self, tells_missing: bool, now: Instant) -> Option<Word> {
        if now < self.next_warning {
            return None;
        }
        let is_new = !std::mem::replace(&mut self.is_told, true);
        if is_refusal(self.code) {
            return is_new.then_some(Word::Tell(self.code));
        }
        self.next_warning = after(now, AGAIN);
        if tells_missing && self.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            return is_new.then(|| Word::Missing(now.duration_since(self.since)));
        }
        Some(Word::Warn(self.code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: ErrorCode = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    const MISSING: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

    /// What is said about a topic, with the second in which it is; each second has a snapshot of its own.
    fn said(tells_missing: bool, errors: &[(u64, Option<ErrorCode>)]) -> Vec<(u64, Word)> {
        let (mut refusals, began) = (Refusals::default(), Instant::now());
        let mut said = Vec::new();
        let name = TopicName::from("t");
        for (second, error) in errors {
            let now = began + Duration::from_secs(*second);
            let word = refusals.look(&name, *error, *second, tells_missing, now);
            said.extend(word.map(|word| (*second, word)));
        }
        said
    }

    fn lasting(error: ErrorCode, until: u64) -> Vec<(u64, Option<ErrorCode>)> {
        (0..until).map(|second| (second, Some(error))).collect()
    }

    #[test]
    fn a_refusal_is_told_at_once_and_once_for_as_long_as_it_lasts() {
        for tells_missing in [false, true] {
            let told = said(tells_missing, &lasting(DENIED, 1000));
            assert_eq!(told, [(1, Word::Tell(DENIED))]);
        }
        let lifted = [(0, None), (1, Some(DENIED)), (2, None), (3, Some(DENIED))];
        let twice = [(1, Word::Tell(DENIED)), (3, Word::Tell(DENIED))];
        assert_eq!(said(false, &lifted), twice);
    }

    #[test]
    fn a_missing_topic_is_warned_of_now_and_then() {
        let warned = said(false, &lasting(MISSING, 700));
        let warning = Word::Warn(MISSING);
        assert_eq!(warned, [(6, warning), (306, warning), (606, warning)]);
    }

    #[test]
    fn a_missing_topic_is_told_once_to_those_who_want_to_know() {
        let told = said(true, &lasting(MISSING, 700));
        assert_eq!(told, [(6, Word::Missing(GRACE))]);
    }

    #[test]
    fn nothing_is_said_of_a_topic_that_is_being_made() {
        let mut errors = lasting(MISSING, 4);
        errors.extend([(4, Some(ErrorCode::LEADER_NOT_AVAILABLE)), (5, None)]);
        assert!(said(true, &errors).is_empty());
    }

    #[test]
    fn what_was_known_before_anybody_asked_is_not_believed() {
        assert!(said(true, &[(7, Some(DENIED)), (7, Some(DENIED))]).is_empty());
    }

    #[test]
    fn topics_that_are_of_no_interest_any_more_are_forgotten() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let name = TopicName::from("t");
        for version in 0..2 {
            refusals.look(&name, Some(DENIED), version, false, now);
        }
        refusals.sweep();
        assert_eq!(refusals.refused().count(), 1);
        refusals.sweep();
        assert_eq!(refusals.refused().count(), 0);
        assert!(refusals.topics.is_empty());
    }

    #[test]
    fn a_missing_topic_is_looked_at_again_in_time() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let name = TopicName::from("t");
        refusals.look(&name, Some(MISSING), 0, false, now);
        assert_eq!(refusals.wake(), None);
        refusals.look(&name, Some(MISSING), 1, false, now);
        assert_eq!(refusals.wake(), Some(now + GRACE));
        refusals.look(&name, Some(MISSING), 1, false, now + GRACE);
        assert_eq!(refusals.wake(), Some(now + GRACE + AGAIN));
    }
}
