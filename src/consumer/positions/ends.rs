//! Asks new leaders whether their logs still have what was read (KIP-320).

use std::sync::Arc;

use tracing::warn;

use super::leaders::{ask, by_partition, take_in};
use super::sought::{Applied, Sought};
use crate::cluster::by_topic;
use crate::config::OffsetReset;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::Error;
use crate::machine::fetch::{Position, Start};
use crate::types::BrokerId;
use crate::wire::{EpochQuestion, OffsetForLeaderEpoch};

/// Asks for the ends of the epochs in which was read.
pub(super) async fn find(
    inner: Arc<ConsumerInner>,
    broker: BrokerId,
    sought: Vec<(Sought, Position)>,
) {
    let questions = sought.iter().map(|(one, position)| {
        let question = EpochQuestion {
            partition: one.name.partition(),
            current_epoch: one.leader_epoch,
            epoch: position.leader_epoch,
        };
        (&one.name, question)
    });
    let call = OffsetForLeaderEpoch {
        topics: by_topic(questions),
    };
    let told = ask(&inner, broker, &call)
        .await
        .map(|answer| by_partition(answer.topics, |one| (one.partition, one.code, one)));
    take_in(
        &inner,
        &sought,
        told,
        |state, index, (one, position), found| {
            let end = Position {
                offset: found.end_offset,
                leader_epoch: found.epoch,
            };
            compare(&inner, state, index, (*position, one.leader_epoch), end)
        },
    );
}

/// Whether the log still has what was read; if not, it goes on from where the logs part, or by the reset policy.
pub(super) fn compare(
    inner: &ConsumerInner,
    state: &mut SubscriptionState,
    index: u32,
    (position, asked): (Position, i32),
    end: Position,
) -> Applied {
    let is_known = end.offset >= 0 && end.leader_epoch >= 0;
    if is_known && end.offset >= position.offset {
        if let Some(partition) = state.get(index) {
            partition.validated(asked);
        }
        return (None, state.look_after(index).and(Wakes::positions()));
    }
    let mut error = None;
    let wakes = state.change_at(index, |partition, version| {
        warn!(
            partition = %partition.name,
            position = position.offset,
            end = end.offset,
            "the log was truncated"
        );
        let handed = partition.position().map_or(-1, |position| position.offset);
        match inner.settings.offset_reset {
            // Only what was fetched ahead is gone. What is left of it was not handed out yet.
            _ if is_known && partition.is_ahead() && handed <= end.offset => {
                partition.rewind(version);
            }
            OffsetReset::None => {
                error = Some(Error::LogTruncated {
                    partition: partition.name.clone(),
                    position: handed,
                    end: end.offset,
                });
                partition.stick(version);
            }
            _ if is_known => {
                partition.seek(end, version);
            }
            OffsetReset::Earliest => {
                partition.reset(Start::Earliest, version);
            }
            OffsetReset::Latest => {
                partition.reset(Start::Latest, version);
            }
        }
    });
    (error, wakes)
}
