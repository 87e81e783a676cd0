//! Administration: topics, settings, groups and their offsets, and the cluster itself.

mod cluster;
mod configs;
mod each;
mod group_offsets;
mod groups;
mod offsets;
mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::cluster::{Cluster, Purpose};
use crate::error::{Error, ErrorCode, Result};

use crate::net::Connection;
use crate::types::{TopicName, TopicPartition, after};
use crate::wire::{Call, FindCoordinator, MetadataAnswer, MetadataCall, MetadataTopics};

pub use cluster::{BrokerDescription, ClusterDescription};
pub use configs::{ConfigChanges, ConfigEntry, ConfigResource, ConfigSource};
pub use groups::{GroupDescription, GroupKind, GroupListing, GroupState, MemberDescription};
pub use offsets::{OffsetSpec, PartitionOffset};
pub use topics::{CreatedTopic, NewPartitions, NewTopic, PartitionDescription, TopicDescription};

/// Calls that change or describe the cluster; made by [`Client::admin`](crate::Client::admin).
///
/// Each call is retried while the cluster is moving its controller, a group its coordinator or a
/// partition its leader, or a connection fails, for at most its timeout. A change whose answer was
/// lost is asked for again: a topic may then exist already, or a group be gone, because of the first try.
#[derive(Clone)]
pub struct Admin {
    cluster: Cluster,
    timeout: Duration,
}

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            timeout: Duration::from_secs(60),
        }
    }

    /// How long a call may take, retries included. Default 60 s. Kafka: `default.api.timeout.ms`.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// When a call that begins now must have ended.
    fn deadline(&self) -> Instant {
        after(Instant::now().into_std(), self.timeout).into()
    }

    /// Repeats `attempt` with backoff while its error is retriable, until the timeout.
    async fn with_retries<R, F>(&self, what: &'static str, attempt: impl FnMut() -> F) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        self.retry_until(self.deadline(), what, attempt).await
    }

    /// As `with_retries`, for a part of a call that began before.
    async fn retry_until<R, F>(
        &self,
        deadline: Instant,
        what: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        let backoff = self.cluster.settings().retry_backoff;
        let mut last = None;
        let tries = async {
            let mut failures = 0;
            loop {
                match attempt().await {
                    Err(error) if is_transient(&error) => {
                        self.cluster.request_refresh();
                        last = Some(error);
                        failures += 1;
                        tokio::time::sleep(backoff.delay(failures, fastrand::f64())).await;
                    }
                    done => return done,
                }
            }
        };
        match timeout_at(deadline, tries).await {
            Ok(done) => done,
            Err(_) => Err(last.unwrap_or(Error::Deadline {
                what,
                limit: self.timeout,
            })),
        }
    }

    /// What the cluster knows about topics; asking creates none.
    async fn metadata(
        &self,
        deadline: Instant,
        what: &'static str,
        topics: MetadataTopics,
    ) -> Result<MetadataAnswer> {
        let call = &MetadataCall {
            topics,
            allow_auto_create: false,
        };
        self.retry_until(deadline, what, || async move {
            let connection = self.cluster.any().await?;
            connection.call(call, self.request_timeout()).await
        })
        .await
    }

    /// Asks a group's coordinator, which `check` may send on to another try.
    async fn at_coordinator<C: Call>(
        &self,
        deadline: Instant,
        what: &'static str,
        group: &Arc<str>,
        call: &C,
        check: impl Fn(&C::Response) -> Result<()>,
    ) -> Result<C::Response> {
        let check = &check;
        self.retry_until(deadline, what, || async move {
            let connection = self.coordinator(group).await?;
            let answer = connection.call(call, self.request_timeout()).await?;
            check(&answer)?;
            Ok(answer)
        })
        .await
    }

    async fn coordinator(&self, group: &Arc<str>) -> Result<Connection> {
        let call = FindCoordinator {
            group: Arc::clone(group),
        };
        let connection = self.cluster.any().await?;
        let found = connection.call(&call, self.request_timeout()).await?;
        let refused = |code| {
            let context = format!("finding the coordinator of group {group}");
            Error::broker(code, found.message.clone(), context)
        };
        found.code.ok().map_err(refused)?;
        match &found.node {
            Some((id, _)) => self.cluster.broker(*id, Purpose::Control).await,
            None => Err(refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
        }
    }

    fn request_timeout(&self) -> Duration {
        self.cluster.settings().request_timeout.min(self.timeout)
    }

    /// What the broker is told, so that its answer comes before the request times out here.
    fn broker_timeout(&self) -> Duration {
        self.request_timeout() * 9 / 10
    }
}

/// A broker left something out of its answer.
fn unanswered(context: String) -> Error {
    Error::protocol("the broker", format!("no answer for {context}"))
}

/// An error for the whole call when every item failed in the same way, which another try may mend.
fn retry_all(mut codes: impl Iterator<Item = ErrorCode>, context: &str) -> Result<()> {
    let Some(first) = codes.next() else {
        return Ok(());
    };
    let error = Error::broker(first, None, context);
    if is_transient(&error) && codes.all(|code| code == first) {
        Err(error)
    } else {
        Ok(())
    }
}

/// The error of one item.
fn refusal(
    code: ErrorCode,
    message: Option<&Arc<str>>,
    context: impl FnOnce() -> String,
) -> Result<()> {
    code.ok()
        .map_err(|code| Error::broker(code, message.cloned(), context()))
}

/// The items' results, or one error for the whole call when no broker said anything about any of them.
fn unless_nobody_answered<R>(outcomes: Vec<Result<R>>) -> Result<Vec<Result<R>>> {
    let answered = |outcome: &Result<R>| matches!(outcome, Ok(_) | Err(Error::Broker { .. }));
    match outcomes.first() {
        Some(Err(first)) if !outcomes.iter().any(answered) => Err(first.clone()),
        _ => Ok(outcomes),
    }
}

/// What is said of partitions, by their topics; in the order in which the topics first come.
fn by_topic<'a, T>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> Vec<(TopicName, Vec<T>)> {
    let mut places = hashbrown::HashMap::new();
    let mut topics: Vec<(TopicName, Vec<T>)> = Vec::new();
    for (partition, said) in partitions {
        let place = *places.entry(partition.topic()).or_insert(topics.len());
        match topics.get_mut(place) {
            Some((_, all)) => all.push(said),
            None => topics.push((partition.name().clone(), vec![said])),
        }
    }
    topics
}

/// Whether another try, perhaps at another broker, may do better.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Broker { code, .. } => matches!(
            *code,
            ErrorCode::NOT_CONTROLLER
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::NOT_COORDINATOR
                | ErrorCode::LEADER_NOT_AVAILABLE
                | ErrorCode::THROTTLING_QUOTA_EXCEEDED
        ),
        Error::Connect { .. } | Error::Bootstrap { .. } | Error::Disconnected { .. } => true,
        Error::RequestTimeout { .. } => true,
        _ => false,
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
