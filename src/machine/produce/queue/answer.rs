//! Answers in: acknowledged, to be sent again, split, or lost.

use std::sync::Arc;
use std::time::Instant;

use super::{Answered, BatchQueue, Detached, Flight, ProducerBatch, Stamp};
use crate::error::{Error, ErrorCode};
use crate::machine::produce::knowledge::Knowledge;
use crate::machine::produce::verdict::{Answer, ProduceVerdict, Situation, verdict};

impl<T: Clone> BatchQueue<T> {
    /// Takes the answer for a batch in flight.
    #[must_use = "the batch must not get lost"]
    pub(crate) fn answer(
        &mut self,
        flight: u64,
        batch: ProducerBatch<T>,
        answer: &Answer,
        now: Instant,
        error: impl FnOnce() -> Arc<Error>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        let answered = self.decide(flight, batch, answer, now, error, retry_at);
        self.check();
        answered
    }

    fn decide(
        &mut self,
        flight: u64,
        mut batch: ProducerBatch<T>,
        answer: &Answer,
        now: Instant,
        error: impl FnOnce() -> Arc<Error>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        let head = self.is_head(flight);
        let Some(entry) = self.land(flight) else {
            return Answered::Late { batch };
        };
        let situation = Situation {
            idempotent: self.limits.idempotent,
            transactional: self.limits.transactional,
            head,
            knowledge: batch.knowledge,
        };
        let verdict = verdict(answer, situation);
        match verdict {
            ProduceVerdict::Ack { .. } => {
                let producer = entry.stamp.map(|stamp| stamp.producer);
                let in_term = producer == self.sequences.producer() && entry.term == self.term;
                self.sequences.acked(entry.place, in_term);
                self.last_ack = Some(now);
            }
            // A topic that is made anew knows no producer.
            ProduceVerdict::Retry { refresh: true, .. } if is_gone(answer.code) => {
                self.sequences.distrust();
            }
            _ => {}
        }
        if entry.share.is_none() {
            return Answered::Late { batch };
        }
        if !matches!(verdict, ProduceVerdict::Ack { .. }) {
            batch.last_error = Some(error());
        }
        match verdict {
            ProduceVerdict::Ack {
                base_offset,
                log_append_time,
            } => Answered::Acked {
                batch,
                proved: self.note_written(&entry),
                base_offset,
                log_append_time,
            },
            ProduceVerdict::Retry { refresh, unknown } => {
                if unknown {
                    batch.knowledge = batch.knowledge.after_attempt();
                }
                self.retry(batch, entry.term, refresh, retry_at)
            }
            ProduceVerdict::Doubt => {
                batch.failures += 1;
                // What was sent before an election says nothing of the leader of now.
                batch.knowledge = Knowledge::Doubted { term: entry.term };
                self.put_back(batch);
                Answered::Queued { refresh: false }
            }
            ProduceVerdict::Restamp => {
                self.sequences.restart();
                self.retry(batch, entry.term, false, retry_at)
            }
            ProduceVerdict::Split => {
                self.splitting
                    .push((flight, Detached::of(&batch, batch.failures + 1)));
                Answered::TooLarge { flight, batch }
            }
            ProduceVerdict::Drop(refused) => {
                self.splitting
                    .push((flight, Detached::of(&batch, batch.failures + 1)));
                Answered::Without {
                    flight,
                    batch,
                    refused,
                }
            }
            ProduceVerdict::Fail { unknown, fatal } => {
                batch.failures += 1;
                let possibly_written = batch.knowledge.may_be_written() || unknown;
                match batch.stamp {
                    Some(stamp)
                        if !possibly_written
                            && self.sequences.is_newest(&stamp, batch.share.count) =>
                    {
                        self.sequences.take_back(stamp.base_sequence);
                    }
                    _ => self.lose(&batch),
                }
                Answered::Failed {
                    batch,
                    possibly_written,
                    fatal,
                }
            }
        }
    }

    /// Takes back a batch whose answer will not come; `sent` is false when not one byte was written.
    #[must_use = "the batch must not get lost"]
    pub(crate) fn unanswered(
        &mut self,
        flight: u64,
        mut batch: ProducerBatch<T>,
        sent: bool,
        error: Arc<Error>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        let term = match self.land(flight) {
            Some(entry) if entry.share.is_some() => entry.term,
            _ => return Answered::Late { batch },
        };
        batch.last_error = Some(error);
        if sent {
            batch.knowledge = batch.knowledge.after_attempt();
        }
        let answered = self.retry(batch, term, true, retry_at);
        self.check();
        answered
    }

    /// Notes of every batch before an acknowledged one that it is in the log: a leader that knows the
    /// producer has a later sequence only behind all earlier ones. Takes out those that were doubted. Without sequences
    /// it says nothing of them.
    fn note_written(&mut self, acked: &Flight<T>) -> Vec<ProducerBatch<T>> {
        let (Some(later), Some(share), true) = (acked.stamp, &acked.share, self.limits.idempotent)
        else {
            return Vec::new();
        };
        let later_place = (later.serial, share.first);
        let term = self.term;
        let mut proved = 0;
        for batch in &mut self.ready {
            let is_before = batch.stamp.is_some_and(|own| {
                own.producer == later.producer && batch.place() < Some(later_place)
            });
            if !is_before {
                break;
            }
            // Of a leader in another term it is known only that it knew the producer when it refused the batch.
            if acked.term == term || batch.knowledge.is_doubted_in(acked.term) {
                proved += usize::from(batch.knowledge.is_doubted_in(term));
                batch.knowledge = batch.knowledge.after_later_ack();
            }
        }
        self.ready.drain(..proved).collect()
    }

    /// Puts a batch back that was sent in `term`, unless it was sent often enough.
    fn retry(
        &mut self,
        mut batch: ProducerBatch<T>,
        term: u64,
        refresh: bool,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Answered<T> {
        batch.failures += 1;
        if batch.failures > self.limits.retries && batch.knowledge == Knowledge::Written {
            return Answered::Acked {
                batch,
                proved: Vec::new(),
                base_offset: -1,
                log_append_time: -1,
            };
        }
        let retracted = self.retracted.as_ref();
        let retracted = retracted.filter(|_| !batch.knowledge.may_be_written());
        let ends = self.gone.as_ref().or(retracted);
        if let Some(why) = ends {
            batch.last_error = Some(Arc::clone(why));
        }
        if batch.failures > self.limits.retries || ends.is_some() {
            self.lose(&batch);
            let possibly_written = batch.knowledge.may_be_written();
            return Answered::Failed {
                batch,
                possibly_written,
                fatal: false,
            };
        }
        // The leader of now has refused nothing yet, whatever one before it still says.
        if term == self.term {
            self.backoff_until = Some(retry_at(batch.failures));
        }
        self.put_back(batch);
        Answered::Queued { refresh }
    }

    /// Puts a stamped batch back in its place, and one without a stamp behind all that have one.
    pub(super) fn put_back(&mut self, batch: ProducerBatch<T>) {
        let place = batch.place();
        let is_before = |other: &&ProducerBatch<T>| {
            other.stamp.is_some() && (place.is_none() || other.place() < place)
        };
        let at = self.ready.iter().take_while(is_before).count();
        self.ready.insert(at, batch);
    }

    /// Whether nothing with an earlier sequence is unresolved, but for what is doubted.
    fn is_head(&self, flight: u64) -> bool {
        let serial = |stamp: Option<Stamp>| stamp.map(|s| s.serial);
        let Some(own) = self.flights.iter().find(|f| f.number == flight) else {
            return false;
        };
        let own = serial(own.stamp);
        self.flights.iter().all(|f| serial(f.stamp) >= own)
            && self
                .detached()
                .all(|detached| serial(detached.stamp).is_none_or(|s| Some(s) >= own))
            && self
                .next()
                .and_then(|b| serial(b.stamp))
                .is_none_or(|s| Some(s) >= own)
    }

    fn land(&mut self, flight: u64) -> Option<Flight<T>> {
        let at = self.flights.iter().position(|f| f.number == flight)?;
        Some(self.flights.swap_remove(at))
    }

    /// Notes that a batch is given up although its sequence was spent.
    pub(super) fn lose(&mut self, batch: &ProducerBatch<T>) {
        if let Some(place) = batch.place() {
            self.sequences.lose(place);
        }
    }
}

/// Whether the topic as the producer knew it does not exist (any more).
fn is_gone(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::UNKNOWN_TOPIC_OR_PARTITION | E::UNKNOWN_TOPIC_ID | E::INCONSISTENT_TOPIC_ID
    )
}
