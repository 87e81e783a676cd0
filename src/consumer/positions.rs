//! Keeps each partition's leader and position: follows the cluster, looks up what is missing, starts fetch loops.

mod committed;
mod ends;
mod follow;
mod refused;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, warn};

use super::inner::ConsumerInner;
use super::reset;
use super::subscription_state::{SubscriptionState, Wakes};
use crate::cluster::{Purpose, by_topic};
use crate::error::{Error, ErrorCode, Result};
use crate::machine::fetch::{
    LookupVerdict, Need, Position, Refusals, Start, WholeTopics, lookup_verdict,
};
use crate::machine::topology::Topology;
use crate::types::{BrokerId, TopicName, TopicPartition};
use crate::wire::{ListOffset, ListOffsets, ListedOffset};
use follow::{FetchNodes, Known, Search, follow, missing};

/// How long the fetch loops may take to end their sessions.
const PARTING: Duration = Duration::from_secs(1);
/// ListOffsets' words for the two ends of a log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// A partition whose position is looked up; `version` tells whether the answer is still wanted.
#[derive(Clone)]
struct Sought {
    name: TopicPartition,
    version: u64,
    leader_epoch: i32,
}

/// What is to be looked up, by whom it is asked.
#[derive(Default)]
struct Lookups {
    /// Of the partitions that are looked up.
    leaders: HashSet<BrokerId>,
    committed: Vec<Sought>,
    offsets: HashMap<BrokerId, Vec<(Sought, Start)>>,
    ends: HashMap<BrokerId, Vec<(Sought, Position)>>,
    /// A partition has no leader, as far as is known.
    lost: HashSet<TopicName>,
    wake: Option<Instant>,
}

/// Tells the application, should the task end before the consumer does.
pub(super) struct EndOnDrop(pub(super) Arc<ConsumerInner>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if !self.0.is_closing() {
            self.0.end(Error::RuntimeEnded { what: "consumer" });
        }
    }
}

/// Runs until the consumer is closed.
pub(super) async fn run(guard: EndOnDrop) {
    let inner = &guard.0;
    let mut changes = inner.cluster.changes();
    let mut lookups = JoinSet::new();
    let mut prepared = HashSet::new();
    let mut search = Search::default();
    let mut refusals = Refusals::default();
    let mut topics = WholeTopics::default();
    let delay = |rounds| {
        let backoff = &inner.settings.retry_backoff;
        backoff.delay(rounds, fastrand::f64())
    };
    loop {
        let topology = inner.cluster.topology();
        whole::follow(inner, &mut topics, &topology);
        let work = survey(inner, &topology, search.is_long());
        refused::look(inner, &mut refusals, &topology);
        for leader in &work.leaders {
            if prepared.insert(*leader) {
                lookups.spawn(prepare(inner.clone(), *leader));
            }
        }
        let is_lost = !work.lost.is_empty() || refusals.refused().next().is_some();
        if search.is_due(is_lost, Instant::now(), delay) {
            for topic in work.lost.iter().chain(refusals.refused()) {
                inner.cluster.refresh_topic(topic);
            }
        }
        let wakes = [work.wake, search.next(), refusals.wake()];
        let wake = wakes.into_iter().flatten().min();
        start(inner, work, &mut lookups);
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    // The client is closed: nothing can be looked up any more.
                    inner.end(inner.cluster.why_closed());
                    break;
                }
            }
            () = inner.work.notified() => {}
            () = wait_until(wake) => {}
            Some(_) = lookups.join_next() => {}
            () = inner.closing() => break,
        }
    }
    // Nothing may be connected to behind the connections' end.
    lookups.shutdown().await;
    let ends = async {
        while !inner.lock().nodes.is_empty() {
            inner.work.notified().await;
        }
    };
    // What does not end by itself in time loses its connection.
    let _ = timeout(PARTING, ends).await;
    inner.cluster.close_role(inner.id);
}

/// Opens the connection that a partition will be fetched by while its position is looked up by another one.
async fn prepare(inner: Arc<ConsumerInner>, leader: BrokerId) {
    // The fetch loop tries again.
    let _ = inner.cluster.broker(leader, Purpose::Fetch(inner.id)).await;
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Follows the cluster, and finds what is to be looked up; `tells` of partitions that are not there.
fn survey(inner: &Arc<ConsumerInner>, topology: &Topology, tells: bool) -> Lookups {
    let now = Instant::now();
    let mut work = Lookups::default();
    let mut nodes = FetchNodes::default();
    let mut recreated = Vec::new();
    let mut errors = Vec::new();
    let mut state = inner.lock();
    if state.is_closed {
        return work;
    }
    for (index, partition) in state.all() {
        match follow(partition, topology) {
            Known::Followed => {}
            Known::Recreated => {
                recreated.push(index);
                continue;
            }
            Known::Missing(count) if tells => {
                let name = partition.name.clone();
                errors.extend(missing(partition, count).map(|error| (name, error)));
            }
            Known::Missing(_) => {}
        }
        nodes.count(partition, now);
        if partition.leader().is_none() {
            work.lost.insert(partition.name.name().clone());
        }
        // Its replica's loop then ends; the leader's must be there.
        let back = partition.replica_until().filter(|until| *until > now);
        work.wake = work.wake.into_iter().chain(back).min();
        let Some(need) = partition.need(now) else {
            if partition.is_waiting(now) {
                work.wake = work.wake.into_iter().chain(partition.not_before()).min();
            }
            continue;
        };
        let sought = Sought {
            name: partition.name.clone(),
            version: partition.version,
            leader_epoch: partition.leader_epoch(),
        };
        match (need, partition.leader()) {
            (Need::Committed, _) => work.committed.push(sought),
            (Need::Offset(start), Some(leader)) => {
                work.offsets
                    .entry(leader)
                    .or_default()
                    .push((sought, start));
            }
            (Need::EndOf { position }, Some(leader)) => {
                work.ends
                    .entry(leader)
                    .or_default()
                    .push((sought, position));
            }
            (_, None) => continue,
        }
        work.leaders.extend(partition.leader());
        partition.ask();
    }
    let mut wakes = nodes.tell(inner, &mut state);
    for (name, error) in errors {
        wakes = wakes.and(state.tell(Some(&name), error));
    }
    for index in recreated {
        // With its new position it has its turn in the next survey.
        let is_reset = reset::recreated(inner, &mut state, index).and(Wakes::keeper());
        wakes = wakes.and(is_reset);
    }
    drop(state);
    inner.wake(wakes);
    work
}

fn start(inner: &Arc<ConsumerInner>, work: Lookups, lookups: &mut JoinSet<()>) {
    if !work.committed.is_empty() {
        lookups.spawn(committed::find(inner.clone(), work.committed));
    }
    for (broker, sought) in work.offsets {
        lookups.spawn(find_offsets(inner.clone(), broker, sought));
    }
    for (broker, sought) in work.ends {
        lookups.spawn(ends::find(inner.clone(), broker, sought));
    }
}

/// What a lookup's end has led to: the application may have to be told of an error.
type Applied = (Option<Error>, Wakes);

/// A found or failed lookup, applied only if nothing has voided it.
fn apply_found(
    inner: &ConsumerInner,
    sought: &Sought,
    apply: impl FnOnce(&mut SubscriptionState, u32) -> Applied,
) {
    let mut state = inner.lock();
    let Some(index) = state.index(&sought.name) else {
        return;
    };
    let is_wanted = state
        .get(index)
        .is_some_and(|p| p.version == sought.version);
    if !is_wanted {
        return;
    }
    let (error, mut wakes) = apply(&mut state, index);
    if let Some(error) = error {
        wakes = wakes.and(state.tell(Some(&sought.name), error));
    }
    drop(state);
    inner.wake(wakes);
}

/// The lookup failed: it is made again after a while, and the application told where trying again is no help.
fn retry(inner: &ConsumerInner, sought: &Sought, error: Option<(ErrorCode, Error)>) {
    let now = Instant::now();
    apply_found(inner, sought, |state, index| {
        let told = state.get(index).and_then(|partition| {
            partition.failed(now, |failures| {
                inner
                    .settings
                    .retry_backoff
                    .delay(failures, fastrand::f64())
            });
            let (code, error) = error?;
            partition.is_news(code).then_some(error)
        });
        (told, state.look_after(index))
    });
}

/// As `retry`; nothing that the application could do is of help. A code that nobody expects is logged, once for as long as
/// it lasts.
fn puzzle(inner: &ConsumerInner, sought: &Sought, unexpected: Option<ErrorCode>, error: &Error) {
    let is_news = unexpected.is_some_and(|code| {
        let mut state = inner.lock();
        let partition = state.find(&sought.name);
        partition.is_some_and(|partition| partition.is_news(code))
    });
    if is_news {
        warn!(partition = %sought.name, %error, "position not found: asking again");
    }
    retry(inner, sought, None);
}

async fn find_offsets(inner: Arc<ConsumerInner>, broker: BrokerId, sought: Vec<(Sought, Start)>) {
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
    Ok(told(answer.topics, |one| (one.partition, one.code, one)))
}

/// What a leader told of its partitions.
type ByPartition<T> = HashMap<TopicPartition, (ErrorCode, T)>;

/// Answers by partition; `read` tells the number and the code of one.
fn told<A, T>(
    topics: Vec<(TopicName, Vec<A>)>,
    read: impl Fn(A) -> (i32, ErrorCode, T),
) -> ByPartition<T> {
    let mut told = HashMap::new();
    for (topic, answers) in topics {
        for answer in answers {
            let (number, code, answer) = read(answer);
            told.insert(TopicPartition::new(topic.clone(), number), (code, answer));
        }
    }
    told
}

/// Takes in what was told of the partitions sought: `apply` where it is good, another try later where it is not.
fn take_in<Q, T>(
    inner: &ConsumerInner,
    sought: &[(Sought, Q)],
    told: Result<ByPartition<T>>,
    apply: impl Fn(&mut SubscriptionState, u32, &(Sought, Q), &T) -> Applied,
) {
    let mut after = LookupFollowUp::default();
    match told {
        Ok(told) => {
            for question in sought {
                let one = &question.0;
                let found = told.get(&one.name);
                let code = found.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(code, _)| *code);
                match (lookup_verdict(code), found) {
                    (LookupVerdict::Take, Some((_, answer))) => {
                        apply_found(inner, one, |state, index| {
                            apply(state, index, question, answer)
                        });
                        after.is_found = true;
                    }
                    (verdict, _) => after.failed(inner, one, verdict, code),
                }
            }
        }
        Err(error) => after.lost(inner, sought.iter().map(|(one, _)| one), &error),
    }
    after.finish(inner);
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

/// What is to be done after the answers were looked at.
#[must_use = "the answers have consequences for others"]
#[derive(Default)]
struct LookupFollowUp {
    is_found: bool,
    refreshes: bool,
}

impl LookupFollowUp {
    fn failed(
        &mut self,
        inner: &ConsumerInner,
        sought: &Sought,
        verdict: LookupVerdict,
        code: ErrorCode,
    ) {
        let context = format!("looking up the position of {}", sought.name);
        let error = Error::broker(code, None, context);
        if verdict == LookupVerdict::Tell {
            retry(inner, sought, Some((code, error)));
        } else {
            let code = (verdict == LookupVerdict::Log).then_some(code);
            puzzle(inner, sought, code, &error);
        }
        self.refreshes = true;
    }

    /// No answer came.
    fn lost<'a>(
        &mut self,
        inner: &ConsumerInner,
        sought: impl Iterator<Item = &'a Sought>,
        error: &Error,
    ) {
        debug!(%error, "positions not found");
        for one in sought {
            let tell =
                (!error.is_retriable()).then(|| (ErrorCode::UNKNOWN_SERVER_ERROR, error.clone()));
            retry(inner, one, tell);
        }
        self.refreshes = true;
    }

    fn finish(self, inner: &ConsumerInner) {
        if self.refreshes {
            inner.cluster.request_refresh();
        }
        if self.is_found || self.refreshes {
            inner.wake(Wakes::keeper());
        }
    }
}

async fn ask<C: crate::wire::Call>(
    inner: &ConsumerInner,
    broker: BrokerId,
    call: &C,
) -> Result<C::Response> {
    let connection = inner.cluster.broker(broker, Purpose::Control).await?;
    connection.call(call, inner.settings.request_timeout).await
}

#[cfg(test)]
mod tests;
