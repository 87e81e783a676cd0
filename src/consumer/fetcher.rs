//! One fetch loop a broker: independent of the others, ahead of the application, within its share of the buffer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, warn};

use super::reset;
use super::shared::Shared;
use super::state::{Plan, Source, State};
use crate::batch::{Span, first_header, span};
use crate::cluster::{LeaderHint, Purpose};
use crate::config::Backoff;
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::{Answered, Chunk, Heard, Position, Session, Verdict, Wanted, verdict};
use crate::types::BrokerId;
use crate::wire::{Fetch, FetchAnswer, FetchedPartition, TooLarge};

/// How long a full partition may keep the broker's others from being asked for.
const PATIENCE: Duration = Duration::from_millis(50);

/// When a batch that cannot be taken is asked for again.
const SLOWLY: Backoff = Backoff {
    base: Duration::from_secs(10),
    max: Duration::from_secs(60),
};

/// What cannot be understood so many times in a row is told.
const LASTING: u32 = 5;

/// An answer with so few bytes comes of waiting for records, not of reading what there is.
const LITTLE: usize = 64 << 10;

/// Starts the loop of a broker, if it does not run.
pub(super) fn ensure(shared: &Arc<Shared>, state: &mut State, broker: BrokerId) {
    state.sources.entry(broker).or_insert_with(|| {
        let source = Source::default();
        tokio::spawn(run(shared.clone(), broker, source.wake.clone()));
        source
    });
}

async fn run(shared: Arc<Shared>, broker: BrokerId, wake: Arc<Notify>) {
    let mut session = Session::default();
    let mut hurry = false;
    let mut failures = 0;
    while !shared.is_closing() {
        match plan(&shared, broker, &mut session, hurry) {
            Plan::Unneeded => break,
            Plan::Wait(until) => {
                wait(&wake, until).await;
                hurry = false;
            }
            Plan::Full => {
                // Usually the application comes back for more well before that.
                hurry = timeout(PATIENCE, wake.notified()).await.is_err();
            }
            Plan::Fetch { asked, max_bytes } => {
                let settings = &shared.settings;
                let call = Fetch {
                    max_wait: if hurry {
                        Duration::ZERO
                    } else {
                        settings.fetch_max_wait
                    },
                    min_bytes: i32::try_from(settings.fetch_min_bytes).unwrap_or(i32::MAX),
                    max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
                    read_committed: shared.filter.read_committed,
                    session_id: asked.session_id,
                    session_epoch: asked.session_epoch,
                    by_name: !asked.has_ids,
                    topics: asked.topics,
                    forgotten: asked.forgotten,
                    rack: settings.rack.clone().unwrap_or_default(),
                };
                let began = Instant::now();
                let answer = tokio::select! {
                    answer = ask(&shared, broker, &call) => answer,
                    () = shared.closing() => break,
                };
                hurry = false;
                if let Ok(answer) = &answer {
                    let after = began.elapsed();
                    shared.lock().counts.fetched(bytes_of(answer), after);
                }
                match answer.and_then(|answer| take(&shared, broker, &mut session, answer)) {
                    Ok(is_awaited) => {
                        failures = 0;
                        if is_awaited {
                            step_back().await;
                        }
                    }
                    Err(error) => {
                        session.restart();
                        failures += 1;
                        fail(&shared, broker, error, failures).await;
                    }
                }
            }
        }
    }
    end(&shared, broker, &session).await;
    if shared.is_closing() {
        shared.lock().sources.remove(&broker);
        shared.work.notify_one();
    }
}

fn plan(shared: &Arc<Shared>, broker: BrokerId, session: &mut Session, hurry: bool) -> Plan {
    let mut state = shared.lock();
    let plan = state.plan(broker, session, &shared.settings, hurry, Instant::now());
    if matches!(plan, Plan::Unneeded) {
        // Under the same lock: who finds the broker without a loop starts another one.
        state.sources.remove(&broker);
        // What was fetched here, from a replica whose time is up, needs its leader's loop.
        shared.work.notify_one();
    }
    plan
}

async fn wait(wake: &Notify, until: Option<Instant>) {
    match until {
        Some(until) => tokio::select! {
            () = wake.notified() => {}
            () = sleep_until(until.into()) => {}
        },
        None => wake.notified().await,
    }
}

async fn ask(shared: &Shared, broker: BrokerId, call: &Fetch) -> Result<FetchAnswer, Error> {
    let connection = shared
        .cluster
        .broker(broker, Purpose::Fetch(shared.id))
        .await?;
    let limit = shared.settings.request_timeout + call.max_wait;
    connection.call(call, limit).await
}

async fn fail(shared: &Shared, broker: BrokerId, error: Error, failures: u32) {
    debug!(broker = broker.0, failures, %error, "fetch failed");
    shared.cluster.request_refresh();
    // Leaders are asked again, who may name this replica again: by then it has its delay behind it.
    if shared.lock().leave_replica(broker) {
        shared.work.notify_one();
    }
    match verdict_of(&error, failures) {
        Verdict::Tell => shared.fail(error),
        Verdict::Log => warn!(broker = broker.0, %error, "fetch failed: asking again"),
        _ => {}
    }
    let delay = shared
        .settings
        .retry_backoff
        .delay(failures, fastrand::f64());
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = shared.closing() => {}
    }
}

/// What to do about a request that failed as a whole, so many times in a row by now: told or logged is each error once,
/// for as long as it lasts.
fn verdict_of(error: &Error, failures: u32) -> Verdict {
    match error {
        Error::Unsupported { .. } | Error::NotKafka { .. } | Error::AnswerTooLarge { .. }
            if failures == 1 =>
        {
            Verdict::Tell
        }
        Error::Broker { code, .. } if failures == 1 => verdict(*code),
        // Bytes may be damaged on the way, once.
        Error::Protocol { .. } if failures == 1 => Verdict::Log,
        Error::Protocol { .. } if failures == LASTING => Verdict::Tell,
        _ => Verdict::Retry,
    }
}

/// Tells the broker that its session is over, as Java's client does; whether it hears that is of no importance.
async fn end(shared: &Shared, broker: BrokerId, session: &Session) {
    let Some((session_id, session_epoch)) = session.end() else {
        return;
    };
    let call = Fetch {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 0,
        read_committed: shared.filter.read_committed,
        session_id,
        session_epoch,
        by_name: false,
        topics: Vec::new(),
        forgotten: Vec::new(),
        rack: Arc::default(),
    };
    let _ = timeout(Duration::from_millis(500), ask(shared, broker, &call)).await;
}

/// A partition's part of an answer, looked at as far as that needs no lock.
struct Seen<'a> {
    wanted: &'a Wanted,
    partition: FetchedPartition,
    span: Span,
    /// Bytes of all the answer's records.
    frame: usize,
}

/// Lets a waiting application have its records before the next request is written.
///
/// It may go on at once on another thread of the runtime, unlike a task that yields to tokio.
async fn step_back() {
    let mut has_stepped = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A partition's first batch, which comes whole however little is asked for, is larger than any answer that is taken: it
/// is asked for again now and then, at the cost of a connection, and the others go on.
fn too_large(shared: &Shared, session: &Session, found: &TooLarge) {
    let Some(wanted) = session.asked(&found.topic, found.partition) else {
        return;
    };
    let mut state = shared.lock();
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
        limit: shared.cluster.settings().max_response_bytes,
    };
    state.tell(Some(&wanted.partition), error);
    drop(state);
    shared.ready.notify_one();
}

/// Takes an answer in; tells whether the application waits for it and will soon be done with it.
///
/// # Errors
/// The broker's refusal of the request as a whole.
fn take(
    shared: &Shared,
    broker: BrokerId,
    session: &mut Session,
    answer: FetchAnswer,
) -> Result<bool, Error> {
    if let Some(found) = answer.too_large {
        too_large(shared, session, &found);
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
            seen.push(Seen {
                wanted,
                partition,
                span,
                frame,
            });
        }
    }
    let mut hints = Vec::new();
    let mut after = After::default();
    let now = Instant::now();
    let mut state = shared.lock();
    for seen in seen {
        if let Some((leader, epoch)) = seen.partition.leader_hint {
            hints.push(LeaderHint {
                topic: seen.wanted.partition.name().clone(),
                partition: seen.wanted.partition.partition(),
                leader,
                epoch,
            });
        }
        after.merge(apply(shared, &mut state, seen, now));
    }
    let has_line = state.has_line();
    let is_awaited = has_line && state.is_waiting && frame <= LITTLE;
    drop(state);
    if has_line || after.tells {
        shared.ready.notify_one();
    }
    shared.cluster.leader_hints(&hints, &answer.nodes);
    if after.refreshes {
        shared.cluster.request_refresh();
    }
    if after.looks_up {
        shared.work.notify_one();
    }
    Ok(is_awaited)
}

/// Bytes of all the answer's records.
fn bytes_of(answer: &FetchAnswer) -> usize {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.records.len()).sum()
}

/// What is to be done once the lock is released.
#[derive(Default)]
struct After {
    refreshes: bool,
    looks_up: bool,
    tells: bool,
}

impl After {
    fn merge(&mut self, other: Self) {
        self.refreshes |= other.refreshes;
        self.looks_up |= other.looks_up;
        self.tells |= other.tells;
    }
}

fn apply(shared: &Shared, state: &mut State, seen: Seen<'_>, now: Instant) -> After {
    let index = seen.wanted.index;
    let mut after = After::default();
    let Some(partition) = state.get(index).filter(|p| p.expects(seen.wanted)) else {
        return after;
    };
    let verdict = verdict(seen.partition.code);
    let delay = |failures| {
        shared
            .settings
            .retry_backoff
            .delay(failures, fastrand::f64())
    };
    match verdict {
        Verdict::Take => {
            let replica = seen.partition.preferred_replica;
            partition.answered(answered(&seen));
            if let Some(replica) = replica {
                let topology = shared.cluster.topology();
                if topology.brokers.contains_key(&replica) {
                    let until = now + shared.cluster.settings().metadata_max_age;
                    partition.prefer(replica, until);
                    after.looks_up = true;
                } else {
                    // The leader gives nothing as long as it thinks so.
                    partition.failed(now, delay);
                    after.refreshes = true;
                }
            }
            state.queue(index);
        }
        Verdict::OutOfRange => {
            // A replica that is behind, or has less, is not the log: the leader decides.
            if !partition.forget_replica() {
                after.tells = reset::out_of_range(shared, state, index);
            }
            after.looks_up = true;
        }
        Verdict::Refresh | Verdict::Retry | Verdict::Log => {
            let code = seen.partition.code;
            if verdict == Verdict::Log && partition.is_news(code) {
                let (partition, offset) = (&partition.name, seen.wanted.offset);
                warn!(%partition, offset, %code, "fetch refused: asking again");
            }
            after.looks_up = partition.forget_replica();
            partition.failed(now, delay);
            after.refreshes = verdict != Verdict::Retry;
        }
        Verdict::Tell => {
            let name = partition.name.clone();
            let code = seen.partition.code;
            partition.failed(now, delay);
            if partition.is_news(code) {
                state.tell(Some(&name), told(&name, code, seen.wanted.offset));
                after.tells = true;
            }
        }
    }
    after
}

fn told(name: &crate::types::TopicPartition, code: ErrorCode, offset: i64) -> Error {
    Error::broker(code, None, format!("fetching {name} from offset {offset}"))
}

fn answered(seen: &Seen<'_>) -> Answered {
    let Seen {
        wanted,
        partition,
        span,
        frame,
    } = seen;
    let is_empty = span.len == 0 && !span.is_damaged;
    let chunk = (!is_empty).then(|| {
        let records = if span.is_damaged {
            partition.records.clone()
        } else {
            partition.records.slice(..span.len)
        };
        let aborted = partition.aborted.clone();
        Chunk::new(
            wanted.partition.clone(),
            wanted.offset,
            -1,
            records,
            aborted,
        )
        .of_topic(wanted.topic_id)
        .of_frame(*frame)
    });
    Answered {
        chunk,
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

#[cfg(test)]
mod tests;
