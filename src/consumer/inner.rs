//! What the parts of a consumer have in common: its state with the lock, and who is woken by what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use super::acks::{AckTracker, FinishedOffset, Handling};
use super::offsets::{Commit, Commits, Offsets};
use super::subscription_state::{SubscriptionState, Wakes};
use crate::batch::Spares;
use crate::cluster::{Cluster, RoleId, TopicUser, Use};
use crate::config::{ConsumerSettings, OffsetReset};
use crate::error::{Error, Result};
use crate::machine::fetch::{Filter, Position, Start};
use crate::machine::topology::Topic;
use crate::types::{OffsetAndMetadata, TopicName, TopicPartition};

/// Shared by a consumer, its handles and its tasks.
pub(super) struct ConsumerInner {
    pub(super) id: RoleId,
    pub(super) cluster: Cluster,
    pub(super) settings: Arc<ConsumerSettings>,
    pub(super) filter: Filter,
    /// The application commits what it is handed: it is to be known at once what of the log nobody is handed.
    pub(super) looks_ahead: bool,
    /// The group's, if the consumer has one.
    pub(super) offsets: Option<Offsets>,
    /// Who tells what the application is done with, if that is not said by calling again.
    acks: Option<Arc<dyn AckTracker>>,
    state: Mutex<SubscriptionState>,
    /// Wakes the application's call: records, an error, or the end.
    pub(super) ready: Notify,
    /// Told of each change by which it may be known where everything is read from.
    pub(super) positioned: Notify,
    /// Wakes the keeper of positions.
    pub(super) work: Notify,
    /// Told of each call of the application, and of each that ends without a record.
    pub(super) called: Notify,
    closing: watch::Sender<bool>,
    subscription: watch::Sender<Arc<[TopicName]>>,
}

/// The application's calls so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppCalls {
    pub(super) count: u64,
    /// A call is waiting: the application is alive, and not busy with a record.
    pub(super) is_waiting: bool,
}

impl AppCalls {
    /// The same of an application that goes on calling while handlers are under way: those that end count, and calls only
    /// while there are none. One that never ends is not alive for calling.
    fn of_handlers(self, handling: Handling) -> Self {
        if handling.is_busy {
            return Self {
                count: handling.ended,
                is_waiting: false,
            };
        }
        // Never the number of before, when the last handler has just ended.
        let idle = 1 << 63;
        Self {
            count: idle | self.count.wrapping_add(handling.ended),
            ..self
        }
    }
}

impl ConsumerInner {
    pub(super) fn new(
        id: RoleId,
        cluster: Cluster,
        settings: ConsumerSettings,
        group: Option<Arc<str>>,
        acks: Option<Arc<dyn AckTracker>>,
    ) -> Arc<Self> {
        let filter = Filter {
            read_committed: settings.isolation == crate::config::IsolationLevel::ReadCommitted,
            check_crcs: settings.check_crcs,
            limit: settings.buffer_memory,
            spares: Spares::default(),
        };
        let settings = Arc::new(settings);
        let offsets = group.map(|group| Offsets::new(cluster.clone(), group, id, settings.clone()));
        Arc::new(Self {
            id,
            cluster,
            looks_ahead: offsets.is_some() && settings.auto_commit.is_none(),
            settings,
            filter,
            offsets,
            acks,
            state: Mutex::default(),
            ready: Notify::new(),
            positioned: Notify::new(),
            work: Notify::new(),
            called: Notify::new(),
            closing: watch::Sender::new(false),
            subscription: watch::Sender::new(Arc::default()),
        })
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, SubscriptionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who have something to do by a change; the lock is released.
    pub(super) fn wake(&self, wakes: Wakes) {
        for fetcher in wakes.fetchers {
            fetcher.notify_one();
        }
        if wakes.keeper {
            self.work.notify_one();
        }
        if wakes.caller {
            self.ready.notify_one();
        }
        if wakes.called {
            self.called.notify_waiters();
        }
        // An error ends that waiting, too.
        if wakes.positions || wakes.caller {
            self.positioned.notify_waiters();
        }
    }

    /// Changes the state, and wakes those who have something to do by that.
    pub(super) fn apply(&self, change: impl FnOnce(&mut SubscriptionState) -> Wakes) {
        let wakes = change(&mut self.lock());
        self.wake(wakes);
    }

    /// The group has shared out: what was given up and has not come back is another member's.
    pub(super) fn rest(&self) {
        let subscription = self.subscription.borrow().clone();
        self.apply(|state| state.rest(subscription));
    }

    /// The application wants nothing more: nothing is handed out, and nobody waits for it. What it was handed last
    /// counts as done if `is_done`.
    pub(super) fn part(&self, is_done: bool) {
        self.apply(|state| state.part(is_done));
    }

    /// The application calls: it is done with what it was handed before.
    pub(super) fn enter(&self, state: &mut SubscriptionState) {
        state.enter();
        if state.is_awaited {
            self.called.notify_waiters();
        }
    }

    /// Ends the consumer's tasks; the application's call returns.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
        self.apply(SubscriptionState::close);
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the consumer is closed.
    pub(super) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as `self`.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// The topics subscribed to.
    pub(super) fn subscription(&self) -> watch::Receiver<Arc<[TopicName]>> {
        self.subscription.subscribe()
    }

    /// Reads these topics from now on: the membership, or without a group the keeper of positions, sees to that.
    pub(super) fn subscribe(&self, topics: Arc<[TopicName]>) {
        let is_alone = self.offsets.is_none();
        for topic in topics.iter().filter(|_| is_alone) {
            self.cluster
                .add_interest(topic, self.settings.auto_create_topics);
        }
        self.subscription.send_replace(topics);
        self.wake(Wakes {
            keeper: is_alone,
            ..Wakes::positions()
        });
    }

    /// An error for the next call of the application.
    pub(super) fn fail(&self, error: Error) {
        self.apply(|state| state.tell(None, error));
    }

    /// The error of each call of the application from now on, unless the application has ended it itself.
    pub(super) fn end(&self, error: Error) {
        self.apply(|state| state.end(error));
    }

    /// Adds partitions that are not fetched before `begin`.
    pub(super) fn hold(&self, partitions: &[TopicPartition]) {
        self.lock().hold(partitions);
        if let Some(acks) = &self.acks {
            for partition in partitions {
                let version = self.lock().find(partition).map(|held| held.version);
                acks.hold(partition, version.unwrap_or_default());
            }
        }
        for partition in partitions {
            self.cluster
                .add_interest(partition.topic(), self.settings.auto_create_topics);
        }
    }

    /// Lets partitions be fetched: from where the application has sought to, the group's committed offset, or the
    /// reset policy's offset.
    pub(super) fn begin(&self, partitions: &[TopicPartition]) {
        let start = match self.settings.offset_reset {
            _ if self.offsets.is_some() => None,
            OffsetReset::Earliest => Some(Start::Earliest),
            OffsetReset::Latest => Some(Start::Latest),
            OffsetReset::None => return self.begin_nowhere(partitions),
        };
        self.begin_at(partitions, start);
    }

    /// Lets partitions be fetched: from where the application has sought to, `start`, or the group's committed offset.
    pub(super) fn begin_at(&self, partitions: &[TopicPartition], start: Option<Start>) {
        self.apply(|state| state.begin(partitions, start));
    }

    /// The application must seek in those where it has not.
    fn begin_nowhere(&self, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        let mut wakes = Wakes::keeper();
        for name in partitions {
            let mut is_nowhere = false;
            let changed = state.change(name, |partition, version| {
                is_nowhere = partition.is_held();
                if is_nowhere {
                    partition.stick(version);
                }
                partition.begin(None);
            });
            wakes = wakes.and(changed.unwrap_or_default());
            if is_nowhere {
                let error = Error::NoOffset {
                    partition: name.clone(),
                    reason: "without a group there is no committed one: seek".into(),
                };
                wakes = wakes.and(state.tell(Some(name), error));
            }
        }
        drop(state);
        self.wake(wakes);
    }

    /// Hands out nothing at all, or again.
    pub(super) fn withhold(&self, withheld: bool) {
        self.apply(|state| state.withhold(withheld));
    }

    /// Hands out nothing more of these partitions, and drops what is buffered; their positions stay.
    pub(super) fn stop(&self, partitions: &[TopicPartition]) {
        self.apply(|state| state.stop(partitions));
        if let Some(acks) = &self.acks {
            acks.stop(partitions);
        }
    }

    /// Waits until the application is done with what it was handed of these, or is gone; `false` at the deadline.
    pub(super) async fn settled(
        &self,
        partitions: &[TopicPartition],
        deadline: tokio::time::Instant,
    ) -> bool {
        loop {
            let mut called = std::pin::pin!(self.called.notified());
            called.as_mut().enable();
            let is_settled = {
                let mut state = self.lock();
                let is_settled = state.is_gone || !state.holds_any(partitions);
                state.is_awaited = !is_settled;
                is_settled
            };
            if is_settled {
                break;
            }
            if timeout_at(deadline, called).await.is_err() {
                return false;
            }
        }
        let Some(acks) = self.acks.as_ref().filter(|_| !self.lock().is_gone) else {
            return true;
        };
        timeout_at(deadline, acks.settled(partitions)).await.is_ok()
    }

    /// What the group has committed of a partition that begins.
    pub(super) fn begun(&self, partition: &TopicPartition, committed: &OffsetAndMetadata) {
        if let Some(acks) = &self.acks {
            acks.begin(partition, committed);
        }
    }

    /// A commit was refused.
    pub(super) fn refused(&self, error: &Error) {
        if let Some(acks) = &self.acks {
            acks.refused(error);
        }
    }

    /// Gives partitions up.
    pub(super) fn remove(&self, partitions: &[TopicPartition]) {
        self.apply(|state| state.remove(partitions));
        self.removed(partitions);
    }

    fn removed(&self, partitions: &[TopicPartition]) {
        if let Some(acks) = &self.acks {
            acks.remove(partitions);
        }
    }

    /// The same with partitions that are paused again if they come back with the next assignment.
    pub(super) fn give_up(&self, partitions: &[TopicPartition]) {
        self.apply(|state| state.give_up(partitions));
        self.removed(partitions);
    }

    /// The offsets to commit: behind what the application is done with, where that was not committed last.
    pub(super) fn committable(&self, partitions: Option<&[TopicPartition]>) -> Commits {
        if let Some(acks) = &self.acks {
            let finished = acks.finished(partitions);
            return finished
                .into_iter()
                .map(|one| self.behind_all(one))
                .collect();
        }
        self.positions_of(partitions, |partition| {
            Some(partition.done()).filter(|done| Some(done.offset) != partition.committed())
        })
    }

    /// Behind what follows the last finished record and is handed to nobody, as far as that was seen.
    fn behind_all(&self, finished: FinishedOffset) -> (TopicPartition, Commit) {
        let (partition, topic_id) = (finished.partition, finished.topic_id);
        let mut offset = finished.offset;
        let mut state = self.lock();
        let read = state.find(&partition).filter(|p| p.is_of_topic(topic_id));
        let read = read.filter(|_| finished.is_all);
        if let Some(unseen) = read.and_then(|partition| partition.behind(offset.offset)) {
            offset.offset = unseen.offset;
            offset.leader_epoch = (unseen.leader_epoch >= 0).then_some(unseen.leader_epoch);
        }
        (partition, Commit { offset, topic_id })
    }

    /// The positions: behind what was handed out.
    pub(super) fn positions(&self, partitions: Option<&[TopicPartition]>) -> Commits {
        self.positions_of(partitions, |partition| partition.position())
    }

    fn positions_of(
        &self,
        partitions: Option<&[TopicPartition]>,
        of: impl Fn(&crate::machine::fetch::PartitionState) -> Option<Position>,
    ) -> Commits {
        let mut state = self.lock();
        let mut chosen: Vec<u32> = match partitions {
            Some(partitions) => partitions.iter().filter_map(|p| state.index(p)).collect(),
            None => state.all().map(|(index, _)| index).collect(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        chosen
            .into_iter()
            .filter_map(|index| {
                let partition = state.get(index)?;
                let position = of(partition).filter(|position| position.offset >= 0)?;
                let offset = OffsetAndMetadata {
                    offset: position.offset,
                    leader_epoch: (position.leader_epoch >= 0).then_some(position.leader_epoch),
                    metadata: None,
                };
                let commit = Commit {
                    offset,
                    topic_id: partition.topic_id,
                };
                Some((partition.name.clone(), commit))
            })
            .collect()
    }

    /// These offsets were committed.
    pub(super) fn committed(&self, offsets: &[(TopicPartition, Commit)]) {
        let mut state = self.lock();
        for (name, commit) in offsets {
            let partition = state.find(name);
            if let Some(partition) = partition.filter(|p| p.is_of_topic(commit.topic_id)) {
                partition.set_committed(Some(commit.offset.offset));
            }
        }
        drop(state);
        if let Some(acks) = &self.acks {
            acks.committed(offsets);
        }
    }

    pub(super) fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assigned()
    }

    pub(super) fn calls(&self) -> AppCalls {
        let handling = self.acks.as_ref().map(|acks| acks.handling());
        let state = self.lock();
        let calls = AppCalls {
            count: state.calls,
            is_waiting: state.is_waiting,
        };
        handling.map_or(calls, |handling| calls.of_handlers(handling))
    }

    /// Does something to a partition under the lock, then wakes whoever has something to do by that.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub(super) fn with(
        &self,
        partition: &TopicPartition,
        change: impl FnOnce(&mut SubscriptionState, &TopicPartition) -> Option<Wakes>,
    ) -> Result<()> {
        let wakes = change(&mut self.lock(), partition);
        let wakes = wakes.ok_or_else(|| Error::NotAssigned {
            partition: partition.clone(),
        })?;
        self.wake(wakes);
        Ok(())
    }
}

impl TopicUser for ConsumerInner {
    fn uses(&self, name: &str, _: Option<&Topic>) -> Use {
        let subscription = self.subscription.borrow();
        let is_subscribed = subscription.iter().any(|topic| &**topic == name);
        drop(subscription);
        let state = self.lock();
        if !state.is_closed && (is_subscribed || state.has_topic(name)) {
            Use::Wanted
        } else {
            Use::None
        }
    }
}
