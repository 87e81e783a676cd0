//! Topics that cannot be read: what the application and the log are told of them.

use std::time::Instant;

use tracing::warn;

use crate::consumer::shared::Shared;
use crate::error::Error;
use crate::machine::fetch::{Refusals, Word};
use crate::machine::topology::Topology;
use crate::types::TopicName;

/// Looks at all topics that are subscribed to, or of which partitions are assigned.
pub(super) fn look(shared: &Shared, refusals: &mut Refusals, topology: &Topology) {
    let subscription = shared.subscription().borrow().clone();
    let assigned = shared.lock().topics();
    let tells_missing = shared.settings.fail_on_missing_topics;
    let now = Instant::now();
    for name in subscription.iter().chain(&assigned) {
        let error = topology.topics.get(name).and_then(|topic| topic.error);
        match refusals.look(name, error, topology.version, tells_missing, now) {
            Some(Word::Warn(code)) => {
                warn!(topic = %name, %code, "a topic cannot be read: asking again");
            }
            Some(word) => shared.fail(error_of(name, word)),
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
        },
        Word::Tell(code) | Word::Warn(code) => {
            Error::broker(code, None, format!("reading topic {name}"))
        }
    }
}
