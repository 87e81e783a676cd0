//! Sends one topic's records from disk, in order, at the producer's full rate; then lets new ones go directly again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::aside::{Reason, SetAside};
use super::entry::Kept;
use super::inner::SpillInner;
use super::log::Read;
use super::verdict::{Replay, of_spilled};
use crate::cluster::is_usable;
use crate::error::{Error, Result};
use crate::producer::Delivery;
use crate::record::Record;
use crate::types::TopicName;

/// While the last records from disk are sent, new ones wait for so long at most.
const HOLD: Duration = Duration::from_secs(1);
/// A store that failed is asked again after so long.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Sends the topic's records until none is on disk, or the producer is closed.
pub(crate) async fn run(inner: Arc<SpillInner>, topic: TopicName, doubtful: u64) {
    let mut task = Task {
        inner,
        topic,
        flying: VecDeque::new(),
        sent_ahead: BTreeSet::new(),
        judged: BTreeMap::new(),
        missing: BTreeMap::new(),
        failed_from: None,
        failures: 0,
        doubtful,
        is_held: false,
    };
    let ended = task.run().await;
    let Task { inner, topic, .. } = task;
    inner.counters.untroubled(&topic);
    match ended {
        Ended::Emptied => info!(%topic, "all spilled records are delivered"),
        Ended::Closed => inner.change(|lanes| lanes.replay_ended(&topic)),
        Ended::Stopped(error) => {
            error!(%topic, %error, "spilled records stay on disk: this producer cannot send them");
            inner.counters.troubled(&topic, error);
            inner.change(|lanes| lanes.replay_ended(&topic));
        }
    }
}

enum Ended {
    /// Nothing is on disk, and nothing new was let through meanwhile.
    Emptied,
    /// The producer is being closed.
    Closed,
    Stopped(Error),
}

/// What came of handing one record over.
enum One {
    Sent,
    SetAside(Reason),
    /// The producer is being closed: it stays on disk.
    Left,
}

/// Records that are not sent, for one reason.
struct Apart {
    /// The number of the first.
    first: u64,
    reason: Reason,
    records: Vec<Kept>,
}

struct Task {
    inner: Arc<SpillInner>,
    topic: TopicName,
    /// What was handed to the producer, by number.
    flying: VecDeque<(u64, Delivery)>,
    /// What was acknowledged behind one that failed: it is not sent again.
    sent_ahead: BTreeSet<u64>,
    /// What is to be set aside when it is read again.
    judged: BTreeMap<u64, Reason>,
    /// Partitions that were waited for and that the topic does not have, and what that was told as.
    missing: BTreeMap<i32, Error>,
    /// The first one that failed.
    failed_from: Option<u64>,
    failures: u32,
    /// What is below may have been written, by a process before this one, and is not sent again.
    doubtful: u64,
    /// New records wait until these are sent.
    is_held: bool,
}

impl Task {
    async fn run(&mut self) -> Ended {
        loop {
            if let Err(error) = self.ready().await {
                return Ended::Stopped(error);
            }
            if self.inner.is_closing() {
                return self.close().await;
            }
            let read = match self.inner.keeper.read(&self.topic).await {
                Ok(read) => read,
                Err(Error::Closed { .. }) => return Ended::Closed,
                Err(error) => {
                    warn!(topic = %self.topic, %error, "spilled records cannot be read");
                    self.inner.counters.troubled(&self.topic, error);
                    self.release();
                    self.pause(AFTER_FAILURE).await;
                    continue;
                }
            };
            let is_last = read.end == read.from;
            let step = self.step(&read).await;
            match step {
                Err(_) if self.inner.is_closing() => return self.close().await,
                Err(error) => return Ended::Stopped(error),
                Ok(false) => {}
                Ok(true) if is_last && self.is_held => {
                    if self.let_through() {
                        return Ended::Emptied;
                    }
                    self.is_held = false;
                }
                Ok(true) if is_last => self.hold().await,
                Ok(true) => {}
            }
        }
    }

    /// Waits until there is a cluster that has the topic: what is read counts as sent, should this process be killed.
    async fn ready(&mut self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let mut changes = inner.cluster.changes();
        while inner.cluster.is_unreachable() && !inner.is_closing() {
            self.release();
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { break },
                () = inner.closing() => {}
            }
        }
        while !inner.is_closing() {
            let known = tokio::select! {
                known = inner.replay.prepare(&self.topic) => known,
                () = inner.closing() => return Ok(()),
            };
            match known {
                Ok(_) => return Ok(()),
                Err(error) if of_spilled(&error, true) == Replay::Stop => return Err(error),
                Err(error) => {
                    self.release();
                    self.back_off(error).await;
                }
            }
        }
        Ok(())
    }

    /// Lets new records go to disk, if they wait.
    fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            self.inner.change(|lanes| lanes.release(&self.topic));
        }
    }

    /// The same as [`work`](Self::work), but that new records do not wait for longer than they may be made to.
    async fn step(&mut self, read: &Read) -> Result<bool> {
        if !self.is_held {
            return self.work(read).await;
        }
        let (inner, topic) = (Arc::clone(&self.inner), self.topic.clone());
        let (worked, is_late) = {
            let mut work = std::pin::pin!(self.work(read));
            tokio::select! {
                worked = &mut work => (worked, false),
                () = sleep(HOLD) => {
                    inner.change(|lanes| lanes.release(&topic));
                    (work.await, true)
                }
            }
        };
        self.is_held &= !is_late;
        // What was let through is held anew before anything is the last.
        worked.map(|worked| worked && !is_late)
    }

    /// Sends what was read; where nothing was, waits for all that is on its way. False when something failed and is read
    /// again.
    async fn work(&mut self, read: &Read) -> Result<bool> {
        if read.end == read.from {
            self.settle_all().await?;
        } else {
            self.send(read).await?;
            self.settle_done()?;
        }
        if self.failed_from.is_some() {
            self.settle_all().await?;
            self.go_back().await;
            return Ok(false);
        }
        let below = self.flying.front().map_or(read.end, |(number, _)| *number);
        self.sent_ahead = self.sent_ahead.split_off(&below);
        self.inner.keeper.done(&self.topic, below);
        Ok(true)
    }

    /// Lets new records go directly; false when some are being brought to disk.
    fn let_through(&self) -> bool {
        let is_direct = self.inner.change(|lanes| lanes.direct(&self.topic));
        if is_direct {
            self.inner.direct.inner().resume(&self.topic);
            // For whoever came between the two.
            self.inner.change(|_| {});
        }
        is_direct
    }

    /// Lets new records wait, until it is seen whether these were the last.
    async fn hold(&mut self) {
        let mut changes = self.inner.changes();
        self.inner.change(|lanes| lanes.hold(&self.topic));
        let held = Instant::now();
        while !self.inner.lanes().is_entered(&self.topic) {
            let changed = tokio::time::timeout_at(held + HOLD, changes.changed()).await;
            if changed.is_err() || self.inner.is_closing() {
                self.inner.change(|lanes| lanes.release(&self.topic));
                return;
            }
        }
        self.is_held = true;
    }

    /// Hands the records to the producer, which makes them wait for room.
    async fn send(&mut self, read: &Read) -> Result<()> {
        let topic = self.topic.clone();
        let mut set_aside: Vec<Apart> = Vec::new();
        for (number, record) in read.records(&topic) {
            let Some(record) = record else {
                self.unreadable();
                continue;
            };
            if self.sent_ahead.remove(&number) {
                continue;
            }
            let judged = self.judged.remove(&number);
            let doubted = (number < self.doubtful).then_some(Reason::PossiblyWritten);
            let reason = match judged.or(doubted) {
                Some(reason) => reason,
                None => match self.send_one(number, &record).await? {
                    One::Sent => continue,
                    One::SetAside(reason) => reason,
                    One::Left => {
                        self.failed_from.get_or_insert(number);
                        break;
                    }
                },
            };
            self.sent_ahead.insert(number);
            let kept = Kept::new(record.into_owned());
            match set_aside.last_mut() {
                Some(last) if last.reason.is_like(&reason) => last.records.push(kept),
                _ => set_aside.push(Apart {
                    first: number,
                    reason,
                    records: vec![kept],
                }),
            }
        }
        for apart in set_aside {
            if !self.set_aside(&apart).await {
                let from = self
                    .failed_from
                    .map_or(apart.first, |at| at.min(apart.first));
                self.failed_from = Some(from);
                break;
            }
        }
        Ok(())
    }

    /// Keeps records in a file of their own, as soon as the disk takes it: false when the producer is closed before, and
    /// they stay where they are.
    async fn set_aside(&mut self, apart: &Apart) -> bool {
        loop {
            let (records, reason) = (apart.records.clone(), apart.reason.clone());
            let kept = self.inner.keeper.set_aside(&self.topic, records, reason);
            let Err(error) = kept.await else { return true };
            self.release();
            self.back_off(error).await;
            if self.inner.is_closing() {
                return false;
            }
        }
    }

    /// Hands one record over.
    async fn send_one(&mut self, number: u64, record: &Record<'_>) -> Result<One> {
        let inner = Arc::clone(&self.inner);
        let producer = inner.replay.inner();
        if let Some(error) = record.partition.and_then(|at| self.missing.get(&at))
            && self.lacks_partition(record)
        {
            return Ok(One::SetAside(Reason::Refused(error.clone())));
        }
        loop {
            let accepted = match producer.accept(record, None) {
                Ok(delivery) => Ok(delivery),
                Err(refused) => {
                    // It may be full of what has arrived.
                    self.settle_done()?;
                    let began = Instant::now();
                    tokio::select! {
                        biased;
                        accepted = producer.accept_slowly(record, refused, began) => accepted,
                        () = inner.closing() => return Ok(One::Left),
                    }
                }
            };
            let error = match accepted {
                Ok(delivery) => {
                    self.flying.push_back((number, delivery));
                    return Ok(One::Sent);
                }
                Err(error) => error,
            };
            if matches!(error, Error::UnknownTopic { .. })
                && self.lacks_partition(record)
                && let Some(partition) = record.partition
            {
                self.missing.insert(partition, error.clone());
                return Ok(One::SetAside(Reason::Refused(error)));
            }
            match of_spilled(&error, inner.second_copies) {
                Replay::Stop => return Err(error),
                Replay::Refused => return Ok(One::SetAside(Reason::Refused(error))),
                Replay::PossiblyWritten => return Ok(One::SetAside(Reason::PossiblyWritten)),
                Replay::Again => self.back_off(error).await,
            }
            if inner.is_closing() {
                return Ok(One::Left);
            }
        }
    }

    /// Whether the topic is there and does not have the partition that the application chose.
    fn lacks_partition(&self, record: &Record<'_>) -> bool {
        let topology = self.inner.cluster.topology();
        let topic = topology.topics.get(&*self.topic);
        let topic = topic.filter(|topic| is_usable(topic));
        let chosen = record.partition.and_then(|at| usize::try_from(at).ok());
        topic.is_some_and(|topic| chosen.is_some_and(|at| at >= topic.partitions.len()))
    }

    /// Looks at what has arrived, in order.
    fn settle_done(&mut self) -> Result<()> {
        while let Some((number, delivery)) = self.flying.pop_front() {
            match delivery.try_done() {
                Ok(outcome) => self.settle(number, outcome.err())?,
                Err(delivery) => {
                    self.flying.push_front((number, delivery));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for all that is on its way.
    async fn settle_all(&mut self) -> Result<()> {
        while let Some((number, delivery)) = self.flying.pop_front() {
            let outcome = delivery.await;
            self.settle(number, outcome.err())?;
        }
        Ok(())
    }

    fn settle(&mut self, number: u64, failed: Option<Error>) -> Result<()> {
        let Some(error) = failed else {
            self.failures = 0;
            self.inner.counters.add_replayed(1);
            if self.failed_from.is_some() {
                self.sent_ahead.insert(number);
            }
            return Ok(());
        };
        match of_spilled(&error, self.inner.second_copies) {
            Replay::Stop => {
                let below = *self.failed_from.get_or_insert(number);
                self.inner.keeper.done(&self.topic, below);
                if error.possibly_written() {
                    self.sent_ahead.insert(number);
                }
                return Err(error);
            }
            Replay::Again => self.inner.counters.troubled(&self.topic, error),
            Replay::Refused => {
                self.judged.insert(number, Reason::Refused(error));
            }
            Replay::PossiblyWritten => {
                self.judged.insert(number, Reason::PossiblyWritten);
            }
        }
        self.failed_from.get_or_insert(number);
        Ok(())
    }

    /// Reads on with the first that failed.
    async fn go_back(&mut self) {
        let Some(number) = self.failed_from.take() else {
            return;
        };
        self.inner.keeper.done(&self.topic, number);
        self.inner.keeper.rewind(&self.topic, number);
        if !self.judged.contains_key(&number) && !self.inner.is_closing() {
            self.failures += 1;
            let delay = self.delay();
            self.pause(delay).await;
        }
    }

    fn delay(&self) -> Duration {
        let backoff = &self.inner.replay.inner().settings.retry_backoff;
        backoff.delay(self.failures, fastrand::f64())
    }

    async fn back_off(&mut self, error: Error) {
        self.failures += 1;
        warn!(topic = %self.topic, %error, "spilled records wait");
        self.inner.counters.troubled(&self.topic, error);
        let delay = self.delay();
        self.pause(delay).await;
    }

    /// Waits, unless the producer is being closed.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.inner.closing() => {}
        }
    }

    /// Waits for what is on its way, until the producer is closed altogether, and notes what was not sent.
    async fn close(&mut self) -> Ended {
        let (mut done, mut sent) = (self.failed_from, self.sent_ahead.last().copied());
        let mut end = None;
        while let Some((number, delivery)) = self.flying.pop_front() {
            end = Some(number + 1);
            match delivery.await {
                Ok(_) => self.inner.counters.add_replayed(1),
                Err(error) => {
                    done.get_or_insert(number);
                    if !error.possibly_written() {
                        continue;
                    }
                }
            }
            sent = sent.max(Some(number));
        }
        if let Some(done) = done.or(end) {
            self.inner.keeper.done(&self.topic, done);
        }
        let unsent = sent.map_or(0, |sent| sent + 1);
        self.inner
            .keeper
            .unsent(&self.topic, unsent.max(self.doubtful));
        Ended::Closed
    }

    fn unreadable(&self) {
        self.inner.aside.tell(SetAside {
            topic: self.topic.clone(),
            records: Some(1),
            reason: Reason::Damaged {
                file: "a record of a whole batch".into(),
                at: 0,
                bytes: 0,
            },
            file: None,
        });
    }
}
