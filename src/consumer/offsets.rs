//! A group's offsets: committed one request after the other, so that a late one never takes a later one back.

mod background;
mod fetch;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use crate::cluster::{Cluster, ConsumerId, Coordinator, Purpose};
use crate::config::ConsumerSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::group::{Identity, Standing};
use crate::types::{BrokerId, OffsetAndMetadata, TopicName, TopicPartition, after};
use crate::wire::{CommitPartition, OffsetCommit};
use background::Background;
use verdict::{Verdict, verdict};

/// How long the coordinator may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// Offsets to commit, by partition.
pub(super) type Commits = Vec<(TopicPartition, OffsetAndMetadata)>;

/// A commit that the coordinator refused because of who made it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) generation: i32,
    pub(super) code: ErrorCode,
}

/// What a commit does when it cannot be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// The application's: a rebalance is told to it, everything else is tried again.
    Asked,
    /// Made when partitions are given up: waits for the generation in which it counts, passes over topics that are
    /// gone.
    Parting,
}

/// The right to commit: nobody else does meanwhile.
pub(super) struct CommitTurn<'a> {
    _guard: tokio::sync::MutexGuard<'a, ()>,
}

/// The offsets of one consumer's group; cheap to clone.
#[derive(Clone)]
pub(super) struct Offsets(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    coordinator: Coordinator,
    group: Arc<str>,
    id: ConsumerId,
    settings: Arc<ConsumerSettings>,
    /// As what to commit.
    standing: watch::Sender<Standing>,
    /// Who is told of refusals.
    refusals: Mutex<Option<mpsc::UnboundedSender<Refusal>>>,
    turn: tokio::sync::Mutex<()>,
    background: Background,
    /// Where work in the background runs, whoever asks for it.
    runtime: Handle,
}

impl Offsets {
    pub(super) fn new(
        cluster: Cluster,
        group: Arc<str>,
        id: ConsumerId,
        settings: Arc<ConsumerSettings>,
    ) -> Self {
        Self(Arc::new(Inner {
            coordinator: Coordinator::new(cluster.clone(), group.clone()),
            cluster,
            group,
            id,
            settings,
            standing: watch::Sender::new(Standing::Alone),
            refusals: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            background: Background::default(),
            runtime: Handle::current(),
        }))
    }

    pub(super) fn coordinator(&self) -> &Coordinator {
        &self.0.coordinator
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    pub(super) fn group(&self) -> &Arc<str> {
        &self.0.group
    }

    pub(super) fn consumer(&self) -> ConsumerId {
        self.0.id
    }

    /// As what offsets are committed from now on.
    pub(super) fn stand(&self, standing: Standing) {
        self.0.standing.send_if_modified(|current| {
            let changed = *current != standing;
            *current = standing;
            changed
        });
    }

    /// Refusals from now on.
    pub(super) fn refusals(&self) -> mpsc::UnboundedReceiver<Refusal> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let place = self.0.refusals.lock();
        *place.unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Commits these offsets, with retries for up to `default.api.timeout.ms`.
    ///
    /// # Errors
    /// [`Error::Commit`]. Some of the offsets may have been committed all the same.
    pub(super) async fn commit(
        &self,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> Result<()> {
        let limit = self.0.settings.api_timeout;
        let until = after(Instant::now().into_std(), limit).into();
        self.commit_until(offsets, until, Manner::Asked).await
    }

    /// The same until a time.
    pub(super) async fn commit_until(
        &self,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
        until: Instant,
        manner: Manner,
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        // What was to be committed before is not committed after this.
        self.forget_background(offsets.iter().map(|(partition, _)| partition));
        let began = self.standing();
        match timeout_at(until, self.turn()).await {
            Ok(turn) => self.commit_in(turn, began, offsets, until, manner).await,
            Err(_) => Err(refused(self.late(), false)),
        }
    }

    /// As what offsets would be committed now.
    pub(super) fn standing(&self) -> Standing {
        self.0.standing.borrow().clone()
    }

    /// Waits until no other commit is under way.
    ///
    /// Who looks only then at what there is to commit does not take back what was committed meanwhile.
    pub(super) async fn turn(&self) -> CommitTurn<'_> {
        CommitTurn {
            _guard: self.0.turn.lock().await,
        }
    }

    /// As `commit_until`, by whoever's turn it is; `began` is how the member stood when this was asked for.
    pub(super) async fn commit_in(
        &self,
        _turn: CommitTurn<'_>,
        began: Standing,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
        until: Instant,
        manner: Manner,
    ) -> Result<()> {
        let mut left: Commits = offsets.to_vec();
        let mut last = None;
        let trying = async {
            let mut standing = self.0.standing.subscribe();
            let mut failures = 0;
            loop {
                let now = standing.borrow_and_update().clone();
                // A partition may be another member's in a later generation; one that is parted with is not yet.
                if manner == Manner::Asked && !began.is_as(&now) {
                    let error = self.error(ErrorCode::REBALANCE_IN_PROGRESS);
                    return Err(refused(error, now != Standing::Outside));
                }
                match self.attempt(&mut left, &now, &standing, manner).await {
                    Attempt::Done => return Ok(()),
                    Attempt::Fail(error) => return Err(error),
                    Attempt::Wait(error) => {
                        last = Some(error);
                        // The sender lives as long as `self`.
                        let _ = standing.changed().await;
                    }
                    Attempt::Again(error) => {
                        debug!(%error, "offsets not committed yet");
                        last = Some(error);
                        failures += 1;
                        let backoff = self.0.settings.retry_backoff;
                        sleep(backoff.delay(failures, fastrand::f64())).await;
                    }
                }
            }
        };
        match timeout_at(until, trying).await {
            Ok(done) => done,
            Err(_) => Err(refused(last.unwrap_or_else(|| self.late()), false)),
        }
    }

    fn late(&self) -> Error {
        Error::Deadline {
            what: "commit",
            limit: self.0.settings.api_timeout,
        }
    }

    /// One request for what is left.
    async fn attempt(
        &self,
        left: &mut Commits,
        now: &Standing,
        standing: &watch::Receiver<Standing>,
        manner: Manner,
    ) -> Attempt {
        let identity = match now {
            Standing::Member(identity) | Standing::Joining(identity) => Some(identity.clone()),
            Standing::Alone => None,
            Standing::Rebalancing => return self.rebalancing(manner),
            Standing::Outside => {
                let cause = self.error(ErrorCode::UNKNOWN_MEMBER_ID);
                return Attempt::Fail(refused(cause, false));
            }
        };
        let (broker, answer) = match self.send(left, identity.as_ref()).await {
            Ok(answered) => answered,
            Err(error) if is_passing(&error) => return Attempt::Again(error),
            Err(error) => return Attempt::Fail(refused(error, false)),
        };
        let mut codes: HashMap<(&str, i32), ErrorCode> = HashMap::new();
        for (topic, partitions) in &answer {
            codes.extend(
                partitions
                    .iter()
                    .map(|(number, code)| ((&**topic, *number), *code)),
            );
        }
        let code_of = |partition: &TopicPartition| {
            let told = codes.get(&(partition.topic(), partition.partition()));
            told.copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)
        };
        left.retain(|(partition, _)| match verdict(code_of(partition)) {
            Verdict::Done => false,
            Verdict::Absent => manner == Manner::Asked,
            _ => true,
        });
        let worst = left
            .iter()
            .map(|(partition, _)| code_of(partition))
            .max_by_key(|code| weight(verdict(*code)));
        match worst {
            None => Attempt::Done,
            Some(code) => self.judge(code, broker, identity.as_ref(), standing, manner),
        }
    }

    /// What the worst code of an answer leads to.
    fn judge(
        &self,
        code: ErrorCode,
        broker: BrokerId,
        identity: Option<&Identity>,
        standing: &watch::Receiver<Standing>,
        manner: Manner,
    ) -> Attempt {
        let error = self.error(code);
        match verdict(code) {
            Verdict::Done => Attempt::Done,
            Verdict::Retry | Verdict::Absent => Attempt::Again(error),
            Verdict::Find => {
                self.0.coordinator.forget(broker);
                Attempt::Again(error)
            }
            Verdict::Rebalancing => {
                self.refuse(code, identity);
                self.rebalancing(manner)
            }
            Verdict::Fenced => {
                let now = standing.borrow().clone();
                let is_past = identity.is_some_and(|own| match &now {
                    Standing::Member(current) => current != own,
                    Standing::Joining(current) => {
                        current != own || code == ErrorCode::ILLEGAL_GENERATION
                    }
                    Standing::Rebalancing => true,
                    Standing::Alone | Standing::Outside => false,
                });
                // It was made for a generation that has ended properly meanwhile.
                if is_past && code != ErrorCode::FENCED_INSTANCE_ID {
                    return match (manner, now) {
                        (Manner::Parting, Standing::Member(_)) => Attempt::Again(error),
                        (Manner::Parting, Standing::Joining(new)) if Some(&new) != identity => {
                            Attempt::Again(error)
                        }
                        _ => self.rebalancing(manner),
                    };
                }
                self.refuse(code, identity);
                Attempt::Fail(refused(error, false))
            }
            Verdict::Fail => Attempt::Fail(refused(error, false)),
        }
    }

    fn rebalancing(&self, manner: Manner) -> Attempt {
        let error = self.error(ErrorCode::REBALANCE_IN_PROGRESS);
        match manner {
            Manner::Asked => Attempt::Fail(refused(error, true)),
            Manner::Parting => Attempt::Wait(error),
        }
    }

    async fn send(
        &self,
        offsets: &Commits,
        identity: Option<&Identity>,
    ) -> Result<(BrokerId, Vec<(TopicName, Vec<(i32, ErrorCode)>)>)> {
        let call = OffsetCommit {
            group: self.0.group.clone(),
            generation: identity.map_or(-1, |i| i.generation),
            member_id: identity.map_or_else(Arc::default, |i| i.member_id.clone()),
            instance_id: identity.and_then(|i| i.instance_id.clone()),
            topics: by_topic(offsets),
        };
        let (broker, connection) = self.connection().await?;
        let answer = connection
            .call(&call, self.0.settings.request_timeout)
            .await;
        let answer = answer.inspect_err(|_| self.0.coordinator.forget(broker))?;
        Ok((broker, answer.topics))
    }

    async fn connection(&self) -> Result<(BrokerId, crate::net::Connection)> {
        let purpose = Purpose::Offsets(self.0.id);
        let limit = CONNECTING.min(self.0.settings.request_timeout);
        self.0.coordinator.connection(purpose, limit).await
    }

    fn refuse(&self, code: ErrorCode, identity: Option<&Identity>) {
        let refusals = self
            .0
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (Some(refusals), Some(identity)) = (&*refusals, identity) {
            // Without a receiver the member has left.
            let _ = refusals.send(Refusal {
                generation: identity.generation,
                code,
            });
        }
    }

    fn error(&self, code: ErrorCode) -> Error {
        Error::broker(
            code,
            None,
            format!("committing offsets of group {}", self.0.group),
        )
    }
}

/// What became of one request.
enum Attempt {
    Done,
    /// After the backoff.
    Again(Error),
    /// When the member stands otherwise.
    Wait(Error),
    Fail(Error),
}

fn refused(cause: Error, rejoining: bool) -> Error {
    Error::Commit {
        rejoining,
        cause: Arc::new(cause),
    }
}

/// Whether another try may find another coordinator, or a connection to it.
pub(super) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Broker { code, .. } => !matches!(verdict(*code), Verdict::Fail | Verdict::Fenced),
        Error::Protocol { .. } => true,
        Error::Closed { .. } => false,
        error => error.is_retriable(),
    }
}

/// Of several partitions' codes the one that decides.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Done => 0,
        Verdict::Absent => 1,
        Verdict::Retry => 2,
        Verdict::Find => 3,
        Verdict::Fail => 4,
        Verdict::Rebalancing => 5,
        Verdict::Fenced => 6,
    }
}

fn by_topic(offsets: &Commits) -> Vec<(TopicName, Vec<CommitPartition>)> {
    let mut sorted: Vec<_> = offsets.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut topics: Vec<(TopicName, Vec<CommitPartition>)> = Vec::new();
    for (partition, offset) in sorted {
        let commit = CommitPartition {
            partition: partition.partition(),
            offset: offset.offset,
            leader_epoch: offset.leader_epoch.unwrap_or(-1),
            metadata: offset.metadata.clone(),
        };
        match topics.last_mut() {
            Some((topic, commits)) if **topic == *partition.topic() => commits.push(commit),
            _ => topics.push((partition.name().clone(), vec![commit])),
        }
    }
    topics
}
