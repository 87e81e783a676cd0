//! What the cluster says of the topics that are read: which cannot be, of which the application and the log are told, and
//! how many partitions they have.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::warn;

use crate::consumer::inner::ConsumerInner;
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::{Refusals, Word};
use crate::machine::topology::Topology;
use crate::record::millis;
use crate::types::TopicName;

/// Looks at all topics that are subscribed to, or of which partitions are assigned.
pub(super) fn look(inner: &ConsumerInner, refusals: &mut Refusals, topology: &Topology) {
    let subscription = inner.subscription().borrow().clone();
    let assigned = {
        let mut state = inner.lock();
        let assigned = state.topics();
        let known = subscription.iter().chain(&assigned);
        for topic in known.filter_map(|name| topology.topics.get(name)) {
            if topic.error.is_none() && !topic.partitions.is_empty() {
                let (count, now) = (topic.partitions.len(), millis(SystemTime::now()));
                state.growth.see(&topic.name, topic.id, count, now);
            }
        }
        state.growth.sweep();
        assigned
    };
    let tells_missing = inner.settings.fail_on_missing_topics;
    let now = Instant::now();
    for name in subscription.iter().chain(&assigned) {
        let error = topology.topics.get(name).and_then(|topic| topic.error);
        match refusals.look(name, error, topology.version, tells_missing, now) {
            Some(Word::Warn(code)) => {
                warn!(topic = %name, %code, "a topic cannot be read: asking again");
            }
            Some(word) => inner.fail(error_of(name, word)),
            None => {}
        }
    }
    refusals.sweep();
}

fn error_of(name: &TopicName, word: Word) -> Error {
    match word {
        Word::Missing(waited) => Error::UnknownTopic {
            what: format!("topic {name}").into(),
            waited,
            last: Some(Arc::new(error_of(
                name,
                Word::Warn(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            ))),
        },
        Word::Tell(code) | Word::Warn(code) => {
            Error::broker(code, None, format!("reading topic {name}"))
        }
    }
}
