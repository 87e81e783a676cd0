//! Collects a runner's settings.

use std::fmt;
use std::time::Duration;

use super::failure::{Failure, by_default};
use super::letters::Naming;
use super::order::Order;
use super::shared::Classify;
use super::state::Bounds;
use crate::config::Backoff;
use crate::consumer::ConsumerBuilder;
use crate::machine::runner::{Attempts, OnFailure, Pace};
use crate::producer::Producer;

/// Collects a runner's settings; made by [`Runner::builder`](super::Runner::builder).
#[must_use]
pub struct RunnerBuilder {
    pub(super) consumer: ConsumerBuilder,
    pub(super) order: Order,
    pub(super) bounds: Bounds,
    pub(super) attempts: Attempts,
    pub(super) classify: Box<Classify>,
    pub(super) dead_letters: Option<Producer>,
    pub(super) naming: Box<Naming>,
    pub(super) pace: Option<Pace>,
    pub(super) patience: Duration,
}

impl RunnerBuilder {
    pub(super) fn new(consumer: ConsumerBuilder) -> Self {
        Self {
            consumer,
            order: Order::Key,
            bounds: Bounds {
                handlers: 64,
                queued: 10_000,
                unfinished: 20_000,
                bytes: usize::MAX,
            },
            attempts: Attempts {
                most: 10,
                backoff: Backoff {
                    base: Duration::from_millis(100),
                    max: Duration::from_secs(10),
                },
            },
            classify: Box::new(by_default),
            dead_letters: None,
            naming: Box::new(|topic| format!("{topic}-dlt")),
            pace: None,
            patience: Duration::from_secs(30),
        }
    }

    /// Which records wait for one another. Default [`Order::Key`].
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The most handlers that are in flight at a time.
    ///
    /// Default 64; at least 1. With [`Order::Partition`] there are no more than partitions.
    pub fn max_handlers(mut self, handlers: usize) -> Self {
        self.bounds.handlers = handlers;
        self
    }

    /// The most records that wait for their turn, those among them that wait to be tried again; while there are so many,
    /// none are read. The memory that they are in counts against the consumer's
    /// [`buffer_memory`](ConsumerBuilder::buffer_memory) besides.
    ///
    /// Default 10000; at least 1. A key whose handlers are slow holds up nobody else before its records are so many.
    pub fn max_queued(mut self, records: usize) -> Self {
        self.bounds.queued = records;
        self
    }

    /// The most records of one partition from its oldest unfinished one on, finished ones among them; while there are so
    /// many, nothing is read of that partition, which [`RunnerMetrics::held_up`](super::RunnerMetrics::held_up) and the
    /// log tell. So many at most are repeated by whoever has the partition next.
    ///
    /// Default 20000, for which there is always room in a commit's metadata; at least 1. Larger values stall nothing: what
    /// does not fit there is repeated after a restart.
    pub fn max_unfinished(mut self, records: usize) -> Self {
        self.bounds.unfinished = records;
        self
    }

    /// How often a handler is called with a record that fails, the first time included. Default 10; at least 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.attempts.most = attempts;
        self
    }

    /// The delay before a handler is called again, twice as long after each further failure up to `most`, a fifth more or
    /// less at random. Meanwhile what is behind the record in its [`Order`] waits, and no handler is taken up by it.
    ///
    /// Default 100 ms and 10 s.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.attempts.backoff = Backoff {
            base: first,
            max: most,
        };
        self
    }

    /// What is done about a failure, by this function of the application's.
    ///
    /// Default [`OnFailure::DeadLetter`] for a record that cannot be decoded ([`Error::Decode`](crate::Error::Decode), also as a cause), and
    /// [`OnFailure::Retry`] for everything else, panics included ([`Panicked`](super::Panicked)).
    ///
    /// ```no_run
    /// # use ottla::runner::{OnFailure, Runner};
    /// # fn example(consumer: ottla::ConsumerBuilder) {
    /// let builder = Runner::builder(consumer).on_failure(|failure| {
    ///     match failure.find::<std::io::Error>() {
    ///         Some(_) => OnFailure::Retry,
    ///         None => OnFailure::DeadLetter,
    ///     }
    /// });
    /// # }
    /// ```
    pub fn on_failure(
        mut self,
        classify: impl Fn(&Failure) -> OnFailure + Send + Sync + 'static,
    ) -> Self {
        self.classify = Box::new(classify);
        self
    }

    /// Sends records whose attempts are used up to a dead-letter topic, by this producer; each counts as finished when its
    /// dead letter is acknowledged, which may be there twice after a crash.
    ///
    /// A dead letter has the record's key, value, headers and time, bytes as they were. Its own headers have Spring's
    /// names: `kafka_dlt-original-topic`, `-partition` (4 bytes, big-endian), `-offset` and `-timestamp` (8 bytes),
    /// `-timestamp-type` and `-consumer-group`, `kafka_dlt-exception-fqcn` (the error's Rust type), `kafka_dlt-exception-message`
    /// (with its causes, at most 8 kB), and `retry_topic-attempts` (4 bytes).
    ///
    /// Default none: then the runner ends with [`Error::Handler`](crate::Error::Handler) rather than lose a record without a word.
    pub fn dead_letters(mut self, producer: &Producer) -> Self {
        self.dead_letters = Some(producer.clone());
        self
    }

    /// What the dead-letter topic of a topic is called. Default `<topic>-dlt`, as Spring names it.
    pub fn dead_letter_topic(
        mut self,
        naming: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.naming = Box::new(naming);
        self
    }

    /// At most so many records in a period. Default no bound.
    /// [`set_pace`](super::RunnerHandle::set_pace) changes it while the runner runs.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// How long handlers in flight are waited for when their partition is to go to another member, within
    /// `max.poll.interval.ms`; what they had not finished by then is repeated there.
    ///
    /// Default 30 s. The group's rebalance waits for as long.
    pub fn rebalance_wait(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }
}

impl fmt::Debug for RunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerBuilder")
            .field("consumer", &self.consumer)
            .field("order", &self.order)
            .field("bounds", &self.bounds)
            .field("attempts", &self.attempts)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
