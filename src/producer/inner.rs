//! One producer: settings, cluster, identity, counters, and whether it is open; what its handles and tasks have in common.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::batch_result::BatchResult;
use super::broker_queue::BrokerQueue;
use super::buffer_pool::BufferPool;
use super::compress::Compressor;
use super::identity::Identity;
use super::metrics::Counters;
use super::sender;
use super::sizes::Sizes;
use super::topic_map::TopicMap;
use super::topics::{Busy, LockedQueue, PartitionQueue, Plan, TopicQueues};
use super::usage::LastUse;
use super::watch::Deadlines;
use crate::cluster::{Cluster, RoleId, next_role};
use crate::config::{Compression, ProducerSettings};
use crate::error::{Error, Result};
use crate::machine::produce::{Ended, Limits};
use crate::machine::topology::Topic;
use crate::types::{BrokerId, TopicName};

/// Records are accepted.
const OPEN: u8 = 0;
/// No record is accepted; those that were are being delivered.
const CLOSING: u8 = 1;
/// Nothing is sent any more.
const CLOSED: u8 = 2;

/// Keeps what is written often off the cache lines of what every record reads.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// What the handles and tasks of one producer have in common.
pub(crate) struct ProducerInner {
    /// Whose connections its senders use.
    pub(crate) id: RoleId,
    pub(crate) settings: ProducerSettings,
    pub(crate) limits: Limits,
    pub(crate) cluster: Cluster,
    pub(crate) pool: Apart<BufferPool>,
    pub(crate) identity: Apart<Identity>,
    pub(crate) counters: Apart<Counters>,
    pub(crate) deadlines: Apart<Deadlines>,
    pub(crate) busy: Apart<Busy>,
    pub(crate) compressor: Compressor,
    pub(crate) topics: TopicMap,
    pub(crate) sizes: Sizes,
    pub(crate) last_use: LastUse,
    changing_topics: Mutex<()>,
    /// Topics whose queues were made from metadata that may be old by now: the watcher looks again.
    adopted: Mutex<Vec<TopicName>>,
    brokers: Apart<Mutex<HashMap<BrokerId, Arc<BrokerQueue>>>>,
    state: AtomicU8,
    /// Why nothing is sent any more, when that was not asked for.
    failure: Mutex<Option<Error>>,
    stop: watch::Sender<bool>,
    /// Whether records are refused by now, for those who wait to hand one over.
    closing: watch::Sender<bool>,
    runtime: Handle,
    /// A sender was given something to do: the next caller lets it run first.
    pub(crate) yield_due: Apart<AtomicBool>,
}

impl ProducerInner {
    pub(crate) fn new(cluster: Cluster, settings: ProducerSettings, runtime: Handle) -> Self {
        let limits = Limits {
            batch_size: settings.batch_size,
            linger: settings.linger,
            delivery_timeout: settings.delivery_timeout,
            retries: settings.retries,
            compressed: settings.compression != Compression::None,
            idempotent: settings.idempotence,
        };
        Self {
            id: next_role(),
            pool: Apart(BufferPool::new(settings.buffer_memory, settings.batch_size)),
            identity: Apart(Identity::new(settings.idempotence)),
            counters: Apart::default(),
            deadlines: Apart::default(),
            busy: Apart::default(),
            compressor: Compressor::default(),
            topics: TopicMap::default(),
            sizes: Sizes::default(),
            last_use: LastUse::default(),
            changing_topics: Mutex::default(),
            adopted: Mutex::default(),
            brokers: Apart::default(),
            state: AtomicU8::new(OPEN),
            failure: Mutex::default(),
            stop: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            limits,
            settings,
            cluster,
            runtime,
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
        self.pool.close();
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
    pub(crate) fn abort(&self, error: &Error) {
        {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.clone());
        }
        // Before the queues are looked through: one that is added later finds it.
        self.state.store(CLOSED, Ordering::SeqCst);
        self.closing.send_replace(true);
        self.pool.close();
        self.stop.send_replace(true);
        for queue in self.all_queues() {
            self.abort_queue(&queue, error);
        }
    }

    /// Ends one queue's batches; also for those that come back to it after `abort`.
    pub(crate) fn abort_queue(&self, queue: &PartitionQueue, error: &Error) {
        let mut ended = Vec::new();
        queue.lock().queue.abort(error, &mut ended);
        self.end(queue, ended);
    }

    /// After a batch came back to its queue: nobody will send it when the producer is closed.
    pub(crate) fn abort_if_closed(&self, queue: &PartitionQueue) {
        if self.is_closed() {
            self.abort_queue(queue, &self.why_closed());
        }
    }

    /// Resolves the records of batches that have ended, and gives their memory back.
    pub(crate) fn end(&self, queue: &PartitionQueue, ended: Vec<Ended<Arc<BatchResult>>>) {
        for end in ended {
            self.pool.release(end.charged);
            let error = Error::Delivery {
                target: queue.target.clone(),
                possibly_written: end.possibly_written,
                attempts: end.attempts,
                cause: end.error,
            };
            self.counters.failed(end.share.count, &error);
            let share = end.share;
            share
                .result
                .fail(share.first, share.count, share.total, error);
        }
    }

    /// Becomes true when the tasks must end.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn all_queues(&self) -> Vec<Arc<PartitionQueue>> {
        self.topics
            .all()
            .flat_map(|(_, topic)| topic.queues.iter().cloned())
            .collect()
    }

    /// The topic's queues, made when they are missing or too few for `topic`.
    pub(crate) fn adopt(&self, topic: &Topic) -> Arc<TopicQueues> {
        let queues = {
            let _changing = self
                .changing_topics
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let before = self.topics.get(&topic.name);
            if let Some(known) = before
                && known.partitions as usize == topic.partitions.len()
            {
                return Arc::clone(known);
            }
            let limits = Limits {
                batch_size: self.sizes.fit(&topic.name, self.limits.batch_size),
                ..self.limits
            };
            let queues = Arc::new(TopicQueues::new(topic, before.map(|b| &**b), limits));
            self.topics
                .put(Arc::clone(&topic.name), Arc::clone(&queues));
            queues
        };
        self.adopted().push(Arc::clone(&topic.name));
        self.deadlines.wake();
        if self.is_closed() {
            // `abort` may have looked through the queues before these were there.
            for queue in &queues.queues {
                self.abort_queue(queue, &self.why_closed());
            }
        }
        queues
    }

    fn adopted(&self) -> MutexGuard<'_, Vec<TopicName>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics that queues were made for since the last look.
    pub(crate) fn take_adopted(&self) -> Vec<TopicName> {
        std::mem::take(&mut self.adopted())
    }

    fn brokers(&self) -> MutexGuard<'_, HashMap<BrokerId, Arc<BrokerQueue>>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one broker's sender has to look at; its task starts with it.
    pub(crate) fn broker_queue(self: &Arc<Self>, id: BrokerId) -> Arc<BrokerQueue> {
        let mut brokers = self.brokers();
        if let Some(broker) = brokers.get(&id) {
            return Arc::clone(broker);
        }
        let broker = Arc::new(BrokerQueue::new(id, self.settings.max_in_flight));
        brokers.insert(id, Arc::clone(&broker));
        self.runtime
            .spawn(sender::run(Arc::clone(self), Arc::clone(&broker)));
        broker
    }

    /// Runs a task on the producer's runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Why a broker's sender cannot send, where it cannot.
    pub(crate) fn trouble(&self, id: BrokerId) -> Option<Arc<Error>> {
        let broker = self.brokers().get(&id).cloned()?;
        broker.trouble()
    }

    pub(crate) fn broker_queues(&self) -> Vec<Arc<BrokerQueue>> {
        self.brokers().values().cloned().collect()
    }

    /// Whether somebody waits for memory.
    pub(crate) fn in_a_hurry(&self) -> bool {
        self.pool.is_wanted()
    }

    /// Whether a broker's sender is to send what lingers.
    pub(crate) fn rushes(&self, broker: &BrokerQueue) -> bool {
        self.in_a_hurry() && broker.is_idle()
    }

    /// Finds out what a queue's sender must know; with the queue's lock held.
    pub(crate) fn plan(&self, queue: &PartitionQueue, locked: &mut LockedQueue) -> Option<Plan> {
        queue.publish_backlog(locked);
        locked.plan(Instant::now().into_std())
    }

    /// Tells a queue's sender; with no lock held.
    pub(crate) fn carry_out(self: &Arc<Self>, queue: &Arc<PartitionQueue>, plan: Option<Plan>) {
        match plan {
            None => {}
            Some(Plan::Now(broker)) => self.broker_queue(broker).list_now(Arc::clone(queue)),
            Some(Plan::At(broker, at)) => self.broker_queue(broker).list_at(at, Arc::clone(queue)),
            Some(Plan::Lingers(broker, at)) => {
                let broker = self.broker_queue(broker);
                broker.list_lingering(at, Arc::clone(queue));
                // Who began to wait for memory before has not seen it on the list.
                fence(Ordering::SeqCst);
                if self.in_a_hurry() {
                    broker.rush();
                }
            }
        }
    }

    /// Plans anew for a queue that something has happened to.
    pub(crate) fn replan(self: &Arc<Self>, queue: &Arc<PartitionQueue>) {
        let plan = {
            let mut locked = queue.lock();
            self.plan(queue, &mut locked)
        };
        self.carry_out(queue, plan);
    }
}
