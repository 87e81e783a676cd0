//! Batches out: which may be sent now, and under which sequence.

use std::time::{Duration, Instant};

use super::{BatchQueue, Body, Detached, Flight, ProducerBatch, Readiness, Stamp, Take, Taken};
use crate::types::{BrokerId, ProducerId, TopicId, after};

/// Batches of one partition that the broker still recognises as duplicates (its own limit).
pub(super) const MAX_FLIGHTS: usize = 5;
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
                || (self.limits.idempotent
                    && (!self.sequences.is_proven() || self.is_far_ahead()))
                || self.flights.iter().any(|f| f.broker != leader)
                || self.is_first_stamped());
        if self.is_any_detached() || waits_for_answers || !self.enrolled {
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
    #[must_use = "the batch must not get lost"]
    pub(crate) fn take(
        &mut self,
        broker: BrokerId,
        topic: TopicId,
        now: Instant,
        hurry: bool,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> Take<T> {
        let take = self.take_unchecked(broker, topic, now, hurry, identity, bump);
        self.check();
        take
    }

    #[inline]
    fn take_unchecked(
        &mut self,
        broker: BrokerId,
        topic: TopicId,
        now: Instant,
        hurry: bool,
        identity: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> Take<T> {
        if self.leader != Some(broker) {
            return Take::Nothing;
        }
        if self.topic != topic {
            // The new topic's log knows no producer.
            self.topic = topic;
            self.sequences.distrust();
            self.term += 1;
        }
        if self.readiness(now, hurry) != Readiness::Now {
            return Take::Nothing;
        }
        // Nothing is left that could tell whether the doubted ones are in the log.
        let is_open_question = self.flights.is_empty()
            && self.doubted() > 0
            && self.next().is_none_or(|next| next.stamp.is_none());
        if is_open_question {
            self.sequences.restart();
        }
        let may_be_written = |batch: &ProducerBatch<T>| batch.knowledge.may_be_written();
        if self.sequences.must_restart() && self.ready.iter().any(may_be_written) {
            return Take::GivenUp(self.give_up_unknown());
        }
        if self.ready.is_empty() {
            self.close();
        }
        let (size, idempotent) = (self.limits.batch_size, self.limits.idempotent);
        let is_too_large = self.next().is_some_and(|next| {
            // In parts a batch that is in the log would not be recognised.
            next.plain_len > size
                && next.share.count > 1
                && !(next.knowledge.may_be_written() && idempotent)
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
            self.sequences.distrust();
        }
        if self.limits.idempotent && !self.identify(identity, bump) {
            return Take::Nothing;
        }
        let Some(mut batch) = self.pop_next() else {
            return Take::Nothing;
        };
        if batch.stamp.is_none() {
            batch.stamp = Some(self.stamp(batch.share.count));
        }
        batch.knowledge = batch.knowledge.after_sending();
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

    /// Whether the batch that stands first has its sequence: then it was sent before.
    fn is_first_stamped(&self) -> bool {
        let first = self.ready.front();
        first.is_some_and(|first| first.stamp.is_some())
    }

    /// Makes sure that the queue has an identity and that its sequences may be continued.
    fn identify(
        &mut self,
        current: ProducerId,
        bump: impl FnOnce(ProducerId) -> Option<ProducerId>,
    ) -> bool {
        let (stamped, flying) = (self.is_first_stamped(), !self.flights.is_empty());
        let identity = self
            .sequences
            .identity_of_next(stamped, flying, current, bump);
        let Some(identity) = identity else {
            return false;
        };
        if self.sequences.begin(identity) {
            self.restart_sequences();
        }
        true
    }

    /// Gives every batch that waits to be sent again its new place from sequence 0 on.
    fn restart_sequences(&mut self) {
        for batch in &mut self.ready {
            let Some(stamp) = &mut batch.stamp else { break };
            (stamp.producer, stamp.base_sequence) = self.sequences.give(batch.share.count);
        }
    }

    fn stamp(&mut self, count: u32) -> Stamp {
        let serial = self.next_serial;
        self.next_serial += 1;
        let (producer, base_sequence) = self.sequences.give(count);
        Stamp {
            producer,
            base_sequence,
            serial,
        }
    }
}
