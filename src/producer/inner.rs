//! One producer: settings, cluster, identity, counters, and whether it is open; what its handles and tasks have in common.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::accumulator::{BrokerQueue, PartitionQueue, RecordAccumulator, TopicQueues};
use super::apart::Apart;
use super::compressor::Compressor;
use super::identity::Identity;
use super::last_use::LastUse;
use super::metrics::Counters;
use super::retry_log::RetryLog;
use super::transactions::Transactions;
use crate::cluster::{Cluster, RoleId, next_role};
use crate::config::ProducerSettings;
use crate::error::{Error, Result};
use crate::machine::topology::Topic;
use crate::types::BrokerId;

/// Records are accepted.
const OPEN: u8 = 0;
/// No record is accepted; those that were are being delivered.
const CLOSING: u8 = 1;
/// Nothing is sent any more.
const CLOSED: u8 = 2;

/// Starts a broker's sender, on the first batch for that broker.
pub(crate) type StartSender = fn(&Arc<ProducerInner>, &Arc<BrokerQueue>);

/// What the handles and tasks of one producer have in common.
pub(crate) struct ProducerInner {
    /// Whose connections its senders use.
    pub(crate) id: RoleId,
    pub(crate) settings: ProducerSettings,
    pub(crate) cluster: Cluster,
    pub(crate) accumulator: RecordAccumulator,
    pub(crate) identity: Apart<Identity>,
    pub(crate) counters: Apart<Counters>,
    pub(crate) compressor: Compressor,
    pub(crate) last_use: LastUse,
    pub(crate) retry_log: RetryLog,
    /// Where every record is sent in a transaction.
    pub(crate) transactions: Option<Transactions>,
    state: AtomicU8,
    /// Why nothing is sent any more, when that was not asked for.
    failure: Mutex<Option<Error>>,
    stop: watch::Sender<bool>,
    /// Whether records are refused by now, for those who wait to hand one over.
    closing: watch::Sender<bool>,
    runtime: Handle,
    start_sender: StartSender,
    /// A sender was given something to do: the next caller lets it run first.
    pub(crate) yield_due: Apart<AtomicBool>,
}

impl ProducerInner {
    pub(crate) fn new(
        cluster: Cluster,
        settings: ProducerSettings,
        runtime: Handle,
        start_sender: StartSender,
    ) -> Self {
        Self {
            id: next_role(),
            accumulator: RecordAccumulator::new(&settings),
            identity: Apart(Identity::new(
                settings.idempotence,
                settings.transactions.is_some(),
            )),
            counters: Apart::default(),
            compressor: Compressor::default(),
            last_use: LastUse::default(),
            retry_log: RetryLog::default(),
            transactions: settings.transactions.clone().map(Transactions::new),
            state: AtomicU8::new(OPEN),
            failure: Mutex::default(),
            stop: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            settings,
            cluster,
            runtime,
            start_sender,
            yield_due: Apart(AtomicBool::new(false)),
        }
    }

    /// Whether records are accepted.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == OPEN {
            Ok(())
        } else {
            Err(self.why_closed())
        }
    }

    #[cold]
    pub(crate) fn why_closed(&self) -> Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure
            .clone()
            .unwrap_or(Error::Closed { what: "producer" })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.load(Ordering::Acquire) != OPEN
    }

    /// Accepts no more records.
    pub(crate) fn begin_closing(&self) {
        let _ = self
            .state
            .compare_exchange(OPEN, CLOSING, Ordering::AcqRel, Ordering::Acquire);
        self.closing.send_replace(true);
        self.accumulator.pool.close();
    }

    /// Waits for what a record needs, but no longer than records are accepted.
    pub(crate) async fn while_open<T>(&self, wait: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => Err(self.why_closed()),
            result = wait => result,
        }
    }

    /// Ends everything that has not ended yet with `error`, and the tasks.
    pub(crate) fn abort(self: &Arc<Self>, error: &Error) {
        {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.clone());
        }
        // Before the queues are looked through: one that is added later finds it.
        self.state.store(CLOSED, Ordering::SeqCst);
        self.closing.send_replace(true);
        self.accumulator.pool.close();
        self.stop.send_replace(true);
        if let Some(transactions) = &self.transactions {
            transactions.end_for_good(Arc::new(error.clone()));
        }
        for queue in self.accumulator.all_queues() {
            self.abort_queue(&queue, error);
        }
    }

    /// Counts records that failed, and with them the transaction that they are part of.
    pub(crate) fn failed(&self, records: u32, error: &Error) {
        self.counters.failed(records, error);
        if let Some(transactions) = &self.transactions {
            transactions.fail(error);
        }
    }

    /// Ends one queue's batches; also for those that come back to it after `abort`.
    pub(crate) fn abort_queue(self: &Arc<Self>, queue: &Arc<PartitionQueue>, error: &Error) {
        let changed = queue.change(|locked, ended| locked.queue.abort(error, ended));
        self.carry_out(queue, changed);
    }

    /// After a batch came back to its queue: nobody will send it when the producer is closed.
    pub(crate) fn abort_if_closed(self: &Arc<Self>, queue: &Arc<PartitionQueue>) {
        if self.is_closed() {
            self.abort_queue(queue, &self.why_closed());
        }
    }

    /// Becomes true when the tasks must end.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// The topic's queues, made when they are missing or too few for `topic`.
    pub(crate) fn adopt(self: &Arc<Self>, topic: &Topic) -> Arc<TopicQueues> {
        let (queues, made) = self.accumulator.adopt(topic);
        if made && self.is_closed() {
            // `abort` may have looked through the queues before these were there.
            for queue in &queues.queues {
                self.abort_queue(queue, &self.why_closed());
            }
        }
        queues
    }

    /// One broker's side of the accumulator; its sender's task starts with it.
    pub(crate) fn broker_queue(self: &Arc<Self>, id: BrokerId) -> Arc<BrokerQueue> {
        self.accumulator
            .broker_queue(id, |broker| (self.start_sender)(self, broker))
    }

    /// Runs a task on the producer's runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }
}
