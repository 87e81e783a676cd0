//! The producer's watcher: delivery timeouts, leaders that move, topics that grow, the end of the last handle.

use std::sync::Arc;

use tracing::debug;

use super::accumulator::PartitionQueue;
use super::batch_result::BatchResult;
use super::inner::ProducerInner;
use crate::cluster::refused;
use crate::error::{Error, ErrorCode};
use crate::machine::produce::{BatchQueue, Ended};
use crate::machine::topology::{Topic, Topology};
use crate::timer::wait_until;

/// Fails what is left when the runtime drops the watcher: no handle waits for ever.
pub(crate) struct AbortOnDrop(pub(crate) Arc<ProducerInner>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if !self.0.is_closed() {
            self.0.abort(&Error::RuntimeEnded { what: "producer" });
        }
    }
}

/// Watches until the producer is closed.
pub(crate) async fn run(ends: AbortOnDrop) {
    let inner = &ends.0;
    let mut stopped = inner.stopped();
    let mut topology = inner.cluster.changes();
    let mut last_flush = None;
    loop {
        let timer = wait_until(inner.accumulator.deadlines.next());
        let in_line = wait_until(
            inner
                .accumulator
                .pool
                .expire(tokio::time::Instant::now().into_std()),
        );
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = timer => expire(inner),
            // Callers who have waited for memory for too long are woken at the next turn.
            () = in_line => {}
            () = inner.accumulator.pool.deadline_changed() => {}
            changed = topology.changed() => {
                if changed.is_err() {
                    inner.abort(&inner.cluster.why_closed());
                    return;
                }
                let current = topology.borrow_and_update().clone();
                follow(inner, &current);
                inner.grow_batches();
            }
            () = inner.accumulator.deadlines.changed() => {
                follow_adopted(inner);
                if inner.is_closing() && last_flush.is_none() {
                    last_flush = Some(Box::pin(flush_last(inner)));
                }
            }
            () = finished(&mut last_flush) => {
                debug!("every record of a closed producer has resolved");
                inner.abort(&Error::Closed { what: "producer" });
                return;
            }
        }
    }
}

/// Ends batches whose delivery timeout has passed.
fn expire(inner: &Arc<ProducerInner>) {
    let now = tokio::time::Instant::now().into_std();
    while let Some(queue) = inner.accumulator.deadlines.pop(now) {
        let mut changed = queue.change(|locked, ended| locked.queue.expire(now, ended));
        explain(inner, &queue, changed.ended_mut());
        let next = inner.carry_out(&queue, changed);
        if let Some(at) = next {
            inner.accumulator.deadlines.watch(at, queue);
        }
    }
}

/// Tells of batches that wait to be sent why they cannot be: that is later than what became of their last attempt.
fn explain(inner: &ProducerInner, queue: &PartitionQueue, ended: &mut [Ended<Arc<BatchResult>>]) {
    if ended.is_empty() {
        return;
    }
    let trouble = match queue.look(BatchQueue::leader) {
        Some(leader) => inner.accumulator.trouble(leader),
        None => Some(Arc::new(leaderless(inner, queue))),
    };
    let Some(trouble) = trouble else { return };
    for end in ended.iter_mut().filter(|end| !end.flying) {
        if let Error::DeliveryTimeout { timeout, .. } = *end.error {
            let last = Some(Arc::clone(&trouble));
            end.error = Arc::new(Error::DeliveryTimeout { timeout, last });
        }
    }
}

/// Why a partition has no leader, as far as the cluster's metadata tells.
fn leaderless(inner: &ProducerInner, queue: &PartitionQueue) -> Error {
    let topology = inner.cluster.topology();
    let topic = topology.topics.get(queue.target.name());
    match topic.and_then(|topic| topic.error) {
        Some(code) => refused(queue.target.topic(), code),
        None => Error::broker(
            ErrorCode::LEADER_NOT_AVAILABLE,
            None,
            format!("{} has no leader: its brokers are down", queue.target),
        ),
    }
}

/// Tells every queue its leader, and gives grown topics their new queues.
fn follow(inner: &Arc<ProducerInner>, topology: &Topology) {
    for (name, _) in inner.accumulator.topics.all() {
        if let Some(topic) = topology.topics.get(name) {
            lead(inner, topic);
        }
    }
}

/// The same for topics whose queues were made after the last look: their metadata may have changed meanwhile.
fn follow_adopted(inner: &Arc<ProducerInner>) {
    let adopted = inner.accumulator.newly_adopted();
    if adopted.is_empty() {
        return;
    }
    let topology = inner.cluster.topology();
    let topics = adopted.iter().filter_map(|name| topology.topics.get(name));
    topics.for_each(|topic| lead(inner, topic));
}

/// Tells a topic's queues their leaders.
fn lead(inner: &Arc<ProducerInner>, topic: &Topic) {
    if topic.partitions.is_empty() {
        return;
    }
    let topic_queues = inner.adopt(topic);
    let now = tokio::time::Instant::now().into_std();
    let answers = inner.cluster.topic_answers(&topic.name);
    let mut asks_again = false;
    for (number, queue) in topic_queues.queues.iter().enumerate() {
        let partition = topic.partitions.get(number);
        let leader = partition.and_then(|partition| partition.leader);
        let changed = queue.try_change(|locked, ended| {
            let moved = locked.queue.lead(leader);
            let is_gone = match partition {
                Some(_) => {
                    locked.found();
                    false
                }
                None if !topic.id.is_zero() => true,
                // An answer from a broker that lags behind looks the same.
                None => {
                    asks_again |= moved;
                    locked.is_gone(now, answers)
                }
            };
            if is_gone {
                locked.queue.gone(&Arc::new(gone(topic, queue)), ended);
            } else if !moved {
                return None;
            }
            if moved {
                locked.forget_listings();
                debug!(partition = %queue.target, ?leader, "partition has another leader");
            }
            Some(())
        });
        if let Some(changed) = changed {
            inner.carry_out(queue, changed);
        }
    }
    if asks_again {
        // The answer was complete, as far as the cluster could see: what waits knows only now that it does.
        inner.cluster.refresh_topic(&topic.name);
    }
    topic_queues.leave_leaderless(inner.settings.adaptive);
}

/// Why what waits for a partition is not to be delivered any more.
fn gone(topic: &Topic, queue: &PartitionQueue) -> Error {
    let count = topic.partitions.len();
    Error::broker(
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        None,
        format!(
            "{} is gone, its topic was made anew with {count} partitions",
            queue.target
        ),
    )
    .with_advice("send the record again, for one of those")
}

/// Waits for that flush, for ever when there is none.
async fn finished<F: Future<Output = ()> + Unpin>(last_flush: &mut Option<F>) {
    match last_flush {
        Some(flush) => flush.await,
        None => std::future::pending().await,
    }
}

/// Sends what is buffered without its linger time, and waits until every record accepted so far has resolved.
pub(crate) async fn flush(inner: &Arc<ProducerInner>) {
    await_all(inner, false).await;
}

/// The same for the last time: no record is accepted behind what is waited for. A transaction that is being ended is
/// waited for too.
pub(crate) async fn flush_last(inner: &Arc<ProducerInner>) {
    inner.begin_closing();
    await_all(inner, true).await;
    if let Some(transactions) = &inner.transactions {
        transactions.settled().await;
    }
}

async fn await_all(inner: &Arc<ProducerInner>, last: bool) {
    let mut results = Vec::new();
    let queues = if last {
        inner.accumulator.all_queues()
    } else {
        inner.accumulator.busy.queues()
    };
    for queue in queues {
        let changed = queue.change(|locked, _| {
            if last {
                locked.queue.refuse();
            }
            let before = results.len();
            locked.queue.unfinished(&mut results);
            if results.len() == before {
                inner.accumulator.busy.remove(&queue, locked);
            }
        });
        inner.carry_out(&queue, changed);
    }
    for result in results {
        result.resolved().await;
    }
}
