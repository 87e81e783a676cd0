//! Calls that are repeated while the cluster changes, for a limited time.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Cluster;
use crate::error::{Error, ErrorCode, Result};
use crate::types::{TopicName, TopicPartition, after};
use crate::wire::{MetadataAnswer, MetadataCall, MetadataTopics};

/// Makes calls that may take so long, retries included; cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) cluster: Cluster,
    pub(crate) timeout: Duration,
}

impl Calls {
    /// When a call that begins now must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        after(Instant::now().into_std(), self.timeout).into()
    }

    /// Repeats `attempt` with backoff while its error is retriable, until the timeout.
    pub(crate) async fn with_retries<R, F>(
        &self,
        what: &'static str,
        attempt: impl FnMut() -> F,
    ) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        self.retry_until(self.deadline(), what, attempt).await
    }

    /// As `with_retries`, for a part of a call that began before.
    pub(crate) async fn retry_until<R, F>(
        &self,
        deadline: Instant,
        what: &'static str,
        attempt: impl FnMut() -> F,
    ) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        self.retry_while(is_transient, deadline, what, attempt)
            .await
    }

    /// As `retry_until`, while the error is one that `passes`.
    pub(crate) async fn retry_while<R, F>(
        &self,
        passes: fn(&Error) -> bool,
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
                    Err(error) if passes(&error) => {
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
    pub(crate) async fn metadata(
        &self,
        deadline: Instant,
        what: &'static str,
        topics: MetadataTopics,
    ) -> Result<MetadataAnswer> {
        self.metadata_with(deadline, what, topics, false).await
    }

    /// As `metadata`, with what the client may do where `operations` asks for it.
    pub(crate) async fn metadata_with(
        &self,
        deadline: Instant,
        what: &'static str,
        topics: MetadataTopics,
        operations: bool,
    ) -> Result<MetadataAnswer> {
        let call = &MetadataCall {
            topics,
            allow_auto_create: false,
            operations,
        };
        self.retry_until(deadline, what, || async move {
            let connection = self.cluster.any().await?;
            connection.call(call, self.request_timeout()).await
        })
        .await
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.cluster.settings().request_timeout.min(self.timeout)
    }

    /// What the broker is told, so that its answer comes before the request times out here.
    pub(crate) fn broker_timeout(&self) -> Duration {
        self.request_timeout() * 9 / 10
    }
}

/// A broker left something out of its answer.
pub(crate) fn unanswered(context: String) -> Error {
    Error::protocol("the broker", format!("no answer for {context}"))
}

/// The items' results, or one error for the whole call when no broker said anything about any of them.
pub(crate) fn unless_nobody_answered<R>(outcomes: Vec<Result<R>>) -> Result<Vec<Result<R>>> {
    let answered = |outcome: &Result<R>| matches!(outcome, Ok(_) | Err(Error::Broker { .. }));
    match outcomes.first() {
        Some(Err(first)) if !outcomes.iter().any(answered) => Err(first.clone()),
        _ => Ok(outcomes),
    }
}

/// What is said of partitions, by their topics; in the order in which the topics first come.
pub(crate) fn by_topic<'a, T>(
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
pub(crate) fn is_transient(error: &Error) -> bool {
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
