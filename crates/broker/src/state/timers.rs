//! All that happens by itself: each thing's next time, and what is due.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::wire::Name;

/// What time comes for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Retention looks at all logs.
    Retention,
    /// A member's session, or a group's waiting for members, is over.
    Group(Name),
    /// A transaction has taken too long, or its markers are to be written.
    Transaction(Name),
}

/// Each alarm's time, by how long the cluster has been up.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: HashMap<Alarm, Duration>,
    by_time: BTreeSet<(Duration, Alarm)>,
}

impl Timers {
    /// Sets an alarm's one time anew, or takes it back.
    pub(crate) fn set(&mut self, alarm: Alarm, at: Option<Duration>) {
        let before = match at {
            Some(at) => self.set.insert(alarm.clone(), at),
            None => self.set.remove(&alarm),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, alarm.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, alarm));
        }
    }

    pub(crate) fn is_set(&self, alarm: &Alarm) -> bool {
        self.set.contains_key(alarm)
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The next alarm whose time has come; it is set no longer.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<Alarm> {
        let (at, alarm) = self.by_time.pop_first()?;
        if at > now {
            self.by_time.insert((at, alarm));
            return None;
        }
        self.set.remove(&alarm);
        Some(alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alarm_has_one_time_and_is_due_once() {
        let mut timers = Timers::default();
        let second = Duration::from_secs(1);
        let group = |name: &str| Alarm::Group(name.into());
        timers.set(group("a"), Some(5 * second));
        timers.set(group("b"), Some(3 * second));
        timers.set(group("a"), Some(2 * second));
        timers.set(Alarm::Retention, Some(second));
        timers.set(Alarm::Retention, None);
        assert_eq!(timers.next(), Some(2 * second));
        assert_eq!(timers.take_due(second), None);
        assert!(timers.is_set(&group("a")));
        assert_eq!(timers.take_due(9 * second), Some(group("a")));
        assert!(!timers.is_set(&group("a")));
        assert_eq!(timers.take_due(9 * second), Some(group("b")));
        assert_eq!((timers.take_due(9 * second), timers.next()), (None, None));
    }
}
