//! Collects a producer's settings and starts it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::{Acks, Compression, PartitionerChoice, ProducerOptions};
use crate::error::{Error, Result};
use crate::producer::{Partitioner, Producer, TransactionalProducer};

/// Collects a producer's settings, by typed setters or by Kafka's names; the last one set holds.
///
/// Starts from what was given to its client. [`build`](Self::build) checks all of them together.
///
/// `P` is what it builds: a [`Producer`], or after [`transactional_id`](ProducerBuilder::transactional_id) a
/// [`TransactionalProducer`].
#[must_use]
pub struct ProducerBuilder<P = Producer> {
    cluster: Cluster,
    options: ProducerOptions,
    builds: PhantomData<fn() -> P>,
}

impl<P> Clone for ProducerBuilder<P> {
    fn clone(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            options: self.options.clone(),
            builds: PhantomData,
        }
    }
}

impl<P> ProducerBuilder<P> {
    fn start(self) -> Result<Producer> {
        let settings = self.options.check(self.cluster.settings())?;
        Producer::start(self.cluster, settings)
    }

    /// The cluster, and the settings once they are checked.
    #[cfg(feature = "spill")]
    pub(crate) fn checked(self) -> Result<(Cluster, crate::config::ProducerSettings)> {
        let settings = self.options.check(self.cluster.settings())?;
        Ok((self.cluster, settings))
    }

    /// Sets one setting by its Kafka name. White space around name and value is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`](crate::Error::UnknownSetting) with the name that was probably meant;
    /// [`Error::Config`](crate::Error::Config) where the value does not parse or is out of bounds, or the setting is
    /// the client's (or another Kafka client's).
    pub fn set(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self> {
        self.options.set(name.as_ref(), value.as_ref())?;
        Ok(self)
    }

    /// How long a batch waits for more records before it is sent.
    ///
    /// Default 5 ms; 0 sends at once. A full batch never waits. Kafka: `linger.ms`.
    pub fn linger(mut self, wait: Duration) -> Self {
        self.options.linger = Some(wait);
        self
    }

    /// The bytes, before compression, at which a batch is sealed; a larger record gets a batch of its own.
    ///
    /// Default 131072 (Java: 16384); 0 to 2147483647, where 0 makes each record a batch; `build` refuses more than
    /// `buffer_memory`. Kafka: `batch.size`.
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.options.batch_size = Some(bytes);
        self
    }

    /// Upper bound, in bytes, of all records that are not yet acknowledged.
    ///
    /// Default 33554432 (32 MiB); at least 68, the smallest batch; `build` refuses less than `batch_size`, and less
    /// than a `max_request_size` that was set. Kafka: `buffer.memory`.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.options.buffer_memory = Some(bytes);
        self
    }

    /// Longest time that sending a record waits for room in the buffer and for its topic's metadata, both together.
    ///
    /// Default 60 s; 0 never waits. Kafka: `max.block.ms`.
    pub fn max_block(mut self, limit: Duration) -> Self {
        self.options.max_block = Some(limit);
        self
    }

    /// How many replicas must have a record before it counts as acknowledged.
    ///
    /// Default [`Acks::All`]; `build` refuses the others with idempotence. Kafka: `acks`.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.options.acks = Some(acks);
        self
    }

    /// Whether each record is written exactly once and in order, retries and broker failures included.
    ///
    /// Default true; needs [`Acks::All`], `retries` of at least 1 and `max_in_flight` of at most 5. Kafka:
    /// `enable.idempotence`.
    pub fn idempotence(mut self, enabled: bool) -> Self {
        self.options.idempotence = Some(enabled);
        self
    }

    /// How often a failed batch is sent again, within `delivery_timeout`.
    ///
    /// Default 2147483647, which is also the most; `build` refuses 0 with idempotence. Rather than this, set
    /// `delivery_timeout`. Kafka: `retries`.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// Delay before a failed batch is sent again; twice as long after each further failure, with jitter.
    ///
    /// Default the client's, 100 ms; `build` refuses more than `retry_backoff_max`. Kafka: `retry.backoff.ms`.
    pub fn retry_backoff(mut self, delay: Duration) -> Self {
        self.options.retry_backoff = Some(delay);
        self
    }

    /// Longest delay before a failed batch is sent again.
    ///
    /// Default the client's, 1 s; `build` refuses less than `retry_backoff`. Kafka: `retry.backoff.max.ms`.
    pub fn retry_backoff_max(mut self, delay: Duration) -> Self {
        self.options.retry_backoff_max = Some(delay);
        self
    }

    /// Longest time from `send` to its outcome, retries included.
    ///
    /// Default 120 s; at most 2147483647 ms; `build` refuses less than `linger + request_timeout`. Kafka:
    /// `delivery.timeout.ms`.
    pub fn delivery_timeout(mut self, limit: Duration) -> Self {
        self.options.delivery_timeout = Some(limit);
        self
    }

    /// Longest wait for a broker's answer, after which the connection is closed and the batch retried.
    ///
    /// Default the client's, 30 s; 1 ms to 2147483647 ms. Kafka: `request.timeout.ms`.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.options.request_timeout = Some(limit);
        self
    }

    /// How many requests may be on the way to one broker at the same time.
    ///
    /// Default 5; at least 1; `build` refuses more than 5 with idempotence. Without idempotence, a retry may change
    /// the order unless this is 1. Kafka: `max.in.flight.requests.per.connection`.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.options.max_in_flight = Some(requests);
        self
    }

    /// The largest request, in bytes, and by that the largest record, before compression.
    ///
    /// Default 1048576 (1 MiB); 68, the smallest batch, to 2147483647. The broker has limits of its own
    /// (`message.max.bytes`, a topic's `max.message.bytes`). Kafka: `max.request.size`.
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.options.max_request_size = Some(bytes);
        self
    }

    /// How batches are compressed, and at which level; replaces a level that was set by its Kafka name.
    ///
    /// Default [`Compression::None`]; levels are 1 to 9 (gzip), 1 to 17 (lz4), -7 to 4 (zstd), `None` for the
    /// codec's own default. Kafka: `compression.type`, `compression.gzip.level` (-1 is the default),
    /// `compression.lz4.level`, `compression.zstd.level`.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.options.set_compression(compression);
        self
    }

    /// Chooses partitions by a partitioner of your own, or a closure; where it returns none, in turn.
    ///
    /// Default: the key's murmur2 hash, as every Java client does; without a key, one partition for a while, then
    /// another. Kafka: `partitioner.class`, `default` or `round_robin`.
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.options.partitioner = Some(PartitionerChoice::Custom(Arc::new(partitioner)));
        self
    }

    /// Takes each partition in turn, whatever the key; replaces `partitioner`.
    ///
    /// Default: by key. Kafka: `partitioner.class`, `round_robin`.
    pub fn round_robin(mut self) -> Self {
        self.options.partitioner = Some(PartitionerChoice::RoundRobin);
        self
    }

    /// Whether the default partitioner treats records with a key as those without.
    ///
    /// Default false. Kafka: `partitioner.ignore.keys`.
    pub fn ignore_keys(mut self, enabled: bool) -> Self {
        self.options.ignore_keys = Some(enabled);
        self
    }

    /// Whether records without a key go more often to partitions whose queue is short.
    ///
    /// Default true. Kafka: `partitioner.adaptive.partitioning.enable`.
    pub fn adaptive_partitioning(mut self, enabled: bool) -> Self {
        self.options.adaptive = Some(enabled);
        self
    }

    /// Forgets what is known of a topic that nothing was sent to for so long; it is looked up again when something is.
    ///
    /// A topic that records wait for is never forgotten. Default 5 min; at least 5 s. Kafka: `metadata.max.idle.ms`.
    pub fn metadata_max_idle(mut self, limit: Duration) -> Self {
        self.options.metadata_max_idle = Some(limit);
        self
    }
}

impl ProducerBuilder {
    pub(crate) fn new(cluster: Cluster, options: ProducerOptions) -> Self {
        Self {
            cluster,
            options,
            builds: PhantomData,
        }
    }

    /// Makes it a producer whose records are sent in transactions of this id, which no other producer may have at the same
    /// time: one that begins with it fences the one before.
    ///
    /// An application that is started again should have the id that it had: what it left open is aborted then. Default
    /// none; not empty, at most 32767 bytes; `build` refuses `acks` other than [`Acks::All`], and `idempotence(false)`.
    /// Kafka: `transactional.id`.
    pub fn transactional_id(
        mut self,
        id: impl Into<String>,
    ) -> ProducerBuilder<TransactionalProducer> {
        self.options.transactional_id = Some(id.into());
        self.transactional()
    }

    /// The same with the id that was set by its Kafka name, as by
    /// [`Client::from_properties`](crate::Client::from_properties).
    pub fn transactional(self) -> ProducerBuilder<TransactionalProducer> {
        ProducerBuilder {
            cluster: self.cluster,
            options: self.options,
            builds: PhantomData,
        }
    }

    /// Checks the settings and starts the producer.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config), naming the setting that is out of bounds or the settings that
    /// conflict.
    pub fn build(self) -> Result<Producer> {
        if self.options.transactional_id.is_some() {
            let reason = "a producer with it sends in transactions: build it by transactional() or transactional_id(id)";
            return Err(Error::config("transactional.id", reason));
        }
        self.start()
    }
}

impl ProducerBuilder<TransactionalProducer> {
    /// How long a transaction may be open: its coordinator aborts it then, and fences the producer.
    ///
    /// Default 60 s; 1 ms to 2147483647 ms; the brokers refuse more than their `transaction.max.timeout.ms` (15 min), which
    /// ends the producer. Kafka: `transaction.timeout.ms`.
    pub fn transaction_timeout(mut self, limit: Duration) -> Self {
        self.options.transaction_timeout = Some(limit);
        self
    }

    /// Checks the settings and starts the producer, which asks the coordinator of its id for an identity in the background.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config), naming the setting that is out of bounds or the settings that
    /// conflict.
    pub fn build(self) -> Result<TransactionalProducer> {
        if self.options.transactional_id.is_none() {
            let reason = "it is not set: set it, or build a producer without transactions";
            return Err(Error::config("transactional.id", reason));
        }
        self.start().map(TransactionalProducer::new)
    }
}
