//! A group's offsets: committed one request after the other, so that a late one never takes a later one back.

mod background;
mod commits;
mod fetch;
mod job;
mod turns;
mod verdict;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use super::counts::GroupCounts;
use crate::cluster::{Cluster, Coordinator, Node, Purpose, RoleId};
use crate::config::ConsumerSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::group::{MemberIdentity, MemberStanding};
use crate::types::{TopicPartition, after};
use crate::wire::{CoordinatorKind, OffsetCommit, OffsetCommitAnswer, commit_topics};
use job::{Job, is_outdated, lines, recreated, weight};
use turns::{CommitTurn, Turns};
use verdict::{CommitVerdict, verdict};
use waiting::WaitingCommits;

pub(crate) use commits::Commit;
pub(super) use commits::{Commits, Manner, Outcome, Refusal};

/// How long the coordinator may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// The offsets of one consumer's group; cheap to clone.
#[derive(Clone)]
pub(super) struct Offsets(Arc<OffsetsInner>);

struct OffsetsInner {
    cluster: Cluster,
    coordinator: Coordinator,
    group: Arc<str>,
    id: RoleId,
    settings: Arc<ConsumerSettings>,
    /// As what to commit.
    standing: watch::Sender<MemberStanding>,
    /// Who is told of refusals.
    refusals: Mutex<Option<mpsc::UnboundedSender<Refusal>>>,
    turns: Turns,
    /// To be committed in the background.
    waiting: WaitingCommits,
    counts: GroupCounts,
    /// Where work in the background runs, whoever asks for it.
    runtime: Handle,
}

impl Offsets {
    pub(super) fn new(
        cluster: Cluster,
        group: Arc<str>,
        id: RoleId,
        settings: Arc<ConsumerSettings>,
    ) -> Self {
        Self(Arc::new(OffsetsInner {
            coordinator: Coordinator::new(cluster.clone(), CoordinatorKind::Group, group.clone()),
            cluster,
            group,
            id,
            settings,
            standing: watch::Sender::new(MemberStanding::Alone),
            refusals: Mutex::default(),
            turns: Turns::default(),
            waiting: WaitingCommits::default(),
            counts: GroupCounts::default(),
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

    pub(super) fn consumer(&self) -> RoleId {
        self.0.id
    }

    pub(super) fn counts(&self) -> &GroupCounts {
        &self.0.counts
    }

    /// As what offsets are committed from now on.
    pub(super) fn stand(&self, standing: MemberStanding) {
        if let MemberStanding::Member(identity) = &standing {
            self.0.counts.generation(identity.generation);
        }
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
    /// The result is [`Error::Commit`] where some of the offsets were not committed, and [`Error::TopicRecreated`].
    pub(super) async fn commit(&self, offsets: &[(TopicPartition, Commit)]) -> Outcome {
        let limit = self.0.settings.api_timeout;
        let until = after(Instant::now().into_std(), limit).into();
        self.commit_until(offsets, until, Manner::Asked).await
    }

    /// The same until a time.
    pub(super) async fn commit_until(
        &self,
        offsets: &[(TopicPartition, Commit)],
        until: Instant,
        manner: Manner,
    ) -> Outcome {
        if offsets.is_empty() {
            return Outcome {
                committed: Vec::new(),
                result: Ok(()),
            };
        }
        // What was to be committed before is not committed after this.
        let partitions = offsets.iter().map(|(partition, _)| partition);
        self.0.waiting.forget(partitions);
        let began = self.standing();
        match timeout_at(until, self.turn()).await {
            Ok(turn) => self.commit_in(turn, began, offsets, until, manner).await,
            Err(_) => Outcome {
                committed: Vec::new(),
                result: Err(refused(self.late(), false)),
            },
        }
    }

    /// As what offsets would be committed now.
    pub(super) fn standing(&self) -> MemberStanding {
        self.0.standing.borrow().clone()
    }

    /// Waits until no other commit is being sent.
    ///
    /// Who looks only then at what there is to commit does not take back what was committed meanwhile.
    pub(super) async fn turn(&self) -> CommitTurn<'_> {
        self.0.turns.take().await
    }

    /// As `commit_until`, by whoever's turn it is; `began` is how the member stood when this was asked for.
    ///
    /// Others have their turn while this waits to be tried again.
    pub(super) async fn commit_in(
        &self,
        turn: CommitTurn<'_>,
        began: MemberStanding,
        offsets: &[(TopicPartition, Commit)],
        until: Instant,
        manner: Manner,
    ) -> Outcome {
        let mut job = Job {
            under_way: self.0.turns.begin(&turn),
            left: offsets.to_vec(),
            committed: Vec::new(),
            outdated: None,
            manner,
        };
        let (mut last, asked) = (None, Instant::now());
        let trying = async {
            let mut turn = Some(turn);
            let mut standing = self.0.standing.subscribe();
            let mut failures = 0;
            loop {
                let held = match turn.take() {
                    Some(held) => held,
                    None => self.turn().await,
                };
                let now = standing.borrow_and_update().clone();
                // A partition may be another member's in a later generation; one that is parted with is not yet.
                if manner != Manner::Parting && !began.is_as(&now) {
                    let error = self.error(ErrorCode::REBALANCE_IN_PROGRESS);
                    return Err(refused(error, now != MemberStanding::Outside));
                }
                let attempt = self.attempt(&mut job, &now, &standing).await;
                drop(held);
                match attempt {
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
        let done = timeout_at(until, trying).await;
        let late = || Err(refused(last.unwrap_or_else(|| self.late()), false));
        let result = done.unwrap_or_else(|_| late());
        self.0.counts.commit(result.is_ok(), asked.elapsed());
        let outdated = job.outdated.filter(|_| manner == Manner::Asked);
        Outcome {
            committed: job.committed,
            result: result.and(outdated.map_or(Ok(()), Err)),
        }
    }

    /// Whether these are of the topics that have their names now, as far as is known.
    ///
    /// # Errors
    /// [`Error::TopicRecreated`].
    pub(super) fn check_topics(&self, offsets: &[(TopicPartition, Commit)]) -> Result<()> {
        let topology = self.0.cluster.topology();
        let mut offsets = offsets.iter();
        match offsets.find(|(partition, commit)| is_outdated(&topology, partition, commit)) {
            Some((partition, _)) => Err(recreated(partition)),
            None => Ok(()),
        }
    }

    fn late(&self) -> Error {
        Error::Deadline {
            what: "commit",
            limit: self.0.settings.api_timeout,
        }
    }

    /// One try of what is left.
    async fn attempt(
        &self,
        job: &mut Job<'_>,
        now: &MemberStanding,
        standing: &watch::Receiver<MemberStanding>,
    ) -> Attempt {
        let manner = job.manner;
        let identity = match now {
            MemberStanding::Member(identity) | MemberStanding::Joining(identity) => {
                Some(identity.clone())
            }
            MemberStanding::Alone => None,
            MemberStanding::Rebalancing => return self.rebalancing(manner),
            MemberStanding::Outside => {
                let cause = self.error(ErrorCode::UNKNOWN_MEMBER_ID);
                return Attempt::Fail(refused(cause, false));
            }
        };
        job.leave_out(&self.0.cluster.topology());
        let mut worst = None;
        // Where the brokers know topics' ids, topics with and without one do not go into the same request.
        for has_id in [true, false] {
            let part = job.part(has_id);
            if part.is_empty() {
                continue;
            }
            let (broker, answer) = match self.send(&part, identity.as_ref()).await {
                Ok(answered) => answered,
                Err(error) if is_passing(&error) => return Attempt::Again(error),
                Err(error) => return Attempt::Fail(refused(error, false)),
            };
            if let Some(code) = job.take_in(&part, &answer) {
                if code == ErrorCode::UNKNOWN_TOPIC_ID {
                    // What has the name now, if anything has.
                    self.0.cluster.request_refresh();
                }
                let weigh = |code| weight(verdict(code));
                worst = worst
                    .filter(|(other, _)| weigh(*other) >= weigh(code))
                    .or(Some((code, broker)));
            }
        }
        match worst {
            None => Attempt::Done,
            Some((code, broker)) => self.judge(code, &broker, identity.as_ref(), standing, manner),
        }
    }

    /// What the worst code of an answer leads to.
    fn judge(
        &self,
        code: ErrorCode,
        broker: &Node,
        identity: Option<&MemberIdentity>,
        standing: &watch::Receiver<MemberStanding>,
        manner: Manner,
    ) -> Attempt {
        let error = self.error(code);
        match verdict(code) {
            CommitVerdict::Done => Attempt::Done,
            CommitVerdict::Retry | CommitVerdict::Absent => Attempt::Again(error),
            CommitVerdict::Find => {
                self.0.coordinator.forget(broker);
                Attempt::Again(error)
            }
            CommitVerdict::Rebalancing => {
                self.refuse(code, identity);
                self.rebalancing(manner)
            }
            CommitVerdict::Fenced => {
                let now = standing.borrow().clone();
                let is_past = identity.is_some_and(|own| match &now {
                    MemberStanding::Member(current) => current != own,
                    MemberStanding::Joining(current) => {
                        current != own || code == ErrorCode::ILLEGAL_GENERATION
                    }
                    MemberStanding::Rebalancing => true,
                    MemberStanding::Alone | MemberStanding::Outside => false,
                });
                // It was made for a generation that has ended properly meanwhile.
                if is_past && code != ErrorCode::FENCED_INSTANCE_ID {
                    return match (manner, now) {
                        (Manner::Parting, MemberStanding::Member(_)) => Attempt::Again(error),
                        (Manner::Parting, MemberStanding::Joining(new))
                            if Some(&new) != identity =>
                        {
                            Attempt::Again(error)
                        }
                        _ => self.rebalancing(manner),
                    };
                }
                self.refuse(code, identity);
                Attempt::Fail(refused(error, false))
            }
            CommitVerdict::Fail => Attempt::Fail(refused(error, false)),
        }
    }

    fn rebalancing(&self, manner: Manner) -> Attempt {
        let error = self.error(ErrorCode::REBALANCE_IN_PROGRESS);
        match manner {
            Manner::Asked | Manner::Regular => Attempt::Fail(refused(error, true)),
            Manner::Parting => Attempt::Wait(error),
        }
    }

    async fn send(
        &self,
        offsets: &Commits,
        identity: Option<&MemberIdentity>,
    ) -> Result<(Node, OffsetCommitAnswer)> {
        let call = OffsetCommit {
            group: self.0.group.clone(),
            generation: identity.map_or(-1, |i| i.generation),
            member_id: identity.map_or_else(Arc::default, |i| i.member_id.clone()),
            instance_id: identity.and_then(|i| i.instance_id.clone()),
            topics: commit_topics(lines(offsets)),
        };
        let (broker, connection) = self.connection().await?;
        let answer = connection
            .call(&call, self.0.settings.request_timeout)
            .await;
        let answer = answer.inspect_err(|_| self.0.coordinator.forget(&broker))?;
        Ok((broker, answer))
    }

    async fn connection(&self) -> Result<(Node, crate::net::Connection)> {
        let purpose = Purpose::Offsets(self.0.id);
        let limit = CONNECTING.min(self.0.settings.request_timeout);
        self.0.coordinator.connection(purpose, limit).await
    }

    fn refuse(&self, code: ErrorCode, identity: Option<&MemberIdentity>) {
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

/// What became of one try.
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
        Error::Broker { code, .. } => {
            !matches!(verdict(*code), CommitVerdict::Fail | CommitVerdict::Fenced)
        }
        Error::Protocol { .. } => true,
        Error::Closed { .. } | Error::RuntimeEnded { .. } => false,
        error => error.is_retriable(),
    }
}
