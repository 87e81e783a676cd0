//! Finds the broker that coordinates a group, and remembers it until it turns out to be another one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::{Cluster, Purpose};
use crate::error::{Error, ErrorCode};
use crate::net::Connection;
use crate::types::BrokerId;
use crate::wire::FindCoordinator;

/// A broker that is silent for so long holds nobody up: the next try asks one that owes no answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks this broker which one coordinates a group.
///
/// # Errors
/// The broker's or the connection's.
pub(crate) async fn find_by(
    connection: &Connection,
    group: &Arc<str>,
    limit: Duration,
) -> Result<BrokerId, Error> {
    let call = FindCoordinator {
        group: group.clone(),
    };
    let answer = connection.call(&call, limit).await?;
    let refused = |code| {
        let context = format!("finding the coordinator of group {group}");
        Error::broker(code, answer.message.clone(), context)
    };
    answer.code.ok().map_err(refused)?;
    match answer.node {
        Some((id, _)) => Ok(id),
        None => Err(refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
    }
}

/// One group's coordinator.
pub(crate) struct Coordinator {
    cluster: Cluster,
    group: Arc<str>,
    known: Mutex<Option<BrokerId>>,
    asking: tokio::sync::Mutex<()>,
}

impl Coordinator {
    pub(crate) fn new(cluster: Cluster, group: Arc<str>) -> Self {
        Self {
            cluster,
            group,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<BrokerId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The coordinator; asks a broker when it is not known. Callers at the same time share the answer.
    ///
    /// # Errors
    /// The broker's or the connection's; there are no retries.
    pub(crate) async fn get(&self) -> Result<BrokerId, Error> {
        let known = *self.known();
        if let Some(known) = known {
            return Ok(known);
        }
        let _one_at_a_time = self.asking.lock().await;
        let known = *self.known();
        match known {
            Some(known) => Ok(known),
            None => self.ask().await,
        }
    }

    /// Asks a broker even though the coordinator may be known.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn ask(&self) -> Result<BrokerId, Error> {
        let limit = self.cluster.settings().request_timeout;
        let connection = self.cluster.any().await?;
        let answer = timeout(PATIENCE, find_by(&connection, &self.group, limit)).await;
        let id = answer.map_err(|_| Error::RequestTimeout {
            address: connection.address().to_string().into(),
            request: "FindCoordinator",
            timeout: PATIENCE,
        })??;
        let before = self.known().replace(id);
        if before != Some(id) {
            debug!(group = %self.group, coordinator = id.0, "found the coordinator");
        }
        Ok(id)
    }

    /// The broker is not the coordinator, or not to be reached; whoever asks next asks anew.
    pub(crate) fn forget(&self, id: BrokerId) {
        let mut known = self.known();
        if *known == Some(id) {
            *known = None;
        }
    }

    /// A connection to the coordinator, and its id to [`forget`](Self::forget) if it is none.
    ///
    /// A broker that accepts connections and says nothing holds the caller up for `limit` at most.
    ///
    /// # Errors
    /// As [`get`](Self::get), and why the coordinator cannot be reached.
    pub(crate) async fn connection(
        &self,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<(BrokerId, Connection), Error> {
        let id = self.get().await?;
        let connection = self.connection_to(id, purpose, limit).await?;
        Ok((id, connection))
    }

    /// The same to a broker that was the coordinator a moment ago.
    pub(crate) async fn connection_to(
        &self,
        id: BrokerId,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<Connection, Error> {
        let connecting = timeout(limit, self.cluster.broker(id, purpose)).await;
        let connection = connecting.unwrap_or_else(|_| {
            Err(Error::Disconnected {
                address: format!("broker {}", id.0).into(),
                reason: format!("it did not answer a new connection within {limit:?}").into(),
            })
        });
        if connection.is_err() {
            self.forget(id);
            self.cluster.request_refresh();
        }
        connection
    }
}
