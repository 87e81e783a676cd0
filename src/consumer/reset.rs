//! Positions that are not in the log any more: what `auto.offset.reset` says about them.

use tracing::{debug, warn};

use super::inner::ConsumerInner;
use super::subscription_state::{SubscriptionState, Wakes};
use crate::config::OffsetReset;
use crate::error::Error;
use crate::machine::fetch::{PartitionState, Start};

/// The leader says that the offset is not in its log.
pub(super) fn out_of_range(
    inner: &ConsumerInner,
    state: &mut SubscriptionState,
    index: u32,
) -> Wakes {
    // What was read before the log lost it, as by retention, is good all the same: it is handed out first. A log that
    // was cut is another matter, of which the leader's epoch tells.
    if state.get(index).is_some_and(PartitionState::drain) {
        return Wakes::default();
    }
    let mut error = None;
    let wakes = state.change_at(index, |partition, version| {
        let offset = partition.position().map_or(-1, |position| position.offset);
        error = by_policy(inner, partition, version, || {
            format!("offset {offset} is not in the log")
        });
    });
    wakes.and(tell(state, error))
}

/// The topic was deleted, and one of the same name created: none of its records was read.
pub(super) fn recreated(inner: &ConsumerInner, state: &mut SubscriptionState, index: u32) -> Wakes {
    let mut error = None;
    let wakes = state.change_at(index, |partition, version| {
        warn!(partition = %partition.name, "the topic was deleted and created again");
        partition.forget(version);
        error = by_policy(inner, partition, version, || {
            "the topic was deleted and created again".to_owned()
        });
    });
    wakes.and(tell(state, error))
}

fn by_policy(
    inner: &ConsumerInner,
    partition: &mut PartitionState,
    version: u64,
    reason: impl FnOnce() -> String,
) -> Option<Error> {
    let start = match inner.settings.offset_reset {
        OffsetReset::Earliest => Start::Earliest,
        OffsetReset::Latest => Start::Latest,
        OffsetReset::None => {
            partition.stick(version);
            return Some(Error::NoOffset {
                partition: partition.name.clone(),
                reason: reason().into(),
            });
        }
    };
    debug!(partition = %partition.name, ?start, "position is not in the log");
    partition.reset(start, version);
    None
}

fn tell(state: &mut SubscriptionState, error: Option<Error>) -> Wakes {
    error.map_or_else(Wakes::default, |error| state.tell(None, error))
}
