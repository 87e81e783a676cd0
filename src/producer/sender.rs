//! One broker's sender: keeps its connection, and writes requests of what is drained for them.

use std::sync::Arc;

use tracing::debug;

use super::accumulator::broker_queue::Listed;
use super::accumulator::{BrokerQueue, PartitionQueue};
use super::drain::drain;
use super::inner::ProducerInner;
use super::submit::submit;
use crate::cluster::Purpose;
use crate::config::{Acks, Compression};
use crate::error::{Error, ErrorCode};
use crate::machine::produce::BatchQueue;
use crate::net::Connection;

/// Starts a broker's sender.
pub(crate) fn start(inner: &Arc<ProducerInner>, broker: &Arc<BrokerQueue>) {
    inner.spawn(run(Arc::clone(inner), Arc::clone(broker)));
}

/// Sends until the producer is closed.
async fn run(inner: Arc<ProducerInner>, broker: Arc<BrokerQueue>) {
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
                idled = ended(&mut closed) => lost(&inner, &broker, idled).await,
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

/// The end of the connection that requests are written to, and whether it came because nothing was written.
type Ending = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;

fn ending(connection: Connection) -> Ending {
    Box::pin(async move { connection.closed().await })
}

/// Waits for the end of a connection, and forgets it; for ever when there is none.
async fn ended(closed: &mut Option<Ending>) -> bool {
    let idled = match closed {
        Some(ending) => ending.await,
        None => std::future::pending().await,
    };
    *closed = None;
    idled
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

/// After the connection ended: the broker may have gone, or be no leader any more; newer metadata tells. One that was
/// closed because nothing was sent says nothing of the broker.
///
/// With `acks=0` closing is all that a broker does to say so, and whatever is written to it before is lost.
async fn lost(inner: &ProducerInner, broker: &BrokerQueue, idled: bool) {
    broker.note_connection(None);
    if idled {
        return;
    }
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
    let taken = drain(inner, broker, &topology);
    let any = !taken.is_empty();
    if any {
        submit(inner, broker, connection, &topology, taken);
    }
    any
}
