//! One broker's sender: takes what is ready, has it compressed and sealed, and writes requests.

use std::sync::Arc;
use std::time::Instant;

use tracing::debug;

use super::accumulator::broker_queue::Listed;
use super::accumulator::{BrokerQueue, LockedQueue, PartitionQueue};
use super::answer;
use super::batch_result::BatchResult;
use super::changed::{Changed, EndedBatches};
use super::compress::{at_once, compress, compress_elsewhere};
use super::inner::ProducerInner;
use super::split;
use super::submit::{submit, topic_id};
use crate::cluster::Purpose;
use crate::config::{Acks, Compression};
use crate::error::{Error, ErrorCode};
use crate::machine::produce::{BatchQueue, Take, Taken};
use crate::machine::topology::Topology;
use crate::net::Connection;
use crate::types::{BrokerId, TopicId};

/// What a request costs beside its batches: header, names, counts.
const REQUEST_OVERHEAD: usize = 512;
/// What a batch costs in a request beside its bytes.
const BATCH_OVERHEAD: usize = 64;

/// Sends until the producer is closed.
pub(crate) async fn run(inner: Arc<ProducerInner>, broker: Arc<BrokerQueue>) {
    let mut stopped = inner.stopped();
    let mut closed: Option<Ending> = None;
    loop {
        let step = async {
            let next = advance(&inner, &broker).await;
            if closed.is_none() {
                closed = broker.connection().map(ending);
            }
            tokio::select! {
                biased;
                () = ended(&mut closed) => lost(&inner, &broker).await,
                () = wait(&inner, &broker, next) => {}
            }
        };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            () = step => {}
        }
    }
    broker.note_connection(None);
    // Every sender does, so that none opens one behind the last closing.
    inner.cluster.close_role(inner.id);
}

/// The end of the connection that requests are written to.
type Ending = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn ending(connection: Connection) -> Ending {
    Box::pin(async move { connection.closed().await })
}

/// Waits for the end of a connection, and forgets it; for ever when there is none.
async fn ended(closed: &mut Option<Ending>) {
    match closed {
        Some(ending) => ending.await,
        None => std::future::pending().await,
    }
    *closed = None;
}

/// What the sender waits for.
enum Next {
    /// Something to do.
    Work,
    /// The turn that somebody else has.
    Turn,
}

/// Sends what may be sent now.
async fn advance(inner: &Arc<ProducerInner>, broker: &Arc<BrokerQueue>) -> Next {
    if may_send(inner, broker) {
        match ready_connection(inner, broker).await {
            Ok(connection) => {
                broker.note_trouble(None);
                if let Some(_turn) = broker.turn() {
                    send_due(inner, broker, &connection);
                } else {
                    return Next::Turn;
                }
            }
            Err(error) => recover(inner, broker, error).await,
        }
    }
    Next::Work
}

/// After the connection ended: the broker may have gone, or be no leader any more; newer metadata tells.
///
/// With `acks=0` closing is all that a broker does to say so, and whatever is written to it before is lost.
async fn lost(inner: &ProducerInner, broker: &BrokerQueue) {
    broker.note_connection(None);
    let mut changes = inner.cluster.changes();
    inner.cluster.request_refresh();
    if inner.settings.acks == Acks::None {
        let patience = inner.settings.retry_backoff.max;
        let _ = tokio::time::timeout(patience, changes.changed()).await;
    }
}

/// Whether a request may go out now and there is something to look at.
fn may_send(inner: &ProducerInner, broker: &BrokerQueue) -> bool {
    let now = tokio::time::Instant::now().into_std();
    let rush = inner.accumulator.rushes(broker);
    broker.has_room() && broker.has_due(now, rush) && broker.muted_until(now).is_none()
}

/// Waits until something is listed, answered, or due; not at all when something may be sent now.
async fn wait(inner: &ProducerInner, broker: &BrokerQueue, next: Next) {
    if let Next::Turn = next {
        return broker.woken().await;
    }
    if may_send(inner, broker) {
        return;
    }
    let now = tokio::time::Instant::now().into_std();
    let muted = broker.muted_until(now);
    let next = if broker.has_room() {
        muted.or_else(|| broker.next_time())
    } else {
        None
    };
    match next {
        None => broker.woken().await,
        Some(at) => {
            let _ = tokio::time::timeout_at(at.into(), broker.woken()).await;
        }
    }
}

/// A live connection, once there is an identity to stamp with.
async fn ready_connection(
    inner: &ProducerInner,
    broker: &BrokerQueue,
) -> Result<Connection, Error> {
    if inner.identity.current().is_none() {
        let asking = inner.identity.ensure(&inner.cluster);
        patiently(inner, broker, "a broker, for a producer id", asking).await?;
        // What kept the identity away does not keep the connection away.
        broker.note_trouble(None);
    }
    if let Some(live) = broker.connection() {
        return Ok(live);
    }
    let address = inner.cluster.topology().brokers.get(&broker.id).cloned();
    let server = address.map_or_else(
        || format!("broker {}", broker.id.0),
        |address| format!("broker {} at {address}", broker.id.0),
    );
    let connecting = inner.cluster.broker(broker.id, Purpose::Produce(inner.id));
    let fresh = patiently(inner, broker, &server, connecting).await?;
    broker.note_connection(Some(fresh.clone()));
    Ok(fresh)
}

/// Waits for a server, and tells meanwhile that it is being waited for.
///
/// A broker that is silent may have lost its partitions by now: only newer metadata tells.
async fn patiently<T>(
    inner: &ProducerInner,
    broker: &BrokerQueue,
    server: &str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(answer);
    let patience = inner.settings.retry_backoff.max;
    let began = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(result) => return result,
            Err(_) => {
                let silence = format!("no answer for {:.1?}", began.elapsed());
                let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, silence);
                broker.note_trouble(Some(Arc::new(Error::Connect {
                    address: server.into(),
                    source: Arc::new(silence),
                })));
                inner.cluster.request_refresh();
            }
        }
    }
}

/// After a failure to get ready: asks for newer metadata, and waits before the next try.
async fn recover(inner: &Arc<ProducerInner>, broker: &BrokerQueue, error: Error) {
    if error.broker_code() == Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) {
        inner.abort(&error);
        return;
    }
    debug!(broker = broker.id.0, %error, "cannot send now");
    pass_on(inner, broker);
    broker.note_trouble(Some(Arc::new(error)));
    inner.cluster.request_refresh();
    let backoff = inner.settings.retry_backoff.delay(1, fastrand::f64());
    tokio::time::sleep(backoff).await;
}

/// Leaves queues that another broker leads by now to its sender.
fn pass_on(inner: &Arc<ProducerInner>, broker: &BrokerQueue) {
    let mut sweep = broker.sweep(tokio::time::Instant::now().into_std(), false);
    let due = std::iter::from_fn(|| broker.next_due(&mut sweep));
    let is_ours = |listed: &Listed| listed.queue.look(BatchQueue::leader) == Some(broker.id);
    let (ours, gone): (Vec<_>, Vec<_>) = due.partition(is_ours);
    ours.into_iter()
        .rev()
        .for_each(|listed| broker.put_back(listed));
    for Listed { queue, timer } in gone {
        let changed = queue.change(|locked, _| locked.unlist(timer));
        inner.carry_out(&queue, changed);
    }
}

/// Sends a record from its caller's task, sparing it the sender's waking: for `linger.ms=0`, when its
/// partition was listed for nobody else and nothing is on the way to the broker.
///
/// False when that is for the sender to do; nothing was done then.
pub(crate) fn send_at_once(
    inner: &Arc<ProducerInner>,
    broker: &Arc<BrokerQueue>,
    queue: &Arc<PartitionQueue>,
) -> bool {
    // What is under way batches those that come meanwhile; and compressing is no work for a caller.
    if broker.in_flight() > 0 || inner.settings.compression != Compression::None {
        return false;
    }
    let now = tokio::time::Instant::now().into_std();
    let Some(turn) = broker.try_turn() else {
        return false;
    };
    // Once more: the sender may have had its turn meanwhile.
    if broker.in_flight() > 0 {
        return false;
    }
    let ready = inner.identity.current().and(broker.smooth_connection());
    let Some(connection) = ready.filter(|_| broker.list_alone(now, queue)) else {
        return false;
    };
    send_one(inner, broker, &connection);
    drop(turn);
    broker.wake_for_rest();
    true
}

/// Writes requests until nothing is due or enough are in flight; called by whose turn it is.
fn send_due(inner: &Arc<ProducerInner>, broker: &Arc<BrokerQueue>, connection: &Connection) {
    while broker.has_room() && !connection.is_closed() && send_one(inner, broker, connection) {}
}

/// Writes one request, if there is something to write.
fn send_one(
    inner: &Arc<ProducerInner>,
    broker: &Arc<BrokerQueue>,
    connection: &Connection,
) -> bool {
    let topology = inner.cluster.topology();
    let taken = collect(inner, broker, &topology);
    let any = !taken.is_empty();
    if any {
        submit(inner, broker, connection, &topology, taken);
    }
    any
}

/// Takes at most one batch a partition, and no more than one request may hold.
fn collect(
    inner: &Arc<ProducerInner>,
    broker: &BrokerQueue,
    topology: &Topology,
) -> Vec<(Arc<PartitionQueue>, Taken<Arc<BatchResult>>)> {
    let now = tokio::time::Instant::now().into_std();
    let mut room = inner
        .settings
        .max_request_size
        .saturating_sub(REQUEST_OVERHEAD);
    let mut taken = Vec::new();
    let request = broker.next_request();
    let rush = inner.accumulator.rushes(broker);
    let mut sweep = broker.sweep(now, rush);
    let mut at_once = at_once(inner.settings.compression);
    let least = inner
        .settings
        .batch_size
        .min(inner.settings.max_request_size / 2);
    while let Some(listed) = broker.next_due(&mut sweep) {
        let visit = Visit {
            broker: broker.id,
            topic: topic_id(topology, &listed.queue),
            request,
            now,
            rush,
        };
        // A batch may be larger than all that is left: one record has no other bound than the request's.
        let most = (!taken.is_empty()).then_some(room);
        let Some(asked) = visit.begin(inner, &listed, most) else {
            broker.put_back(listed);
            return taken;
        };
        if let Some(batch) = take(inner, &listed.queue, visit, asked, &mut at_once) {
            room = room.saturating_sub(batch.batch.body.len() + BATCH_OVERHEAD);
            taken.push((listed.queue, batch));
            if room < least {
                break;
            }
        }
    }
    taken
}

/// What a sender knows when it looks at a queue.
#[derive(Clone, Copy)]
struct Visit {
    broker: BrokerId,
    /// The id of the queue's topic.
    topic: TopicId,
    request: u64,
    now: Instant,
    /// Whether to send what lingers.
    rush: bool,
}

/// What a queue gives to be sent, or to be made ready for that; `None` when there is nothing now, or the producer needs
/// an identity first.
type Asked = Option<Take<Arc<BatchResult>>>;

impl Visit {
    /// Takes a listed queue from the list and asks it for its next batch, unless that is larger than `most`: then the
    /// queue is as it was.
    fn begin(
        &self,
        inner: &ProducerInner,
        listed: &Listed,
        most: Option<usize>,
    ) -> Option<Changed<Asked>> {
        listed.queue.try_change(|locked, ended| {
            if most.is_some_and(|most| locked.queue.next_len() > most) {
                return None;
            }
            locked.unlist(listed.timer);
            // It was listed twice: as ready, and by a timer. What follows goes into the next request.
            let again = locked.taken_before(self.request);
            Some(if again {
                None
            } else {
                self.ask(inner, locked, ended)
            })
        })
    }

    /// Asks a queue for its next batch.
    fn ask(
        &self,
        inner: &ProducerInner,
        locked: &mut LockedQueue,
        ended: &mut EndedBatches,
    ) -> Asked {
        loop {
            // Not as it was before the wait for the connection: an epoch that another queue, or this one,
            // has gone on from must not come back.
            let identity = inner.identity.current()?;
            let bump = |own| inner.identity.bump(own);
            let take =
                locked
                    .queue
                    .take(self.broker, self.topic, self.now, self.rush, identity, bump);
            match take {
                Take::GivenUp(all) => ended.extend(all),
                take => return Some(take),
            }
        }
    }
}

/// Takes one queue's next batch, if it may be sent now. `at_once` is how many bytes may still be compressed for the
/// request.
fn take(
    inner: &Arc<ProducerInner>,
    queue: &Arc<PartitionQueue>,
    visit: Visit,
    asked: Changed<Asked>,
    at_once: &mut usize,
) -> Option<Taken<Arc<BatchResult>>> {
    let mut next = inner.carry_out(queue, asked)?;
    loop {
        let changed = match next {
            Take::Send(taken) => return Some(taken),
            Take::Compress(batch) if batch.plain_len < *at_once => {
                *at_once -= batch.plain_len;
                let batch = compress(inner, batch);
                queue.change(|locked, ended| match locked.queue.compressed(batch) {
                    None => Ok(visit.ask(inner, locked, ended)),
                    Some(late) => Err(late),
                })
            }
            Take::Compress(batch) => {
                compress_elsewhere(inner, Arc::clone(queue), batch);
                return None;
            }
            Take::Split(number, batch) => {
                split::ahead(inner, queue, number, batch);
                queue.change(|locked, ended| Ok(visit.ask(inner, locked, ended)))
            }
            Take::GivenUp(given_up) => queue.change(|locked, ended| {
                ended.extend(given_up);
                Ok(visit.ask(inner, locked, ended))
            }),
            Take::Nothing => return None,
        };
        match inner.carry_out(queue, changed) {
            Ok(asked) => next = asked?,
            Err(late) => {
                answer::give_back(inner, late);
                return None;
            }
        }
    }
}
