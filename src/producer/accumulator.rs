//! What was accepted and has not ended: memory, the topics' queues, and what each broker's sender has to look at.
//! Kafka: `RecordAccumulator`.

pub(crate) mod broker_queue;
pub(crate) mod busy;
mod changed;
pub(crate) mod deadlines;
pub(crate) mod partition_queue;
mod ready_list;
pub(crate) mod sizes;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod topic_map;
pub(crate) mod topics;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use self::busy::Busy;
use self::deadlines::Deadlines;
use self::sizes::Sizes;
use self::topic_map::TopicMap;
use super::apart::Apart;
use super::buffer_pool::BufferPool;
use crate::config::{Compression, ProducerSettings};
use crate::error::Error;
use crate::machine::produce::Limits;
use crate::machine::topology::Topic;
use crate::types::{BrokerId, TopicName};

pub(crate) use self::broker_queue::BrokerQueue;
pub(crate) use self::changed::{Changed, EndedBatches, Listing};
pub(crate) use self::partition_queue::{Appended, LockedQueue, Opened, PartitionQueue};
pub(crate) use self::topics::TopicQueues;

/// What was accepted and has not ended.
pub(crate) struct RecordAccumulator {
    pub(crate) limits: Limits,
    pub(crate) pool: Apart<BufferPool>,
    pub(crate) topics: TopicMap,
    pub(crate) sizes: Sizes,
    pub(crate) busy: Apart<Busy>,
    pub(crate) deadlines: Apart<Deadlines>,
    changing_topics: Mutex<()>,
    /// Topics whose queues were made from metadata that may be old by now: the watcher looks again.
    adopted: Mutex<Vec<TopicName>>,
    brokers: Apart<Mutex<HashMap<BrokerId, Arc<BrokerQueue>>>>,
    max_in_flight: usize,
}

impl RecordAccumulator {
    pub(crate) fn new(settings: &ProducerSettings) -> Self {
        Self {
            limits: Limits {
                batch_size: settings.batch_size,
                linger: settings.linger,
                delivery_timeout: settings.delivery_timeout,
                retries: settings.retries,
                compressed: settings.compression != Compression::None,
                idempotent: settings.idempotence,
                transactional: settings.transactions.is_some(),
            },
            pool: Apart(BufferPool::new(settings.buffer_memory, settings.batch_size)),
            topics: TopicMap::default(),
            sizes: Sizes::default(),
            busy: Apart::default(),
            deadlines: Apart::default(),
            changing_topics: Mutex::default(),
            adopted: Mutex::default(),
            brokers: Apart::default(),
            max_in_flight: settings.max_in_flight,
        }
    }

    /// The topic's queues, made when they are missing or too few for `topic`; and whether they were made.
    pub(crate) fn adopt(&self, topic: &Topic) -> (Arc<TopicQueues>, bool) {
        let queues = {
            let _changing = self
                .changing_topics
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let before = self.topics.get(&topic.name);
            if let Some(known) = before
                && known.partitions as usize == topic.partitions.len()
            {
                return (Arc::clone(known), false);
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
        (queues, true)
    }

    fn adopted(&self) -> MutexGuard<'_, Vec<TopicName>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics that queues were made for since the last look.
    pub(crate) fn newly_adopted(&self) -> Vec<TopicName> {
        std::mem::take(&mut self.adopted())
    }

    pub(crate) fn all_queues(&self) -> Vec<Arc<PartitionQueue>> {
        self.topics
            .all()
            .flat_map(|(_, topic)| topic.queues.iter().cloned())
            .collect()
    }

    fn brokers(&self) -> MutexGuard<'_, HashMap<BrokerId, Arc<BrokerQueue>>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One broker's side of the accumulator; `on_first` begins to send from it, once.
    pub(crate) fn broker_queue(
        &self,
        id: BrokerId,
        on_first: impl FnOnce(&Arc<BrokerQueue>),
    ) -> Arc<BrokerQueue> {
        let mut brokers = self.brokers();
        if let Some(broker) = brokers.get(&id) {
            return Arc::clone(broker);
        }
        let broker = Arc::new(BrokerQueue::new(id, self.max_in_flight));
        brokers.insert(id, Arc::clone(&broker));
        on_first(&broker);
        broker
    }

    pub(crate) fn broker_queues(&self) -> Vec<Arc<BrokerQueue>> {
        self.brokers().values().cloned().collect()
    }

    /// Why a broker's sender cannot send, where it cannot.
    pub(crate) fn trouble(&self, id: BrokerId) -> Option<Arc<Error>> {
        let broker = self.brokers().get(&id).cloned()?;
        broker.trouble()
    }

    /// Whether a broker's sender is to send what lingers.
    pub(crate) fn rushes(&self, broker: &BrokerQueue) -> bool {
        self.pool.is_wanted() && broker.is_idle()
    }

    /// Somebody begins to wait for memory: what lingers is sent where nothing is on the way.
    pub(crate) fn rush(&self) {
        self.broker_queues().iter().for_each(|broker| broker.rush());
    }
}
