//! What a broker's answer to a fetch does to the partitions that were asked for.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::batch::{Span, first_header, span};
use crate::cluster::LeaderHint;
use crate::config::Backoff;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::reset;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::{
    CompletedFetch, FetchVerdict, FetchedPart, Heard, Position, Session, Wanted, fetch_verdict,
};
use crate::types::{BrokerId, TopicPartition};
use crate::wire::{FetchAnswer, FetchedPartition, TooLarge};

/// When a batch that cannot be taken is asked for again.
const SLOWLY: Backoff = Backoff {
    base: Duration::from_secs(10),
    max: Duration::from_secs(60),
};

/// An answer with so few bytes comes of waiting for records, not of reading what there is.
const LITTLE: usize = 64 << 10;

/// A partition's part of an answer, looked at as far as that needs no lock.
pub(super) struct PartitionAnswer<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) partition: FetchedPartition,
    pub(super) span: Span,
    /// Bytes of all the answer's records.
    pub(super) frame: usize,
}

/// A partition's first batch, which comes whole however little is asked for, is larger than any answer that is taken: it
/// is asked for again now and then, at the cost of a connection, and the others go on.
fn too_large(inner: &ConsumerInner, session: &Session, found: &TooLarge) {
    let Some(wanted) = session.asked(&found.topic, found.partition) else {
        return;
    };
    let mut state = inner.lock();
    let partition = state.get(wanted.index).filter(|p| p.expects(wanted));
    let Some(partition) = partition else { return };
    partition.failed(Instant::now(), |failures| {
        SLOWLY.delay(failures, fastrand::f64())
    });
    if !partition.is_news(ErrorCode::MESSAGE_TOO_LARGE) {
        return;
    }
    let last = first_header(&found.beginning).map(|header| header.last_offset());
    let error = Error::TooLargeToRead {
        partition: wanted.partition.clone(),
        offset: wanted.offset,
        next_offset: last.unwrap_or(wanted.offset).max(wanted.offset) + 1,
        size: found.size,
        setting: "receive.message.max.bytes",
        limit: inner.cluster.settings().max_response_bytes,
    };
    let wakes = state.tell(Some(&wanted.partition), error);
    drop(state);
    inner.wake(wakes);
}

/// Takes an answer in; tells whether the application waits for it and will soon be done with it.
///
/// # Errors
/// The broker's refusal of the request as a whole.
pub(super) fn handle_answer(
    inner: &ConsumerInner,
    broker: BrokerId,
    session: &mut Session,
    answer: FetchAnswer,
) -> Result<bool, Error> {
    if let Some(found) = answer.too_large {
        too_large(inner, session, &found);
        // The answer is lost with its connection.
        session.restart();
        return Ok(false);
    }
    let code = answer.code;
    match session.answered(code, answer.session_id) {
        Heard::News => {}
        Heard::Lost => {
            debug!(broker = broker.0, %code, "fetch session lost");
            return Ok(false);
        }
        Heard::Refused => {
            let context = format!("fetching from broker {}", broker.0);
            return Err(Error::broker(code, None, context));
        }
    }
    let frame = bytes_of(&answer);
    let mut seen = Vec::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let Some(wanted) = session.asked(&topic.topic, partition.partition) else {
                continue;
            };
            let span = span(&partition.records);
            seen.push(PartitionAnswer {
                wanted,
                partition,
                span,
                frame,
            });
        }
    }
    let mut hints = Vec::new();
    let mut after = FetchFollowUp::default();
    let now = Instant::now();
    let mut state = inner.lock();
    for seen in seen {
        if let Some((leader, epoch)) = seen.partition.leader_hint {
            hints.push(LeaderHint {
                topic: seen.wanted.partition.name().clone(),
                partition: seen.wanted.partition.partition(),
                leader,
                epoch,
            });
        }
        after = after.and(apply(inner, &mut state, seen, now));
    }
    let has_line = state.has_line();
    let is_awaited = has_line && state.is_waiting && frame <= LITTLE;
    drop(state);
    inner.cluster.leader_hints(&hints, &answer.nodes);
    if after.refreshes {
        inner.cluster.request_refresh();
    }
    inner.wake(after.wakes);
    Ok(is_awaited)
}

/// Counts the answer to a request that was begun then.
pub(super) fn count(inner: &ConsumerInner, answer: &FetchAnswer, began: Instant) {
    let (bytes, after) = (bytes_of(answer), began.elapsed());
    inner.lock().counts.fetched(bytes, after);
}

/// Bytes of all the answer's records.
fn bytes_of(answer: &FetchAnswer) -> usize {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.records.len()).sum()
}

/// What is to be done once the lock is released.
#[must_use = "the answer has consequences for others"]
#[derive(Default)]
pub(super) struct FetchFollowUp {
    pub(super) refreshes: bool,
    pub(super) wakes: Wakes,
}

impl FetchFollowUp {
    fn and(self, other: Self) -> Self {
        Self {
            refreshes: self.refreshes || other.refreshes,
            wakes: self.wakes.and(other.wakes),
        }
    }
}

pub(super) fn apply(
    inner: &ConsumerInner,
    state: &mut SubscriptionState,
    seen: PartitionAnswer<'_>,
    now: Instant,
) -> FetchFollowUp {
    let index = seen.wanted.index;
    let mut after = FetchFollowUp::default();
    let Some(partition) = state.get(index).filter(|p| p.expects(seen.wanted)) else {
        return after;
    };
    let verdict = fetch_verdict(seen.partition.code);
    let delay = |failures| {
        inner
            .settings
            .retry_backoff
            .delay(failures, fastrand::f64())
    };
    match verdict {
        FetchVerdict::Take => {
            let replica = seen.partition.preferred_replica;
            after.wakes = state.answered(index, answered(&seen));
            if let (Some(replica), Some(partition)) = (replica, state.get(index)) {
                let topology = inner.cluster.topology();
                if topology.brokers.contains_key(&replica) {
                    let until = now + inner.cluster.settings().metadata_max_age;
                    partition.prefer(replica, until);
                    after.wakes.keeper = true;
                } else {
                    // The leader gives nothing as long as it thinks so.
                    partition.failed(now, delay);
                    after.refreshes = true;
                }
            }
        }
        FetchVerdict::OutOfRange => {
            // A replica that is behind, or has less, is not the log: the leader decides.
            if !partition.forget_replica() {
                after.wakes = reset::out_of_range(inner, state, index);
            }
            after.wakes.keeper = true;
        }
        FetchVerdict::Refresh | FetchVerdict::Retry | FetchVerdict::Log => {
            let code = seen.partition.code;
            if verdict == FetchVerdict::Log && partition.is_news(code) {
                let (partition, offset) = (&partition.name, seen.wanted.offset);
                warn!(%partition, offset, %code, "fetch refused: asking again");
            }
            after.wakes.keeper = partition.forget_replica();
            partition.failed(now, delay);
            after.refreshes = verdict != FetchVerdict::Retry;
        }
        FetchVerdict::Tell => {
            let name = partition.name.clone();
            let code = seen.partition.code;
            partition.failed(now, delay);
            if partition.is_news(code) {
                after.wakes = state.tell(Some(&name), refusal(&name, code, seen.wanted.offset));
            }
        }
    }
    after
}

fn refusal(name: &TopicPartition, code: ErrorCode, offset: i64) -> Error {
    Error::broker(code, None, format!("fetching {name} from offset {offset}"))
}

fn answered(seen: &PartitionAnswer<'_>) -> FetchedPart {
    let PartitionAnswer {
        wanted,
        partition,
        span,
        frame,
    } = seen;
    let is_empty = span.len == 0 && !span.is_damaged;
    let completed = (!is_empty).then(|| {
        let records = if span.is_damaged {
            partition.records.clone()
        } else {
            partition.records.slice(..span.len)
        };
        let aborted = partition.aborted.clone();
        CompletedFetch::new(
            wanted.partition.clone(),
            wanted.offset,
            -1,
            records,
            aborted,
        )
        .of_topic(wanted.topic_id)
        .of_frame(*frame)
    });
    FetchedPart {
        completed,
        next: span.last.map(|(offset, leader_epoch)| Position {
            offset: (offset + 1).max(wanted.offset),
            leader_epoch,
        }),
        is_damaged: span.is_damaged,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
    }
}
