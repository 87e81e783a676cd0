//! Batches out: which may be sent now, and under which sequence.

use std::time::{Duration, Instant};

use super::{BatchQueue, Body, Detached, Flight, ProducerBatch, Readiness, Stamp, Take, Taken};
use crate::machine::produce::sequence::advance;
use crate::types::{BrokerId, ProducerId, TopicId, after};

/// Batches of one partition that the broker still recognises as duplicates (its own limit).
const MAX_FLIGHTS: usize = 5;
/// After so long without a batch a broker may have forgotten the producer (its `producer.id.expiration.ms`).
const FORGETFUL: Duration = Duration::from_secs(60);

impl<T: Clone> BatchQueue<T> {
    /// Whether there is something to send; `hurry` does not wait for linger times.
    pub(crate) fn readiness(&self, now: Instant, hurry: bool) -> Readiness {
        let Some(leader) = self.leader else {
            return Readiness::No;
        };
        let waits_for_answers = !self.flights.is_empty()
            && (self.flights.len() >= MAX_FLIGHTS
                || self.restamp
                || (self.limits.idempotent && (!self.proven || self.is_far_ahead()))
                || self.flights.iter().any(|f| f.broker != leader)
                || match self.ready.front() {
                    Some(front) => front.stamp.is_some() || self.gap.is_some(),
                    None => self.gap.is_some(),
                });
        if self.is_any_detached() || waits_for_answers {
            return Readiness::No;
        }
        if let Some(until) = self.backoff_until.filter(|until| *until > now) {
            return Readiness::At(until);
        }
        if !self.ready.is_empty() {
            return Readiness::Now;
        }
        match &self.open {
            None => Readiness::No,
            Some(_) if hurry => Readiness::Now,
            Some(open) => {
                let end = after(open.opened, self.limits.linger);
                if end <= now {
                    Readiness::Now
                } else {
                    Readiness::Lingers(end)
                }
            }
        }
    }

    /// Whether a new batch would make the broker forget the first one in flight, which it may have written.
    fn is_far_ahead(&self) -> bool {
        let stamps = self.flights.iter().filter_map(|f| f.stamp);
        let first = stamps.map(|stamp| stamp.serial).min();
        first.is_some_and(|first| self.next_serial - first >= MAX_FLIGHTS as u64)
    }

    /// Takes the next batch for `broker`, to go to the topic with the id `topic`. `identity` is the producer's current one; `bump` is asked
    /// for a new one when sequences must restart, and may have none (then nothing is taken).
    pub(crate) fn take(
        &mut self,
        broker: BrokerId,
        topic: TopicId,
        now: Instant,
        hurry: bool,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> Take<T> {
        if self.leader != Some(broker) {
            return Take::Nothing(Readiness::No);
        }
        if self.topic != topic {
            // The new topic's log knows no producer.
            (self.topic, self.proven) = (topic, false);
            self.term += 1;
        }
        match self.readiness(now, hurry) {
            Readiness::Now => {}
            other => return Take::Nothing(other),
        }
        // Nothing is left that could tell whether the doubted ones are in the log.
        let is_open_question = self.flights.is_empty()
            && self.doubted() > 0
            && self.next().is_none_or(|next| next.stamp.is_none());
        self.restamp |= is_open_question;
        if self.restamp && self.ready.iter().any(|batch| batch.unknown) {
            return Take::GivenUp(self.give_up_unknown());
        }
        if self.ready.is_empty() {
            self.close();
        }
        let (size, idempotent) = (self.limits.batch_size, self.limits.idempotent);
        let is_too_large = self.next().is_some_and(|next| {
            // In parts a batch that is in the log would not be recognised.
            next.plain_len > size && next.share.count > 1 && !(next.unknown && idempotent)
        });
        if is_too_large && let Some(batch) = self.pop_next() {
            let number = self.next_flight;
            self.next_flight += 1;
            let detached = Detached::of(&batch, batch.failures);
            self.splitting.push((number, detached));
            return Take::Split(number, batch);
        }
        let raw = self
            .next()
            .is_some_and(|next| matches!(next.body, Body::Raw(_)));
        if raw && let Some(mut batch) = self.pop_next() {
            self.compressions += 1;
            batch.compressing = self.compressions;
            self.compressing = Some(Detached::of(&batch, batch.failures));
            return Take::Compress(batch);
        }
        let quiet = self
            .last_ack
            .is_some_and(|last| after(last, FORGETFUL) <= now);
        if quiet && self.flights.is_empty() {
            self.proven = false;
        }
        if self.limits.idempotent && !self.identify(identity, bump) {
            return Take::Nothing(Readiness::No);
        }
        let Some(mut batch) = self.pop_next() else {
            return Take::Nothing(Readiness::No);
        };
        if batch.stamp.is_none() {
            batch.stamp = Some(self.stamp(batch.share.count));
        }
        let flight = self.next_flight;
        self.next_flight += 1;
        self.flights.push(Flight {
            number: flight,
            broker,
            term: self.term,
            stamp: batch.stamp,
            place: batch.place(),
            opened: batch.opened,
            share: Some(batch.share.clone()),
            sent: now,
            failures: batch.failures,
        });
        Take::Send(Taken { batch, flight })
    }

    fn pop_next(&mut self) -> Option<ProducerBatch<T>> {
        self.ready.remove(self.doubted())
    }

    /// Makes sure that the queue has an identity and that its sequences may be continued.
    fn identify(
        &mut self,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> bool {
        let stamped = self
            .ready
            .front()
            .is_some_and(|front| front.stamp.is_some());
        let current = match self.producer {
            // A lost sequence may be missed by the broker: only a new epoch is sure to be accepted.
            Some(own) if self.restamp || (self.gap.is_some() && !stamped) => {
                let Some(fresh) = bump(own) else { return false };
                fresh
            }
            Some(own) if stamped || !self.flights.is_empty() => own,
            _ => identity,
        };
        if self.producer != Some(current) {
            self.producer = Some(current);
            self.proven = false;
            self.next_sequence = 0;
            self.restart_sequences(current);
        }
        self.gap = if stamped && !self.restamp {
            self.gap
        } else {
            None
        };
        self.restamp = false;
        true
    }

    /// Gives every batch that waits to be sent again its new place from sequence 0 on.
    fn restart_sequences(&mut self, producer: ProducerId) {
        for batch in &mut self.ready {
            let Some(stamp) = &mut batch.stamp else { break };
            stamp.producer = producer;
            stamp.base_sequence = self.next_sequence;
            self.next_sequence = advance(self.next_sequence, batch.share.count);
        }
    }

    fn stamp(&mut self, count: u32) -> Stamp {
        let serial = self.next_serial;
        self.next_serial += 1;
        if !self.limits.idempotent {
            return Stamp {
                producer: ProducerId::NONE,
                base_sequence: -1,
                serial,
            };
        }
        let base_sequence = self.next_sequence;
        self.next_sequence = advance(base_sequence, count);
        Stamp {
            producer: self.producer.unwrap_or(ProducerId::NONE),
            base_sequence,
            serial,
        }
    }
}
