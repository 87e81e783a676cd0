//! Asks new leaders whether their logs still have what was read (KIP-320).

use std::sync::Arc;

use hashbrown::HashMap;
use tracing::warn;

use super::{After, Sought, ask, group, settle};
use crate::config::OffsetReset;
use crate::consumer::shared::Shared;
use crate::consumer::state::State;
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::{Lookup, Position, Start, lookup};
use crate::types::{BrokerId, TopicName, TopicPartition};
use crate::wire::{EpochQuestion, OffsetForLeaderEpoch};

/// Asks for the ends of the epochs in which was read.
pub(super) async fn find(shared: Arc<Shared>, broker: BrokerId, sought: Vec<(Sought, Position)>) {
    let mut topics: Vec<(TopicName, Vec<EpochQuestion>)> = Vec::new();
    for (one, position) in &sought {
        let question = EpochQuestion {
            partition: one.name.partition(),
            current_epoch: one.leader_epoch,
            epoch: position.leader_epoch,
        };
        group(&mut topics, &one.name, question);
    }
    let call = OffsetForLeaderEpoch { topics };
    let answer = ask(&shared, broker, &call).await;
    let mut after = After::default();
    match answer {
        Ok(answer) => {
            let mut found = HashMap::new();
            for (topic, partitions) in answer.topics {
                for one in partitions {
                    found.insert(TopicPartition::new(topic.clone(), one.partition), one);
                }
            }
            for (one, position) in &sought {
                let found = found.get(&one.name);
                let code = found.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |found| found.code);
                match (lookup(code), found) {
                    (Lookup::Take, Some(found)) => {
                        let end = Position {
                            offset: found.end_offset,
                            leader_epoch: found.epoch,
                        };
                        settle(&shared, one, |state, index| {
                            compare(&shared, state, index, (*position, one.leader_epoch), end)
                        });
                        after.is_found = true;
                    }
                    (verdict, _) => after.failed(&shared, one, verdict, code),
                }
            }
        }
        Err(error) => after.lost(&shared, sought.iter().map(|(one, _)| one), &error),
    }
    after.finish(&shared);
}

/// Whether the log still has what was read; if not, it goes on from where the logs part, or by the reset policy.
pub(super) fn compare(
    shared: &Shared,
    state: &mut State,
    index: u32,
    (position, asked): (Position, i32),
    end: Position,
) -> Option<Error> {
    let is_known = end.offset >= 0 && end.leader_epoch >= 0;
    if is_known && end.offset >= position.offset {
        state.get(index)?.validated(asked);
        return None;
    }
    let mut error = None;
    state.change_at(index, |partition, version| {
        warn!(
            partition = %partition.name,
            position = position.offset,
            end = end.offset,
            "the log was truncated"
        );
        let handed = partition.handed.offset;
        match shared.settings.offset_reset {
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
    error
}
