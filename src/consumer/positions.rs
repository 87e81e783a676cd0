//! Keeps each partition's leader and position: follows the cluster, looks up what is missing, starts fetch loops.

mod committed;
mod ends;
mod follow;
mod leaders;
mod listed;
mod refused;
mod sought;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::inner::ConsumerInner;
use super::reset;
use super::subscription_state::Wakes;
use crate::cluster::Purpose;
use crate::error::Error;
use crate::machine::fetch::{Need, Position, Refusals, Start, WholeTopics};
use crate::machine::topology::Topology;
use crate::timer::wait_until;
use crate::types::{BrokerId, TopicName};
use follow::{FetchNodes, Known, Search, follow, missing};
use sought::Sought;

/// How long the fetch loops may take to end their sessions.
const PARTING: Duration = Duration::from_secs(1);
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
    let mut wakes = nodes.start_and_wake(inner, &mut state);
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
        lookups.spawn(listed::find(inner.clone(), broker, sought));
    }
    for (broker, sought) in work.ends {
        lookups.spawn(ends::find(inner.clone(), broker, sought));
    }
}

#[cfg(test)]
mod tests;
