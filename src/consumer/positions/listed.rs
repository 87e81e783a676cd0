//! Asks leaders for the offsets at which partitions begin: their logs' ends, or the first record of a time.

use std::sync::Arc;

use hashbrown::HashMap;
use tracing::debug;

use super::leaders::{ByPartition, ask, by_partition, take_in};
use super::sought::Sought;
use crate::cluster::by_topic;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::Result;
use crate::machine::fetch::{Position, Start};
use crate::types::BrokerId;
use crate::wire::{ListOffset, ListOffsets, ListedOffset};

/// ListOffsets' words for the two ends of a log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Asks for the offsets at which to begin.
pub(super) async fn find(
    inner: Arc<ConsumerInner>,
    broker: BrokerId,
    sought: Vec<(Sought, Start)>,
) {
    // The ends are asked for first: what comes to a log after it was found to have nothing as late as a time is not
    // passed over.
    let by_time = sought.iter().filter(|(_, start)| is_time(*start));
    let by_time: Vec<_> = by_time
        .map(|(one, _)| (one.clone(), Start::Latest))
        .collect();
    let ends = if by_time.is_empty() {
        Ok(HashMap::new())
    } else {
        list(&inner, broker, &by_time).await
    };
    let (ends, told) = match ends {
        Ok(ends) => (ends, list(&inner, broker, &sought).await),
        Err(error) => (HashMap::new(), Err(error)),
    };
    take_in(
        &inner,
        &sought,
        told,
        |state, index, (one, start), found| {
            let end = ends.get(&one.name).filter(|(code, _)| code.is_none());
            let found = match end {
                Some((_, end)) if found.offset < 0 => end,
                _ => found,
            };
            let wakes = place(state, index, *start, found.offset, found.leader_epoch);
            (None, wakes)
        },
    );
}

fn is_time(start: Start) -> bool {
    matches!(start, Start::Timestamp(_))
}

async fn list(
    inner: &ConsumerInner,
    broker: BrokerId,
    sought: &[(Sought, Start)],
) -> Result<ByPartition<ListedOffset>> {
    let questions = sought.iter().map(|(one, start)| {
        let question = ListOffset {
            partition: one.name.partition(),
            leader_epoch: one.leader_epoch,
            timestamp: match start {
                Start::Earliest => EARLIEST,
                Start::Latest => LATEST,
                Start::Timestamp(at) => *at,
            },
        };
        (&one.name, question)
    });
    let call = ListOffsets {
        read_committed: inner.filter.read_committed,
        topics: by_topic(questions),
        timeout: inner.settings.request_timeout,
    };
    let answer = ask(inner, broker, &call).await?;
    Ok(by_partition(answer.topics, |one| {
        (one.partition, one.code, one)
    }))
}

/// Goes on from the offset that was found; a time after the last record's is the log's end.
fn place(
    state: &mut SubscriptionState,
    index: u32,
    start: Start,
    offset: i64,
    leader_epoch: i32,
) -> Wakes {
    state.change_at(index, |partition, version| {
        if offset < 0 && start != Start::Latest {
            partition.reset(Start::Latest, version);
        } else {
            debug!(partition = %partition.name, offset, ?start, "position found");
            let position = Position {
                offset,
                leader_epoch,
            };
            partition.seek(position, version);
        }
    })
}
