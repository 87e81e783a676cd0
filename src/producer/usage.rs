//! Which topics a producer uses: those that it has sent to within `metadata.max.idle.ms`, or still holds records of.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::inner::ProducerInner;
use crate::cluster::{TopicUser, Use};
use crate::error::ErrorCode;
use crate::machine::topology::Topic;
use crate::types::{TopicName, after};

/// When each topic was seen to be used last.
#[derive(Default)]
pub(crate) struct LastUse(Mutex<HashMap<TopicName, Instant>>);

impl LastUse {
    /// Whether the topic was used within `idle`.
    fn is_recent(&self, name: &str, is_used: bool, now: Instant, idle: Duration) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(name) {
            Some(last) if is_used => *last = now,
            Some(last) => return after(*last, idle) > now,
            None => {
                seen.insert(name.into(), now);
            }
        }
        true
    }

    fn forget(&self, name: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(name);
    }
}

impl TopicUser for ProducerInner {
    fn uses(&self, name: &str, known: Option<&Topic>) -> Use {
        let Some(topic) = self
            .accumulator
            .topics
            .get(name)
            .filter(|_| !self.is_closed())
        else {
            return Use::None;
        };
        match topic.waits() {
            (_, true) => return Use::Awaited,
            (true, false) => return Use::Idle,
            (false, false) => {}
        }
        let now = tokio::time::Instant::now().into_std();
        // To send to one that is gone is a first look-up again.
        let gone = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let idle = match known.and_then(|known| known.error) {
            error if error == gone => Duration::ZERO,
            _ => self.settings.metadata_max_idle,
        };
        if self.last_use.is_recent(name, topic.take_use(), now, idle) || !topic.give_up() {
            return Use::Idle;
        }
        self.last_use.forget(name);
        Use::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_used_until_it_was_idle_for_so_long() {
        let seen = LastUse::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let idle = Duration::from_secs(10);
        for (now, is_used, is_recent) in [
            (0, true, true),
            (9, false, true),
            (10, false, false),
            (11, true, true),
            (20, false, true),
            (21, false, false),
        ] {
            assert_eq!(
                seen.is_recent("t", is_used, at(now), idle),
                is_recent,
                "{now}"
            );
        }
    }
}
