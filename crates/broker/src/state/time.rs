//! What happens in the cluster by itself, as time goes.

use std::time::Duration;

use super::timers::Alarm;
use super::topics::Topic;
use super::{Now, State};

impl State {
    /// When something happens by itself next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Does what time has come for.
    pub(crate) fn tick(&mut self, now: Now) {
        while let Some(alarm) = self.timers.take_due(now.up) {
            match alarm {
                Alarm::Retention => {
                    let next = now.up + self.settings.retention_check;
                    self.timers.set(Alarm::Retention, Some(next));
                    self.retain(now.wall);
                }
                Alarm::Group(name) => {
                    self.in_group(&name, |group| group.tick(now.up));
                }
                Alarm::Transaction(id) => self.tick_transaction(&id, now),
            }
        }
    }

    /// Lets go what is too old, in all partitions; those that wait for records there hear of it.
    fn retain(&mut self, wall: i64) {
        let Self { topics, waits, .. } = self;
        for (name, topic) in topics.iter_mut() {
            let Topic {
                partitions,
                configs,
                ..
            } = topic;
            for (index, partition) in partitions.iter_mut().enumerate() {
                if partition.log.retain(wall, configs) {
                    waits.changed(name, index as i32);
                }
            }
        }
    }
}
