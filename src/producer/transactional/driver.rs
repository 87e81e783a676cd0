//! The task that carries a producer's transactions out: one call at a time, whoever still waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::super::transactions::Transactions;
use super::calls::Caller;
use crate::error::Error;
use crate::machine::transaction::{Next, Outcome, TxnRequest, TxnVerdict};
use crate::producer::inner::ProducerInner;
use crate::producer::watch;

/// How soon what the end of the last transaction stands in the way of is asked for again; twice as long each time.
const CONCURRENT: Duration = Duration::from_millis(5);

/// Carries transactions out until the producer is closed.
pub(crate) async fn drive(inner: Arc<ProducerInner>) {
    let Some(transactions) = &inner.transactions else {
        return;
    };
    let mut stopped = inner.stopped();
    let driver = Driver {
        caller: Caller::new(&inner, transactions),
        inner: &inner,
        transactions,
        number: 0,
        flushing: None,
        is_quiet: false,
        is_retracted: false,
        failures: 0,
    };
    tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => {}
        () = driver.run() => {}
    }
    // As every sender does, so that none opens a connection behind the last closing.
    inner.cluster.close_role(inner.id);
}

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

struct Driver<'a> {
    inner: &'a Arc<ProducerInner>,
    transactions: &'a Transactions,
    caller: Caller<'a>,
    /// The transaction that the next three are about.
    number: u64,
    /// The wait for the fate of the transaction's records.
    flushing: Option<Step<'a, ()>>,
    /// Whether the fate of each record is known.
    is_quiet: bool,
    /// Whether what was not sent was taken back, of a transaction that has failed.
    is_retracted: bool,
    /// How often the call that is to be made has failed.
    failures: u32,
}

impl<'a> Driver<'a> {
    async fn run(mut self) {
        let caller = self.caller.clone();
        let mut calling: Option<Step<'_, Outcome>> = None;
        let mut pause = Duration::ZERO;
        loop {
            self.prepare();
            if calling.is_none() {
                match self.transactions.next(self.is_quiet) {
                    Next::Nothing => {}
                    Next::Finish => {
                        self.leave();
                        self.transactions.change(|manager| manager.finish());
                        continue;
                    }
                    Next::Call(request) => {
                        if matches!(request, TxnRequest::EndTxn { .. }) {
                            self.leave();
                        }
                        let (caller, pause) = (&caller, std::mem::take(&mut pause));
                        calling = Some(Box::pin(async move {
                            tokio::time::sleep(pause).await;
                            caller.call(&request).await
                        }));
                    }
                }
            }
            tokio::select! {
                outcome = finished(&mut calling) => {
                    pause = self.pause_after(&outcome);
                    self.answered(outcome);
                }
                () = finished(&mut self.flushing) => self.is_quiet = true,
                () = self.transactions.work() => {}
            }
        }
    }

    /// Does what the state of the transaction asks for besides calls.
    fn prepare(&mut self) {
        let (number, is_ending, failure) = self
            .transactions
            .look(|manager| (manager.number(), manager.is_ending(), manager.failure()));
        if number != self.number {
            // One may have begun, and be about to end already, since the driver has looked last.
            self.number = number;
            (self.is_quiet, self.is_retracted, self.flushing) = (false, false, None);
        }
        match failure {
            None => self.is_retracted = false,
            Some(_) if self.is_retracted => {}
            Some(error) => {
                self.is_retracted = true;
                self.retract(&error);
            }
        }
        if !is_ending {
            self.is_quiet = false;
        } else if !self.is_quiet && self.flushing.is_none() {
            let (inner, transactions) = (self.inner, self.transactions);
            self.flushing = Some(Box::pin(async move {
                watch::flush(inner).await;
                transactions.resolved().await;
            }));
        }
    }

    /// Takes back what was not sent.
    fn retract(&self, error: &Arc<Error>) {
        // What is not enrolled yet takes itself back when it comes to be.
        let partitions = self.transactions.look(|manager| manager.partitions());
        for queue in self.inner.enrolled_queues(&partitions) {
            let changed = queue.change(|locked, ended| locked.queue.retract(error, ended));
            if self.inner.carry_out(queue, changed) {
                self.transactions.change(|manager| {
                    manager.spent();
                    Default::default()
                });
            }
        }
    }

    /// The transaction is about to end: what comes next is of another one.
    fn leave(&self) {
        let partitions = self.transactions.look(|manager| manager.partitions());
        for queue in self.inner.enrolled_queues(&partitions) {
            let changed = queue.change(|locked, _| locked.queue.leave());
            self.inner.carry_out(queue, changed);
        }
    }

    /// How long to wait before the next call.
    fn pause_after(&mut self, outcome: &Outcome) -> Duration {
        let (error, is_concurrent) = match outcome {
            Outcome::Done(_) => {
                self.failures = 0;
                return Duration::ZERO;
            }
            // What comes next is another call.
            Outcome::Refused(
                TxnVerdict::Forgotten
                | TxnVerdict::NotOpen
                | TxnVerdict::Fenced
                | TxnVerdict::Fatal,
                _,
            ) => {
                self.failures = 0;
                return Duration::ZERO;
            }
            Outcome::Refused(verdict, error) => (error, *verdict == TxnVerdict::Concurrent),
            Outcome::Unanswered(error) => (error, false),
        };
        self.failures += 1;
        let id = &self.transactions.settings.id;
        debug!(transactional_id = %id, %error, failures = self.failures, "call of a transaction failed");
        let backoff = self.inner.settings.retry_backoff;
        let pause = backoff.delay(self.failures, fastrand::f64());
        if is_concurrent {
            CONCURRENT
                .saturating_mul(1 << (self.failures - 1).min(5))
                .min(pause)
        } else {
            pause
        }
    }

    fn answered(&self, outcome: Outcome) {
        if let Outcome::Done(Some(producer)) = &outcome {
            // Before the next transaction can begin.
            self.inner.identity.set(*producer);
        }
        let told = self.transactions.answered(outcome);
        for queue in self
            .inner
            .enrolled_queues(told.enrolled.as_deref().unwrap_or_default())
        {
            let changed = queue.change(|locked, _| locked.queue.enroll());
            self.inner.carry_out(queue, changed);
        }
        if let Some(error) = told.fatal {
            let id = &self.transactions.settings.id;
            warn!(transactional_id = %id, %error, "transactional producer ends");
            self.inner.abort(&error);
        }
    }
}

/// Waits for a step's end and takes it, for ever where there is none.
async fn finished<T>(step: &mut Option<Step<'_, T>>) -> T {
    let result = match step {
        Some(step) => step.await,
        None => std::future::pending().await,
    };
    *step = None;
    result
}
