//! What happens when a Produce request is answered, or never will be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::debug;

use super::accumulator::{BrokerQueue, Changed, PartitionQueue};
use super::batch_result::BatchResult;
use super::end::{Sent, acknowledge, fail, give_back, refusal};
use super::inner::ProducerInner;
use super::split;
use crate::cluster::LeaderHint;
use crate::error::{Error, ErrorCode};
use crate::machine::produce::{Answer, Answered, ProducerBatch};
use crate::net::RequestError;
use crate::types::{TopicId, after};
use crate::wire::{Malformed, ProducePartitionAnswer, TopicRef, decode_produce};

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// A batch in flight, with the queue that waits for it.
pub(crate) struct Flying {
    pub(crate) queue: Arc<PartitionQueue>,
    /// The topic's id in the request, zero where there was none.
    pub(crate) topic_id: TopicId,
    pub(crate) flight: u64,
    pub(crate) batch: OurBatch,
}

/// The answer's bytes are here, or the reason why they will not come; tells for how long the broker throttles.
pub(crate) fn arrived(
    inner: &Arc<ProducerInner>,
    broker: &BrokerQueue,
    flying: Vec<Flying>,
    version: i16,
    result: Result<Bytes, RequestError>,
) -> Result<Duration, Malformed> {
    let body = match result {
        Ok(body) => body,
        Err(failed) => {
            unsent(inner, broker, flying, failed);
            return Ok(Duration::ZERO);
        }
    };
    let answer = match decode_produce(version, body) {
        Ok(answer) => answer,
        Err(malformed) => {
            let reason = format!("Produce answer: {malformed}");
            let error = Error::protocol(format!("broker {}", broker.id.0), reason);
            lost(inner, broker, flying, true, error);
            return Err(malformed);
        }
    };
    if !answer.throttle.is_zero() {
        debug!(broker = broker.id.0, throttle = ?answer.throttle, "broker throttles");
        let now = tokio::time::Instant::now().into_std();
        inner.counters.throttled(broker.id, now, answer.throttle);
        broker.mute(after(now, answer.throttle));
    }
    let mut partitions: Vec<Option<ProducePartitionAnswer>> =
        answer.partitions.into_iter().map(Some).collect();
    let told: Vec<_> = flying
        .into_iter()
        .enumerate()
        .map(|(position, flight)| {
            let own = find(&mut partitions, position, &flight);
            (flight, own)
        })
        .collect();
    // Before any batch goes back to its queue: it shall find its new leader.
    let hints: Vec<_> = told.iter().filter_map(hint).collect();
    inner.cluster.leader_hints(&hints, &answer.nodes);
    let mut decided = Vec::with_capacity(told.len());
    for (flight, own) in told {
        match own {
            Some(own) => decided.push(answered(inner, broker, flight, own)),
            None => {
                let error = Error::protocol(
                    format!("broker {}", broker.id.0),
                    format!("Produce answer says nothing of {}", flight.queue.target),
                );
                decided.push(one_lost(inner, flight, true, &Arc::new(error)));
            }
        }
    }
    landed(inner, broker, decided);
    Ok(answer.throttle)
}

/// The new leader that a partition's answer names.
fn hint((flight, own): &(Flying, Option<ProducePartitionAnswer>)) -> Option<LeaderHint> {
    let (leader, epoch) = own.as_ref()?.leader?;
    let target = &flight.queue.target;
    Some(LeaderHint {
        topic: target.name().clone(),
        partition: target.partition(),
        leader,
        epoch,
    })
}

/// What a queue decided about a batch of its own.
type Decided = (Arc<PartitionQueue>, Changed<Answered<Arc<BatchResult>>>);

/// The request is done with, and then all is carried out that the queues decided.
///
/// Not before they have, lest more is in flight than a broker remembers of a partition. But before anyone
/// hears of it: who sends the next record as soon as the last one is acknowledged shall find the broker idle.
fn landed(inner: &Arc<ProducerInner>, broker: &BrokerQueue, decided: Vec<Decided>) {
    broker.landed(inner.accumulator.pool.is_wanted());
    for (queue, changed) in decided {
        let answered = inner.carry_out(&queue, changed);
        finish(inner, &queue, answered);
    }
}

/// The partition's answer, which nearly always stands where its batch stood in the request.
fn find(
    partitions: &mut [Option<ProducePartitionAnswer>],
    position: usize,
    flight: &Flying,
) -> Option<ProducePartitionAnswer> {
    let target = &flight.queue.target;
    let matches = |candidate: &Option<ProducePartitionAnswer>| {
        candidate.as_ref().is_some_and(|answer| {
            answer.partition == target.partition()
                && match &answer.topic {
                    TopicRef::Name(name) => name.as_str() == target.topic(),
                    TopicRef::Id(id) => *id == flight.topic_id,
                }
        })
    };
    let at = match partitions.get(position) {
        Some(candidate) if matches(candidate) => position,
        _ => partitions.iter().position(matches)?,
    };
    partitions.get_mut(at)?.take()
}

/// One partition's answer.
fn answered(
    inner: &ProducerInner,
    broker: &BrokerQueue,
    flight: Flying,
    answer: ProducePartitionAnswer,
) -> Decided {
    let count = flight.batch.share.count;
    let told = Answer {
        code: answer.code,
        message: answer.message,
        base_offset: answer.base_offset,
        log_append_time: answer.log_append_time,
        rejected: answer
            .record_errors
            .into_iter()
            .filter_map(|e| Some((u32::try_from(e.index).ok()?, e.message)))
            // A refusal of no record that was sent would send the whole batch again, for ever.
            .filter(|(index, _)| *index < count)
            .collect(),
    };
    let (queue, changed) = decided(inner, flight, &told);
    if told.code != ErrorCode::NONE {
        let log_start = answer.log_start_offset;
        debug!(partition = %queue.target, code = %told.code, log_start, "broker refused a batch");
    }
    match changed.look() {
        Answered::Acked { .. } => inner.retry_log.written(&queue.target),
        Answered::Queued { .. } => inner.retry_log.refused(broker.id, &queue.target, told.code),
        _ => {}
    }
    (queue, changed)
}

/// What its queue decides about an answered batch.
fn decided(inner: &ProducerInner, flight: Flying, told: &Answer) -> Decided {
    let Flying {
        queue,
        flight,
        batch,
        ..
    } = flight;
    let sent = Sent::of(&batch);
    let message = || told.message.clone();
    let error = || Arc::new(refusal(inner, &queue.target, sent, told.code, message()));
    let backoff = retry_at(inner);
    let changed = queue.change(|locked, _| {
        locked
            .queue
            .answer(flight, batch, told, now(), error, backoff)
    });
    (queue, changed)
}

/// The time, as queues count it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn retry_at(inner: &ProducerInner) -> impl Fn(u32) -> Instant + use<> {
    let backoff = inner.settings.retry_backoff;
    move |failures| {
        after(
            tokio::time::Instant::now().into_std(),
            backoff.delay(failures, fastrand::f64()),
        )
    }
}

/// The request will not be answered; `sent` is false when not one byte of it was written.
pub(crate) fn unsent(
    inner: &Arc<ProducerInner>,
    broker: &BrokerQueue,
    flying: Vec<Flying>,
    failed: RequestError,
) {
    lost(inner, broker, flying, failed.sent, failed.error);
}

pub(crate) fn lost(
    inner: &Arc<ProducerInner>,
    broker: &BrokerQueue,
    flying: Vec<Flying>,
    sent: bool,
    error: Error,
) {
    debug!(broker = broker.id.0, %error, sent, "request without an answer");
    let error = Arc::new(error);
    let decided = flying.into_iter();
    let decided = decided.map(|flight| one_lost(inner, flight, sent, &error));
    landed(inner, broker, decided.collect());
}

fn one_lost(inner: &ProducerInner, flight: Flying, sent: bool, error: &Arc<Error>) -> Decided {
    let Flying {
        queue,
        flight,
        batch,
        ..
    } = flight;
    let error = Arc::clone(error);
    let backoff = retry_at(inner);
    let changed =
        queue.change(|locked, _| locked.queue.unanswered(flight, batch, sent, error, backoff));
    (queue, changed)
}

/// With `acks=0` a written request is all that is ever known.
pub(crate) fn written(inner: &Arc<ProducerInner>, broker: &BrokerQueue, flying: Vec<Flying>) {
    let told = Answer {
        code: ErrorCode::NONE,
        message: None,
        base_offset: -1,
        log_append_time: -1,
        rejected: Vec::new(),
    };
    let decide = |flight| decided(inner, flight, &told);
    landed(inner, broker, flying.into_iter().map(decide).collect());
}

/// Tells those who wait for the batch, or sends it on its next way.
fn finish(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    answered: Answered<Arc<BatchResult>>,
) {
    match answered {
        Answered::Acked {
            batch,
            proved,
            base_offset,
            log_append_time,
        } => {
            for earlier in proved {
                acknowledge(inner, earlier, -1, log_append_time);
            }
            acknowledge(inner, batch, base_offset, log_append_time);
        }
        Answered::Queued { refresh } => {
            inner.counters.retried();
            if refresh {
                inner.cluster.refresh_topic(queue.target.topic());
            }
            inner.abort_if_closed(queue);
        }
        Answered::Failed {
            batch,
            possibly_written,
            fatal,
        } => {
            fail(inner, queue, batch, possibly_written, fatal);
        }
        Answered::Without {
            flight,
            batch,
            refused,
        } => split::without_refused(inner, queue, flight, batch, refused),
        Answered::TooLarge { flight, batch } => split::too_large(inner, queue, flight, batch),
        Answered::Late { batch } => give_back(inner, batch),
    }
}
