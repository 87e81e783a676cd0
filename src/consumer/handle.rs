//! Steering a consumer from any task, while it consumes.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::inner::ConsumerInner;
use super::subscription_state::{SubscriptionState, SubscriptionType};
use crate::error::{Error, Result};
use crate::machine::fetch::{Position, Start};
use crate::record::millis;
use crate::types::{TopicName, TopicPartition, is_legal_name};

/// Everything that a [`Consumer`](crate::Consumer) can be asked besides records; cheap to clone, usable from any task.
#[derive(Clone)]
pub struct ConsumerHandle(Arc<ConsumerInner>);

impl ConsumerHandle {
    pub(super) fn new(inner: Arc<ConsumerInner>) -> Self {
        Self(inner)
    }

    pub(super) fn inner(&self) -> &Arc<ConsumerInner> {
        &self.0
    }

    /// Reads the partitions of these topics that the group gives to this member, from now on; without topics the
    /// member leaves the group. Topics that do not exist yet are read once they do. Kafka: `subscribe`,
    /// `unsubscribe`.
    ///
    /// Without a group all partitions of the topics are read, and new ones as they appear: those that are there begin
    /// where `auto.offset.reset` says; those that appear later, or with a topic that was not there, begin with their first
    /// record. Nobody but the log tells of them: an application that wants to know asks for the
    /// [`assignment`](Self::assignment). New partitions are noticed within `metadata.max.age.ms`. Kafka's own clients
    /// refuse that.
    ///
    /// Takes effect in the background: partitions of other topics are revoked first.
    ///
    /// # Errors
    /// [`Error::Config`] when partitions were assigned by hand; [`Error::InvalidTopic`].
    pub fn subscribe(&self, topics: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        let mut names: Vec<TopicName> = Vec::new();
        for topic in topics {
            let name = TopicName::from(topic.as_ref());
            check_name(&name)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.0.lock().choose(SubscriptionType::Subscribed)?;
        self.0.subscribe(names.into());
        Ok(())
    }

    /// Reads exactly these partitions from now on. Those that were read already go on where they are; the others
    /// begin at the group's committed offset, or where `auto.offset.reset` says. Kafka: `assign`.
    ///
    /// # Errors
    /// [`Error::Config`] when the consumer has subscribed to topics; [`Error::InvalidTopic`].
    pub fn assign(&self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<()> {
        let wanted: Vec<_> = partitions.into_iter().collect();
        for partition in &wanted {
            check_name(partition.name())?;
        }
        self.0.lock().choose(SubscriptionType::Assigned)?;
        let kept: HashSet<_> = wanted.iter().collect();
        let mut gone = self.0.assignment();
        gone.retain(|partition| !kept.contains(partition));
        let commits = self.0.settings.auto_commit.is_some();
        if let Some(offsets) = self.0.offsets.as_ref().filter(|_| commits) {
            let (done, inner) = (self.0.committable(Some(&gone)), self.0.clone());
            offsets.commit_in_background(done, move |done| inner.committed(done));
        }
        self.0.remove(&gone);
        self.0.hold(&wanted);
        self.0.begin(&wanted);
        Ok(())
    }

    /// The partitions that are read. Kafka: `assignment`.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.0.assignment()
    }

    /// The topics subscribed to. Kafka: `subscription`.
    #[must_use]
    pub fn subscription(&self) -> Vec<String> {
        let topics = self.0.subscription();
        let topics = topics.borrow();
        topics.iter().map(ToString::to_string).collect()
    }

    /// The partitions of the assignment that are paused. Kafka: `paused`.
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        let mut state = self.0.lock();
        let paused = state.all().filter(|(_, partition)| partition.paused);
        paused
            .map(|(_, partition)| partition.name.clone())
            .collect()
    }

    /// Hands out nothing of this partition until [`resume`](Self::resume). What is buffered is kept. A member that keeps
    /// the partition in a rebalance keeps the pause, whatever the assignor. Kafka: `pause`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn pause(&self, partition: &TopicPartition) -> Result<()> {
        self.0
            .with(partition, |state, name| state.pause(name, true))
    }

    /// Hands out this partition's records again. Kafka: `resume`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn resume(&self, partition: &TopicPartition) -> Result<()> {
        self.0
            .with(partition, |state, name| state.pause(name, false))
    }

    /// Whether the partition is paused.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn is_paused(&self, partition: &TopicPartition) -> Result<bool> {
        self.ask(partition, |partition| partition.paused)
    }

    /// Goes on at this offset: nothing that was fetched before is handed out. Kafka: `seek`.
    ///
    /// An offset that is not in the log is noticed by the next fetch, which then does what `auto.offset.reset` says.
    ///
    /// # Errors
    /// [`Error::NotAssigned`]; [`Error::Config`] for a negative offset.
    pub fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        if offset < 0 {
            return Err(Error::config("offset", format!("{offset} is negative")));
        }
        let position = Position {
            offset,
            leader_epoch: -1,
        };
        self.0
            .with(partition, |state, name| state.seek(name, position))
    }

    /// Goes on at the oldest record that the log has. Kafka: `seekToBeginning`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_beginning(&self, partition: &TopicPartition) -> Result<()> {
        self.reset(partition, Start::Earliest)
    }

    /// Goes on behind the newest record that the log has. Kafka: `seekToEnd`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_end(&self, partition: &TopicPartition) -> Result<()> {
        self.reset(partition, Start::Latest)
    }

    /// Goes on at the first record whose time is not before `time`; without one, at the log's end.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_time(&self, partition: &TopicPartition, time: SystemTime) -> Result<()> {
        // Negative times are words of the protocol for the log's ends.
        self.reset(partition, Start::Timestamp(millis(time).max(0)))
    }

    fn reset(&self, partition: &TopicPartition, start: Start) -> Result<()> {
        self.0
            .with(partition, |state, name| state.reset(name, start))
    }

    /// The offset behind the last record handed out; `None` while it is being looked up. Kafka: `position`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn position(&self, partition: &TopicPartition) -> Result<Option<i64>> {
        self.ask(partition, |partition| {
            partition.position().map(|position| position.offset)
        })
    }

    /// How many offsets lie between the position and the end of what may be read, as of the last fetch; `None`
    /// before the first. Kafka: `currentLag`.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn lag(&self, partition: &TopicPartition) -> Result<Option<u64>> {
        let read_committed = self.0.filter.read_committed;
        self.ask(partition, |partition| partition.lag(read_committed))
    }

    fn ask<T>(
        &self,
        partition: &TopicPartition,
        question: impl FnOnce(&crate::machine::fetch::PartitionState) -> T,
    ) -> Result<T> {
        let mut state = self.0.lock();
        let found = state.find(partition).map(|partition| question(partition));
        found.ok_or_else(|| Error::NotAssigned {
            partition: partition.clone(),
        })
    }

    /// Ends the reading: a pending `recv` or `poll`, and each later one, returns `None`. Kafka: `wakeup`.
    pub fn stop(&self) {
        self.0.apply(SubscriptionState::stop_all);
    }
}

fn check_name(name: &TopicName) -> Result<()> {
    if is_legal_name(name) {
        return Ok(());
    }
    Err(Error::InvalidTopic { name: name.clone() })
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
