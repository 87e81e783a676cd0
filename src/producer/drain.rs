//! Takes a request's batches out of the accumulator: what is due, made ready on the way. Kafka:
//! `RecordAccumulator.drain`.

use std::sync::Arc;
use std::time::Instant;

use super::accumulator::broker_queue::Listed;
use super::accumulator::{BrokerQueue, Changed, EndedBatches, LockedQueue, PartitionQueue};
use super::batch_result::BatchResult;
use super::compress::{at_once, compress, compress_elsewhere};
use super::end::give_back;
use super::inner::ProducerInner;
use super::split;
use super::submit::topic_id;
use crate::machine::produce::{ProducerBatch, Take, Taken};
use crate::machine::topology::Topology;
use crate::types::{BrokerId, TopicId};

/// What a request costs beside its batches: header, names, counts.
const REQUEST_OVERHEAD: usize = 512;
/// What a batch costs in a request beside its bytes.
const BATCH_OVERHEAD: usize = 64;

/// Takes at most one batch a partition, and no more than one request may hold.
pub(super) fn drain(
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

/// What comes of a batch that came back.
enum Then {
    /// The queue was asked for the next one.
    Asked(Asked),
    /// It had ended meanwhile: its memory is left to give back.
    Late(ProducerBatch<Arc<BatchResult>>),
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
                    None => Then::Asked(visit.ask(inner, locked, ended)),
                    Some(late) => Then::Late(late),
                })
            }
            Take::Compress(batch) => {
                compress_elsewhere(inner, Arc::clone(queue), batch);
                return None;
            }
            Take::Split(number, batch) => {
                split::ahead(inner, queue, number, batch);
                queue.change(|locked, ended| Then::Asked(visit.ask(inner, locked, ended)))
            }
            Take::GivenUp(given_up) => queue.change(|locked, ended| {
                ended.extend(given_up);
                Then::Asked(visit.ask(inner, locked, ended))
            }),
            Take::Nothing => return None,
        };
        match inner.carry_out(queue, changed) {
            Then::Asked(asked) => next = asked?,
            Then::Late(late) => {
                give_back(inner, late);
                return None;
            }
        }
    }
}
