//! The group's committed offsets: where partitions begin.

use std::sync::Arc;

use hashbrown::HashMap;
use tracing::debug;

use super::sought::{Applied, Sought, apply_found, puzzle, retry};
use crate::config::OffsetReset;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::offsets::is_passing;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::{Position, Start, is_refusal};
use crate::types::OffsetAndMetadata;

/// So many milliseconds may the clocks of producers be behind this one's.
const SKEW: i64 = 60_000;

/// Asks for the group's committed offsets.
pub(super) async fn find(inner: Arc<ConsumerInner>, sought: Vec<Sought>) {
    let Some(offsets) = &inner.offsets else {
        return;
    };
    let names: Vec<_> = sought.iter().map(|one| one.name.clone()).collect();
    match offsets.ask(&names).await {
        Ok(found) => {
            let mut found: HashMap<_, _> = found.into_iter().collect();
            for one in &sought {
                match found.remove(&one.name) {
                    Some(Ok(committed)) => {
                        if let Some(committed) = &committed {
                            inner.begun(&one.name, committed);
                        }
                        apply_found(&inner, one, |state, index| {
                            from_committed(&inner, state, index, committed)
                        });
                    }
                    // One that is refused does not hold up the others.
                    Some(Err(error)) => not_found(&inner, one, &error),
                    None => retry(&inner, one, None),
                }
            }
        }
        Err(error) => {
            for one in &sought {
                not_found(&inner, one, &error);
            }
        }
    }
    inner.wake(Wakes::keeper());
}

fn not_found(inner: &ConsumerInner, sought: &Sought, error: &Error) {
    debug!(partition = %sought.name, %error, "committed offset not found");
    let code = error
        .broker_code()
        .unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
    let lasts = match error {
        Error::Broker { code, .. } => is_refusal(*code),
        error => !is_passing(error),
    };
    if lasts {
        retry(inner, sought, Some((code, error.clone())));
    } else {
        // What passes is no news to anybody.
        puzzle(inner, sought, (!is_passing(error)).then_some(code), error);
    }
}

fn from_committed(
    inner: &ConsumerInner,
    state: &mut SubscriptionState,
    index: u32,
    committed: Option<OffsetAndMetadata>,
) -> Applied {
    let mut error = None;
    let name = state.get(index).map(|partition| partition.name.clone());
    let absent_at = name.and_then(|name| state.growth.absent_at(&name));
    let wakes = state.change_at(index, |partition, version| {
        partition.set_committed(committed.as_ref().map(|committed| committed.offset));
        match (committed, inner.settings.offset_reset) {
            (Some(committed), _) => {
                let position = Position {
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch.unwrap_or(-1),
                };
                partition.seek(position, version);
            }
            (None, OffsetReset::Earliest) => {
                partition.reset(Start::Earliest, version);
            }
            (None, OffsetReset::Latest) => {
                // All that is in one that has appeared since is news.
                let start =
                    absent_at.map_or(Start::Latest, |at| Start::Timestamp((at - SKEW).max(0)));
                partition.reset(start, version);
            }
            (None, OffsetReset::None) => {
                error = Some(Error::NoOffset {
                    partition: partition.name.clone(),
                    reason: "the group has committed none".into(),
                });
                partition.stick(version);
            }
        }
    });
    (error, wakes)
}
