//! When each topic of a producer was seen to be used last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::types::{TopicName, after};

/// When each topic was seen to be used last.
#[derive(Default)]
pub(crate) struct LastUse(Mutex<HashMap<TopicName, Instant>>);

impl LastUse {
    /// Whether the topic was used within `idle`.
    pub(crate) fn is_recent(
        &self,
        name: &str,
        is_used: bool,
        now: Instant,
        idle: Duration,
    ) -> bool {
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

    pub(crate) fn forget(&self, name: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(name);
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
