//! Ends: batches whose time is up, and the end of the queue itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{BatchQueue, Ended, ProducerBatch};
use crate::error::Error;
#[cfg(test)]
use crate::types::ProducerId;
use crate::types::{BrokerId, after};

impl<T: Clone> BatchQueue<T> {
    /// Ends what is older than the delivery timeout; tells when to look again, `None` when empty.
    pub(crate) fn expire(&mut self, now: Instant, ended: &mut Vec<Ended<T>>) -> Option<Instant> {
        let limit = self.limits.delivery_timeout;
        let over = |opened: Instant| after(opened, limit) <= now;
        self.end_where(over, Some(now), ended, |last| Error::DeliveryTimeout {
            timeout: limit,
            last,
        });
        let oldest = self
            .flights
            .iter()
            .filter(|f| f.share.is_some())
            .map(|f| f.opened)
            .chain(self.ready.iter().map(|b| b.opened))
            .chain(self.detached().map(|detached| detached.opened))
            .chain(self.open.as_ref().map(|o| o.opened))
            .min();
        self.watched = oldest.is_some();
        self.check();
        oldest.map(|opened| after(opened, limit))
    }

    /// Ends the batches that may be written, which is all that can be said of them once sequences restart.
    pub(super) fn give_up_unknown(&mut self) -> Vec<Ended<T>> {
        let (unknown, kept) = std::mem::take(&mut self.ready)
            .into_iter()
            .partition(|batch| batch.knowledge.may_be_written());
        self.ready = kept;
        let unknown: VecDeque<ProducerBatch<T>> = unknown;
        let cause = || Arc::new(Error::Closed { what: "producer" });
        let ended = unknown.into_iter().map(|batch| Ended {
            error: batch.last_error.unwrap_or_else(cause),
            possibly_written: true,
            attempts: batch.failures,
            charged: batch.charged,
            share: batch.share,
            flying: false,
        });
        ended.collect()
    }

    /// Ends everything: nothing is accepted or sent any more.
    pub(crate) fn abort(&mut self, error: &Error, ended: &mut Vec<Ended<T>>) {
        self.closed = true;
        self.end_where(|_| true, None, ended, |_| error.clone());
        self.check();
    }

    /// The partition is no more: ends what waits to be sent to it, and what will come back to be.
    pub(crate) fn gone(&mut self, error: &Arc<Error>, ended: &mut Vec<Ended<T>>) {
        self.gone = Some(Arc::clone(error));
        self.close();
        self.end_ready(|_| true, ended, |_| Arc::clone(error));
        self.check();
    }

    /// Accepts no more records for now, and ends those that wait, with what will come back to wait; what is in flight is
    /// left to its answer.
    #[cfg(feature = "spill")]
    pub(crate) fn halt(&mut self, error: &Arc<Error>, ended: &mut Vec<Ended<T>>) {
        self.closed = true;
        if let Some(place) = self.end_detached(|_| true, ended, |_| (**error).clone()) {
            self.sequences.lose(place);
        }
        self.gone(error, ended);
    }

    /// Accepts records again after `halt` or `abort`.
    #[cfg(feature = "spill")]
    pub(crate) fn reopen(&mut self) {
        self.closed = false;
        self.gone = None;
        self.check();
    }

    /// Ends what has begun at a time that is `over`; what is in flight is told by `now` how long its broker is silent.
    fn end_where(
        &mut self,
        over: impl Fn(Instant) -> bool,
        now: Option<Instant>,
        ended: &mut Vec<Ended<T>>,
        error: impl Fn(Option<Arc<Error>>) -> Error,
    ) {
        let mut gap = self.end_detached(&over, ended, &error);
        for flight in self.flights.iter_mut().filter(|f| over(f.opened)) {
            let Some(share) = flight.share.take() else {
                continue;
            };
            gap = gap.max(flight.place);
            let silence = now.map(|now| Arc::new(silence(flight.broker, flight.sent, now)));
            ended.push(Ended {
                share,
                error: Arc::new(error(silence)),
                possibly_written: true,
                attempts: flight.failures + 1,
                charged: 0,
                flying: true,
            });
        }
        if let Some(place) = gap {
            self.sequences.lose(place);
        }
        if self.open.as_ref().is_some_and(|open| over(open.opened)) {
            self.close();
        }
        self.end_ready(over, ended, |last| Arc::new(error(last)));
    }

    fn end_ready(
        &mut self,
        over: impl Fn(Instant) -> bool,
        ended: &mut Vec<Ended<T>>,
        error: impl Fn(Option<Arc<Error>>) -> Arc<Error>,
    ) {
        let mut gap = None;
        let mut kept = VecDeque::with_capacity(self.ready.len());
        for batch in self.ready.drain(..) {
            if !over(batch.opened) {
                kept.push_back(batch);
                continue;
            }
            gap = gap.max(batch.place());
            ended.push(Ended {
                error: error(batch.last_error),
                possibly_written: batch.knowledge.may_be_written(),
                attempts: batch.failures,
                charged: batch.charged,
                share: batch.share,
                flying: false,
            });
        }
        self.ready = kept;
        if let Some(place) = gap {
            self.sequences.lose(place);
        }
    }

    /// As after a first acknowledgement.
    #[cfg(test)]
    pub(crate) fn prove(&mut self, producer: ProducerId) {
        self.sequences.prove(producer);
    }

    /// The state of its sequences, and what is known of each batch that waits.
    #[cfg(test)]
    pub(crate) fn states(&self) -> Vec<&'static str> {
        use crate::machine::produce::knowledge::Knowledge as K;
        let known = self.ready.iter().map(|batch| match batch.knowledge {
            K::NotWritten => "NotWritten",
            K::PassedOver => "PassedOver",
            K::MaybeWritten => "MaybeWritten",
            K::Doubted { .. } => "Doubted",
            K::Written => "Written",
        });
        known.chain([self.sequences.name()]).collect()
    }

    /// Accepts no more records.
    pub(crate) fn refuse(&mut self) {
        self.closed = true;
    }

    /// The results of every batch that has not ended, the open one closed first.
    pub(crate) fn unfinished(&mut self, results: &mut Vec<T>) {
        self.close();
        let flying = self.flights.iter().filter_map(|f| f.share.as_ref());
        results.extend(flying.map(|t| t.result.clone()));
        results.extend(
            self.detached()
                .map(|detached| detached.share.result.clone()),
        );
        results.extend(self.ready.iter().map(|b| b.share.result.clone()));
    }
}

/// What is known of a batch in flight when its time is up.
fn silence(broker: BrokerId, sent: Instant, now: Instant) -> Error {
    Error::RequestTimeout {
        address: format!("broker {}", broker.0).into(),
        request: "Produce",
        timeout: now.saturating_duration_since(sent),
    }
}
