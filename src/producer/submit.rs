//! A request on its way: its batches stamped and sealed, written, and handed to who takes the answer.

use std::sync::Arc;
use std::time::Instant;

use super::accumulator::{BrokerQueue, PartitionQueue};
use super::answer::{self, Flying};
use super::batch_result::BatchResult;
use super::inner::ProducerInner;
use super::transactions::Transactions;
use crate::config::Acks;
use crate::error::Error;
use crate::machine::produce::{Body, ProducerBatch, Taken};
use crate::machine::topology::Topology;
use crate::net::{Connection, RequestError};
use crate::types::{ProducerId, TopicId};
use crate::wire::{ApiKey, ProducePart, encode_produce, highest_produce};

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// Stamps, seals and sends; the answer goes to [`answer`].
pub(super) fn submit(
    inner: &Arc<ProducerInner>,
    broker: &Arc<BrokerQueue>,
    connection: &Connection,
    topology: &Topology,
    taken: Vec<(Arc<PartitionQueue>, Taken<Arc<BatchResult>>)>,
) {
    let mut parts = Vec::with_capacity(taken.len());
    let mut flying = Vec::with_capacity(taken.len());
    for (queue, Taken { batch, flight }) in taken {
        let (batch, bytes) = seal(batch);
        let topic_id = topic_id(topology, &queue);
        parts.push(ProducePart {
            topic: Arc::clone(queue.target.name()),
            topic_id,
            partition: queue.target.partition(),
            batch: bytes,
        });
        flying.push(Flying {
            queue,
            topic_id,
            flight,
            batch,
        });
    }
    sort_by_topic(&mut parts, &mut flying);
    let transaction = inner.transactions.as_ref().map(Transactions::on_the_wire);
    let limit = highest_produce(&parts, transaction);
    let version = match connection.versions().choose(ApiKey::Produce, 0, limit) {
        Ok(version) => version,
        Err(reason) => {
            let error = Error::Unsupported {
                feature: "Produce",
                address: connection.address().to_string().into(),
                reason: reason.into(),
            };
            broker.sending();
            answer::lost(inner, broker, flying, false, error);
            return;
        }
    };
    let bytes = parts.iter().map(|part| part.batch.len()).sum();
    let acks = match inner.settings.acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    let timeout = inner.settings.request_timeout;
    let body = encode_produce(version, acks, timeout, transaction, &parts);
    drop(parts);
    broker.sending();
    let (inner, broker, sent_at) = (Arc::clone(inner), Arc::clone(broker), Instant::now());
    let ours = connection.clone();
    if inner.settings.acks == Acks::None {
        let on_written = Box::new(move |result: Result<(), _>| match result {
            Ok(()) => {
                inner.counters.request(broker.id, bytes, None);
                answer::written(&inner, &broker, flying);
            }
            Err(failed) => answer::unsent(&inner, &broker, flying, failed),
        });
        connection.submit_unanswered(ApiKey::Produce, version, body, on_written);
    } else {
        let on_answer = Box::new(move |result: Result<_, RequestError>| {
            let answered = result.is_ok().then(|| sent_at.elapsed());
            if result.as_ref().map_or_else(|failed| failed.sent, |_| true) {
                inner.counters.request(broker.id, bytes, answered);
            }
            match answer::arrived(&inner, &broker, flying, version, result) {
                Ok(throttle) => ours.extend(throttle),
                // What follows on a stream that cannot be understood is not to be trusted either.
                Err(malformed) => ours.close(&malformed.to_string()),
            }
        });
        connection.submit(ApiKey::Produce, version, body, timeout, on_answer);
    }
}

/// The id of a queue's topic, zero where the brokers have none.
pub(super) fn topic_id(topology: &Topology, queue: &PartitionQueue) -> TopicId {
    topology
        .topics
        .get(queue.target.name())
        .map(|topic| topic.id)
        .unwrap_or_default()
}

/// The batch's bytes for the wire, which the batch keeps for a retry.
fn seal(mut batch: OurBatch) -> (OurBatch, bytes::Bytes) {
    let (producer, sequence) = batch.stamp.map_or((ProducerId::NONE, -1), |stamp| {
        (stamp.producer, stamp.base_sequence)
    });
    let bytes = match batch.body {
        Body::Raw(closed) | Body::Unsealed(closed) => closed.seal(producer, sequence),
        Body::Sealed(bytes, was, at) if was == producer && at == sequence => bytes,
        Body::Sealed(bytes, ..) => crate::batch::restamp(bytes, producer, sequence),
    };
    batch.body = Body::Sealed(bytes.clone(), producer, sequence);
    (batch, bytes)
}

/// Partitions of one topic must stand together in a request.
fn sort_by_topic(parts: &mut Vec<ProducePart>, flying: &mut Vec<Flying>) {
    if parts.is_sorted_by(|a, b| a.topic <= b.topic) {
        return;
    }
    let mut both: Vec<_> = parts.drain(..).zip(flying.drain(..)).collect();
    both.sort_by(|(a, _), (b, _)| a.topic.cmp(&b.topic));
    for (part, flight) in both {
        parts.push(part);
        flying.push(flight);
    }
}
