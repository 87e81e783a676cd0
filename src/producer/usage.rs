//! Which topics a producer uses: those that it has sent to within `metadata.max.idle.ms`, or still holds records of.

use std::time::Duration;

use super::inner::ProducerInner;
use crate::cluster::{TopicUser, Use};
use crate::error::ErrorCode;
use crate::machine::topology::Topic;

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
