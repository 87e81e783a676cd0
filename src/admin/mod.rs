//! Administration: creating, deleting and describing topics.

mod topics;

use std::fmt;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::error::{Error, ErrorCode, Result};

pub use topics::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription};

/// Calls that change or describe the cluster; made by [`Client::admin`](crate::Client::admin).
///
/// Each call is retried while the cluster is moving its controller or a connection fails, for at most
/// its timeout.
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

    /// Repeats `attempt` with backoff while its error is retriable, until the timeout.
    async fn with_retries<R, F>(
        &self,
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
        match tokio::time::timeout(self.timeout, tries).await {
            Ok(done) => done,
            Err(_) => Err(last.unwrap_or(Error::Deadline {
                what,
                limit: self.timeout,
            })),
        }
    }
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
