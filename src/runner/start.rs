//! Starts a runner: its settings are checked, and its tasks and its consumer are joined.

use std::future::Future;
use std::sync::Arc;

use super::builder::RunnerBuilder;
use super::context::Context;
use super::ending::Runner;
use super::failure::HandlerError;
use super::handle::{RunnerHandle, check_pace};
use super::letters::DeadLetters;
use super::reader::read;
use super::shared::{Conduct, Shared};
use super::state::State;
use super::tracker::Tracker;
use super::worker::work;
use crate::consumer::{ConsumerBuilder, ConsumerRecord};
use crate::error::{Error, Result};
use crate::producer::Producer;
use crate::types::is_legal_name;

/// A broker's default of `offset.metadata.max.bytes`.
const METADATA_BYTES: usize = 4096;

impl Runner {
    /// A runner of what this consumer reads, which belongs to a group and has topics or partitions; `enable.auto.commit`
    /// and `max.poll.records` mean nothing to it.
    pub fn builder(consumer: ConsumerBuilder) -> RunnerBuilder {
        RunnerBuilder::new(consumer)
    }
}

impl RunnerBuilder {
    /// Checks the settings; the group.
    fn check(&self) -> Result<Arc<str>> {
        let reason =
            "a runner commits what is finished: make its consumer by client.consumer(group)";
        let group = self.consumer.group().cloned();
        let group = group.ok_or_else(|| Error::config("group.id", reason))?;
        let bounds = &self.bounds;
        for (setting, value) in [
            ("max_handlers", bounds.handlers),
            ("max_queued", bounds.queued),
            ("max_unfinished", bounds.unfinished),
            ("max_attempts", self.attempts.most as usize),
        ] {
            if value == 0 {
                return Err(Error::config(setting, "it is at least 1"));
            }
        }
        check_pace(self.pace)?;
        Ok(group)
    }

    /// Finds out whether dead letters have somewhere to go, before there are any.
    async fn find_dead_letters(&self, producer: &Producer) -> Result<()> {
        for topic in self.consumer.topics() {
            let name = (self.naming)(topic);
            if !is_legal_name(&name) {
                return Err(Error::InvalidTopic { name: name.into() });
            }
            producer.prepare(&name).await?;
        }
        Ok(())
    }

    /// Checks the settings, and starts: the handler is called with each record, and its record is acknowledged when it
    /// returns `Ok`. Its future runs on the current runtime, as a part of a task that runs others after it.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that is out of bounds, and as [`ConsumerBuilder::build`]. With dead letters, as
    /// [`Producer::prepare`] for a dead-letter topic that is not there: create it first.
    pub async fn start<F, Fut, E>(self, handler: F) -> Result<Runner>
    where
        F: Fn(ConsumerRecord, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<HandlerError> + 'static,
    {
        let group = self.check()?;
        if let Some(producer) = &self.dead_letters {
            self.find_dead_letters(producer).await?;
        }
        let conduct = Conduct {
            group,
            order: self.order,
            attempts: self.attempts,
            classify: self.classify,
            dead_letters: self.dead_letters.map(|producer| DeadLetters {
                producer,
                naming: self.naming,
            }),
            patience: self.patience,
        };
        let mut state = State::new(self.bounds, METADATA_BYTES);
        state.bucket.set(self.pace);
        let handler = Arc::new(handler);
        let runtime = tokio::runtime::Handle::current();
        let start = Box::new(move |shared: Arc<Shared>| {
            runtime.spawn(work(shared, handler.clone()));
        });
        let shared = Shared::new(state, conduct, start);
        let tracker = Arc::new(Tracker::new(&shared));
        let consumer = self.consumer.acknowledged_by(tracker).build().await?;
        shared.lock().bounds.bytes = consumer.buffer_memory();
        let handle = RunnerHandle::new(shared.clone(), consumer.handle());
        let reader = tokio::spawn(read(shared, consumer));
        Ok(Runner::new(handle, reader))
    }
}
