//! Accepting a record: its topic, partition and memory, and the place it gets in a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::accumulator::{Appended, Changed, LockedQueue, Opened, PartitionQueue, TopicQueues};
use super::buffer_pool::{Allocator, Turn};
use super::delivery::Delivery;
use super::inner::ProducerInner;
use super::sender::send_at_once;
use super::wait::{NoMemory, Wait};
use crate::batch::{HEADER_LEN, RecordParts, size_bound};
use crate::cluster::refused;
use crate::config::PartitionerChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::produce::waiters::Key;
use crate::machine::produce::{self, Append};
use crate::record::{Data, Record};
use crate::types::{after, is_legal_name};

/// Why a record was not accepted at once.
pub(crate) enum Refused {
    /// The topic's metadata is not here yet.
    UnknownTopic,
    /// The topic has no such partition, as far as is known.
    UnknownPartition(u32),
    /// There is no memory for a record of so many bytes in a batch of that partition.
    Full(Key, usize),
    /// For good.
    Error(Error),
}

impl ProducerInner {
    /// Accepts a record without waiting, or in the turn that one has waited for.
    #[inline]
    pub(crate) fn accept(
        self: &Arc<Self>,
        record: &Record<'_>,
        turn: Option<Turn>,
    ) -> Result<Delivery, Refused> {
        self.check_open().map_err(Refused::Error)?;
        let topic = self
            .accumulator
            .topics
            .get(record.topic())
            .filter(|t| t.partitions > 0 && !t.is_forgotten())
            .ok_or(Refused::UnknownTopic)?;
        let mut parts = RecordParts {
            timestamp: 0,
            key: record.key.as_ref().map(Data::as_slice),
            value: record.value.as_ref().map(Data::as_slice),
            headers: &record.headers,
        };
        let bound = size_bound(&parts);
        self.check_size(bound).map_err(Refused::Error)?;
        let chosen = self.choose(record, topic)?;
        loop {
            let partition = chosen.unwrap_or_else(|| topic.sticky());
            let known = topic
                .queues
                .get(partition as usize)
                .filter(|_| partition < topic.partitions);
            let Some(queue) = known else {
                return Err(Refused::UnknownPartition(partition));
            };
            let mut appending = queue.begin_append();
            parts.timestamp = match record.timestamp {
                Some(timestamp) => timestamp,
                None => appending.time(),
            };
            let sticky = chosen.is_none();
            if let Some(delivery) = appending.try_append(&parts, bound, sticky) {
                return Ok(delivery);
            }
            let allocator = Allocator {
                pool: &self.accumulator.pool,
                turn,
            };
            let on_open = |locked: &mut LockedQueue| self.accumulator.busy.add(queue, locked);
            match appending.append(&parts, bound, sticky, allocator, on_open) {
                Appended::Added(delivery) => return Ok(delivery),
                Appended::Opened(opened) => return Ok(self.opened(topic, queue, sticky, opened)),
                Appended::Not(changed) => match self.carry_out_for_caller(queue, changed) {
                    Append::Full => return Err(Refused::Full(queue.key(), bound)),
                    Append::Closed => return Err(Refused::Error(self.why_closed())),
                    Append::Switch => topic.switch_sticky(partition, self.settings.adaptive),
                    Append::Added(_) => {}
                },
            }
        }
    }

    /// A batch was opened, and perhaps the one before it closed.
    #[cold]
    fn opened(
        self: &Arc<Self>,
        topic: &TopicQueues,
        queue: &Arc<PartitionQueue>,
        sticky: bool,
        opened: Changed<Opened>,
    ) -> Delivery {
        let Opened {
            delivery,
            first,
            leaderless,
        } = self.carry_out_for_caller(queue, opened);
        if let Some(enrolled) = self.enroll(queue, delivery.result()) {
            self.carry_out_for_caller(queue, enrolled);
        }
        let name = queue.target.topic();
        if topic.note_use() {
            // Given up between the look at it and now.
            self.cluster.add_interest(name, true);
        }
        if leaderless {
            if sticky {
                topic.leave_leaderless(self.settings.adaptive);
            }
            self.cluster.refresh_topic(name);
        }
        if first {
            let ends = after(Instant::now().into_std(), self.settings.delivery_timeout);
            self.accumulator.deadlines.watch(ends, Arc::clone(queue));
        }
        delivery
    }

    /// Carries a change out for the caller of an append, who does the sender's work where that is spared a waking; else
    /// the next caller lets the sender run first.
    fn carry_out_for_caller<R>(
        self: &Arc<Self>,
        queue: &Arc<PartitionQueue>,
        mut changed: Changed<R>,
    ) -> R {
        if let Some(broker) = changed.ready_for() {
            if self.settings.linger.is_zero()
                && send_at_once(self, &self.broker_queue(broker), queue)
            {
                changed = changed.without_listing();
            } else {
                self.yield_due.store(true, Ordering::Relaxed);
            }
        }
        self.carry_out(queue, changed)
    }

    pub(crate) fn check_size(&self, bound: usize) -> Result<()> {
        let size = bound + HEADER_LEN;
        let limits = [
            (self.settings.max_request_size, "max.request.size"),
            (self.settings.buffer_memory, "buffer.memory"),
        ];
        match limits.into_iter().find(|(limit, _)| size > *limit) {
            None => Ok(()),
            Some((limit, setting)) => Err(Error::RecordTooLarge {
                size,
                limit,
                setting,
            }),
        }
    }

    /// The record's partition; `None` for the sticky one, which may change while memory is sought.
    #[inline]
    fn choose(&self, record: &Record<'_>, topic: &TopicQueues) -> Result<Option<u32>, Refused> {
        if let Some(partition) = record.partition {
            return match u32::try_from(partition) {
                Ok(partition) => Ok(Some(partition)),
                Err(_) => Err(Refused::Error(Error::Partitioner {
                    topic: record.topic().into(),
                    reason: format!("{partition} is not a partition").into(),
                })),
            };
        }
        match (&self.settings.partitioner, &record.key) {
            (PartitionerChoice::Default, Some(key)) if !self.settings.ignore_keys => Ok(Some(
                produce::partition::of_key(key.as_slice(), topic.partitions),
            )),
            (PartitionerChoice::Default, _) => Ok(None),
            (PartitionerChoice::RoundRobin, _) => Ok(Some(topic.round_robin())),
            (PartitionerChoice::Custom(custom), _) => {
                let asked = AssertUnwindSafe(|| custom.partition(record, topic.partitions));
                let failed = |reason: String| {
                    let topic = record.topic().into();
                    Refused::Error(Error::Partitioner {
                        topic,
                        reason: reason.into(),
                    })
                };
                match catch_unwind(asked) {
                    Err(_) => Err(failed("it panicked".to_owned())),
                    Ok(None) => Ok(Some(topic.round_robin())),
                    Ok(Some(chosen)) if chosen < topic.partitions => Ok(Some(chosen)),
                    Ok(Some(chosen)) => Err(failed(format!(
                        "it chose partition {chosen} of {}",
                        topic.partitions
                    ))),
                }
            }
        }
    }

    /// Accepts a record, waiting for metadata and memory up to `max.block.ms` in all since `began`.
    pub(crate) async fn accept_slowly(
        self: &Arc<Self>,
        record: &Record<'_>,
        mut refused: Refused,
        began: Instant,
    ) -> Result<Delivery> {
        let deadline: Instant = after(began.into_std(), self.settings.max_block).into();
        let mut wait = None::<Wait<'_>>;
        loop {
            match refused {
                Refused::Error(error) => return Err(error),
                Refused::UnknownTopic => {
                    self.learn(record.topic(), deadline).await?;
                }
                Refused::UnknownPartition(partition) => {
                    let wait = self.wait_for_partition(record.topic(), partition, deadline);
                    self.while_open(wait).await?;
                }
                Refused::Full(key, bytes) => {
                    if let Some(wait) = &mut wait {
                        wait.again(key);
                    }
                    let wait = wait.get_or_insert_with(|| self.wait(key, bytes, began));
                    std::future::poll_fn(|cx| wait.poll(cx, || self.accumulator.rush()))
                        .await
                        .map_err(|why| self.without_memory(why, bytes, began))?;
                }
            }
            let turn = wait.as_ref().and_then(Wait::turn);
            match self.accept(record, turn) {
                Ok(delivery) => return Ok(delivery),
                Err(again) => refused = again,
            }
        }
    }

    /// The wait for memory for a record of so many bytes.
    pub(crate) fn wait(&self, key: Key, bytes: usize, began: Instant) -> Wait<'_> {
        let limit = self.settings.max_block;
        Wait::new(&self.accumulator.pool, key, bytes, began.into_std(), limit)
    }

    /// Why a record of so many bytes was not accepted.
    pub(crate) fn without_memory(&self, why: NoMemory, bytes: usize, began: Instant) -> Error {
        match why {
            NoMemory::TimedOut => self.buffer_full(bytes, began.elapsed()),
            NoMemory::Closed => self.why_closed(),
        }
    }

    /// Waits for a topic's metadata, and makes its queues.
    pub(crate) async fn learn(
        self: &Arc<Self>,
        name: &str,
        deadline: Instant,
    ) -> Result<Arc<TopicQueues>> {
        if !is_legal_name(name) {
            return Err(Error::InvalidTopic { name: name.into() });
        }
        let topic = self.while_open(self.cluster.topic(name, deadline)).await?;
        let queues = self.adopt(&topic);
        queues.note_use();
        Ok(queues)
    }

    /// Makes the queues of a topic that the cluster's metadata has by now, without waiting; false, and a look-up has
    /// begun, when it has not.
    pub(crate) fn look_up(self: &Arc<Self>, name: &str) -> Result<bool> {
        if !is_legal_name(name) {
            return Err(Error::InvalidTopic { name: name.into() });
        }
        let topology = self.cluster.topology();
        let topic = topology.topics.get(name);
        if let Some(topic) = topic.filter(|t| t.error.is_none() && !t.partitions.is_empty()) {
            self.adopt(topic);
            return Ok(true);
        }
        self.cluster.add_interest(name, true);
        match topic.and_then(|topic| topic.error) {
            Some(code) if !code.is_retriable() => Err(refused(name, code)),
            _ => Ok(false),
        }
    }

    pub(crate) fn buffer_full(&self, bytes: usize, waited: Duration) -> Error {
        Error::BufferFull {
            size: bytes + HEADER_LEN,
            limit: self.accumulator.pool.limit(),
            waited,
        }
    }

    /// Waits until the topic has grown to have `partition`.
    async fn wait_for_partition(
        self: &Arc<Self>,
        name: &str,
        partition: u32,
        deadline: Instant,
    ) -> Result<()> {
        let began = Instant::now();
        let mut changes = self.cluster.changes();
        let _waiting = self.cluster.wait_for(name, false);
        let mut count = None;
        let waited = tokio::time::timeout_at(deadline, async {
            loop {
                let topology = changes.borrow_and_update().clone();
                let topic = topology.topics.get(name);
                if let Some(topic) = topic.filter(|t| t.partitions.len() > partition as usize) {
                    self.adopt(topic);
                    return Ok(());
                }
                count = topic.map(|topic| topic.partitions.len());
                if changes.changed().await.is_err() {
                    return Err(self.cluster.why_closed());
                }
            }
        });
        waited.await.unwrap_or_else(|_| {
            let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            let told = |count| format!("metadata of topic {name}, which has {count} partitions");
            Err(Error::UnknownTopic {
                what: format!("partition {partition} of topic {name}").into(),
                waited: began.elapsed(),
                last: count.map(|count| Arc::new(Error::broker(code, None, told(count)))),
            })
        })
    }
}
