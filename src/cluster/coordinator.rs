//! Finds the broker that coordinates a group or the transactions of an id, and remembers it until it turns out to be another one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::{Cluster, Purpose};
use crate::error::{Error, ErrorCode};
use crate::net::Connection;
use crate::types::{Address, BrokerId};
use crate::wire::{CoordinatorKind, FindCoordinator};

/// A broker that is silent for so long holds nobody up: the next try asks one that owes no answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A broker, as FindCoordinator names it: where it is now, whatever the metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) address: Address,
}

/// Asks this broker which one coordinates a group, or the transactions of an id.
///
/// # Errors
/// The broker's or the connection's.
pub(crate) async fn find_by(
    connection: &Connection,
    kind: CoordinatorKind,
    key: &Arc<str>,
    limit: Duration,
) -> Result<Node, Error> {
    let call = FindCoordinator {
        kind,
        key: key.clone(),
    };
    let answer = connection.call(&call, limit).await?;
    let refused = |code| {
        let of = match kind {
            CoordinatorKind::Group => "group",
            CoordinatorKind::Transaction => "transactional.id",
        };
        let context = format!("finding the coordinator of {of} {key}");
        Error::broker(code, answer.message.clone(), context)
    };
    answer.code.ok().map_err(refused)?;
    match answer.node {
        Some((id, address)) => Ok(Node { id, address }),
        None => Err(refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
    }
}

/// The coordinator of one group, or of the transactions of one id.
pub(crate) struct Coordinator {
    cluster: Cluster,
    kind: CoordinatorKind,
    /// The group's name, or the id.
    key: Arc<str>,
    /// By which connections it is looked for.
    purpose: Purpose,
    known: Arc<Mutex<Option<Node>>>,
    asking: tokio::sync::Mutex<()>,
}

impl Coordinator {
    pub(crate) fn new(cluster: Cluster, kind: CoordinatorKind, key: Arc<str>) -> Self {
        Self {
            cluster,
            kind,
            key,
            purpose: Purpose::Control,
            known: Arc::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The same coordinator for the thread of memberships, which waits for nothing that runs on another one; what
    /// either finds both know.
    pub(crate) fn for_members(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            kind: self.kind,
            key: self.key.clone(),
            purpose: Purpose::Seek,
            known: self.known.clone(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Node>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The coordinator; asks a broker when it is not known. Callers at the same time share the answer.
    ///
    /// # Errors
    /// The broker's or the connection's; there are no retries.
    pub(crate) async fn get(&self) -> Result<Node, Error> {
        let known = self.known().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let _one_at_a_time = self.asking.lock().await;
        let known = self.known().clone();
        match known {
            Some(known) => Ok(known),
            None => self.ask().await,
        }
    }

    /// Asks a broker even though the coordinator may be known.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn ask(&self) -> Result<Node, Error> {
        let limit = self.cluster.settings().request_timeout;
        let connection = self.cluster.any_for(self.purpose).await?;
        let answer = timeout(PATIENCE, find_by(&connection, self.kind, &self.key, limit)).await;
        let node = answer.map_err(|_| Error::RequestTimeout {
            address: connection.address().to_string().into(),
            request: "FindCoordinator",
            timeout: PATIENCE,
        })??;
        let before = self.known().replace(node.clone());
        if before.as_ref() != Some(&node) {
            debug!(key = %self.key, kind = ?self.kind, coordinator = node.id.0, address = %node.address, "found the coordinator");
        }
        Ok(node)
    }

    /// The broker is not the coordinator, or not to be reached; whoever asks next asks anew.
    pub(crate) fn forget(&self, node: &Node) {
        let mut known = self.known();
        if known.as_ref() == Some(node) {
            *known = None;
        }
    }

    /// A connection to the coordinator, which is to be [forgotten](Self::forget) if it is none.
    ///
    /// A broker that accepts connections and says nothing holds the caller up for `limit` at most.
    ///
    /// # Errors
    /// As [`get`](Self::get), and why the coordinator cannot be reached.
    pub(crate) async fn connection(
        &self,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<(Node, Connection), Error> {
        let node = self.get().await?;
        let connection = self.connection_to(&node, purpose, limit).await?;
        Ok((node, connection))
    }

    /// The same to a broker that was the coordinator a moment ago.
    pub(crate) async fn connection_to(
        &self,
        node: &Node,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<Connection, Error> {
        let connecting = timeout(limit, self.cluster.at(&node.address, purpose)).await;
        let connection = connecting.unwrap_or_else(|_| {
            Err(Error::Disconnected {
                address: node.address.to_string().into(),
                reason: format!("it did not answer a new connection within {limit:?}").into(),
            })
        });
        if connection.is_err() {
            self.forget(node);
        }
        connection
    }
}
