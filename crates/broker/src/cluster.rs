//! The cluster as a test or a program holds it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::acl::Acl;
use crate::error::Error;
use crate::faults::{Fault, FaultId};
use crate::inspect::{self, GroupView, LogRecord, TransactionView};
use crate::io::shared::{Mode, Shared, keep_time};
use crate::io::{connection, listener};
use crate::listeners::Listener;
use crate::seen::RequestSeen;
use crate::state::{CoordinatorKind, ListenerId, NodeId, Now, State};
use crate::wire::ErrorCode;

/// What is buffered of a stream in memory, each way.
const STREAM_BUFFER: usize = 64 * 1024;

/// A running cluster. It ends when it is dropped: its ports close and its connections are cut off, by tasks that may
/// take a moment for it; [`close`](Cluster::close) waits for them.
pub struct Cluster {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
    /// Those that take connections.
    listeners: Mutex<HashMap<(NodeId, ListenerId), JoinHandle<()>>>,
    /// Each listener's name, and all nodes' addresses for it.
    bootstrap: Vec<(String, String)>,
    has_ports: bool,
}

impl Cluster {
    pub(crate) fn new(state: State, has_ports: bool) -> Self {
        let nodes = &state.nodes;
        let servers = |(index, listener): (usize, Listener)| {
            let addresses = nodes.all().iter();
            let addresses = addresses.filter_map(|node| nodes.address(node.id, ListenerId(index)));
            let servers: Vec<_> = addresses.map(ToString::to_string).collect();
            (listener.name, servers.join(","))
        };
        let listeners = state.settings.listeners().into_iter();
        let bootstrap = listeners.enumerate().map(servers).collect();
        let shared = Arc::new(Shared::new(state));
        Self {
            timer: tokio::spawn(keep_time(shared.clone())),
            listeners: Mutex::default(),
            shared,
            bootstrap,
            has_ports,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<(NodeId, ListenerId), JoinHandle<()>>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn serve(&self, place: (NodeId, ListenerId), listener: TcpListener) {
        let task = tokio::spawn(listener::run(self.shared.clone(), place, listener));
        self.listeners().insert(place, task);
    }

    /// Whether it is reached by sockets, not by streams in memory alone.
    pub(crate) fn has_ports(&self) -> bool {
        self.has_ports
    }

    pub(crate) fn is_listening(&self, place: (NodeId, ListenerId)) -> bool {
        self.listeners().contains_key(&place)
    }

    /// Returns when the node's ports are closed.
    pub(crate) async fn stop_listening(&self, node: NodeId) {
        let stopped: Vec<_> = {
            let mut listeners = self.listeners();
            let ended = listeners.extract_if(|(of, _), _| *of == node);
            ended.map(|(_, task)| task).collect()
        };
        for task in stopped {
            task.abort();
            // It was told to end: that it did is no news.
            let _ = task.await;
        }
    }

    /// Ends the cluster; when it returns, its ports are free and its connections closed.
    pub async fn close(self) {
        for node in self.shared.nodes() {
            self.shared.set_mode(node, Mode::Down, true);
            self.stop_listening(node).await;
        }
        self.shared.all_parted().await;
    }

    /// Every node's address, for a client's `bootstrap.servers`: `127.0.0.1:40001,127.0.0.1:40002`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.bootstrap.first().map_or("", |(_, servers)| servers)
    }

    /// Every node's address for one of several [listeners](crate::Builder::listener).
    ///
    /// # Panics
    ///
    /// Without a listener of that name.
    #[must_use]
    pub fn bootstrap_servers_of(&self, listener: &str) -> &str {
        let mut all = self.bootstrap.iter();
        let found = all.find(|(name, _)| name == listener);
        found.map_or_else(
            || panic!("there is no listener {listener}"),
            |(_, servers)| servers,
        )
    }

    /// A stream in memory to a node, as a connection to its first port would be; it is closed if the node is down.
    #[must_use]
    pub fn connect(&self, node: i32) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(STREAM_BUFFER);
        let host = "127.0.0.1".to_owned();
        tokio::spawn(connection::serve(
            self.shared.clone(),
            (node, ListenerId::default()),
            ours,
            host,
        ));
        theirs
    }

    /// What goes wrong on purpose.
    #[must_use]
    pub fn faults(&self) -> Faults<'_> {
        Faults { cluster: self }
    }

    /// Makes another node the leader of a partition, with a new leader epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without such a partition or live node.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), Error> {
        let moved = self
            .shared
            .with(|state, _| state.move_leader(topic, partition, node));
        moved.map_err(|code| refused(code, format!("{topic}-{partition}"), node))
    }

    /// Makes another node the coordinator of a group; its members keep their places.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without such a live node.
    pub fn move_coordinator(&self, group: &str, node: i32) -> Result<(), Error> {
        let moved = self.shared.with(|state, now: Now| {
            state.move_coordinator(CoordinatorKind::Group, group, node, now)
        });
        moved.map_err(|code| refused(code, format!("group {group}"), node))
    }

    /// Makes another node the coordinator of the transactions of an id (`transactional.id`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without such a live node.
    pub fn move_transaction_coordinator(&self, id: &str, node: i32) -> Result<(), Error> {
        let kind = CoordinatorKind::Transaction;
        let moved = self
            .shared
            .with(|state, now: Now| state.move_coordinator(kind, id, node, now));
        moved.map_err(|code| refused(code, format!("transactional id {id}"), node))
    }

    /// The coordinator of the transactions of an id; `None` while no node lives.
    #[must_use]
    pub fn transaction_coordinator(&self, id: &str) -> Option<i32> {
        let kind = CoordinatorKind::Transaction;
        self.shared
            .with(|state, _| state.nodes.coordinator(kind, id))
    }

    /// All transactional ids that were ever used, with their transactions.
    #[must_use]
    pub fn transactions(&self) -> Vec<TransactionView> {
        self.shared.with(|state, _| inspect::transactions(state))
    }

    /// The leader of a partition; `None` without one, or without such a partition.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.shared
            .with(|state, _| state.topics.partition(topic, partition).ok()?.leader)
    }

    /// The coordinator of a group; `None` while no node lives.
    #[must_use]
    pub fn coordinator(&self, group: &str) -> Option<i32> {
        self.shared
            .with(|state, _| state.nodes.coordinator(CoordinatorKind::Group, group))
    }

    /// All records of a partition that can be read, decompressed, in the order of their offsets, those of transactions
    /// that were aborted or go on included; empty without such a partition.
    #[must_use]
    pub fn log(&self, topic: &str, partition: i32) -> Vec<LogRecord> {
        let stored = |state: &mut State, _| inspect::stored(state, topic, partition);
        // Decompressed while nobody waits for the cluster.
        inspect::log(&self.shared.with(stored), false)
    }

    /// The records of [`log`](Cluster::log) that a reader with `isolation.level=read_committed` gets: none of a transaction
    /// that goes on or was aborted, and none behind the first that goes on.
    #[must_use]
    pub fn committed_log(&self, topic: &str, partition: i32) -> Vec<LogRecord> {
        let stored = |state: &mut State, _| inspect::stored(state, topic, partition);
        inspect::log(&self.shared.with(stored), true)
    }

    /// All topics with their numbers of partitions, by their names.
    #[must_use]
    pub fn topics(&self) -> Vec<(String, i32)> {
        self.shared.with(|state, _| {
            let all = state.topics.iter();
            all.map(|(name, topic)| (name.to_string(), topic.partitions.len() as i32))
                .collect()
        })
    }

    /// All consumer groups, by their names.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        self.shared.with(|state, _| inspect::groups(state))
    }

    /// Lets a user log in by this password, from now on the only one; who is logged in stays so.
    pub fn set_user(&self, name: &str, password: &str) {
        self.shared
            .with(|state, _| state.security.users.set(name, password));
    }

    /// Lets a user log in no more; who is logged in stays so, until its session ends. Whether there was such a user.
    pub fn remove_user(&self, name: &str) -> bool {
        self.shared
            .with(|state, _| state.security.users.remove(name))
    }

    /// Ends all sessions of clients that have logged in: what they ask next, unless it is a new login, closes the
    /// connection, as after [`Builder::session_lifetime`](crate::Builder::session_lifetime).
    pub fn expire_sessions(&self) {
        self.shared.with(|state, now| {
            for login in state.connections.logins() {
                login.expire(now.up);
            }
        });
    }

    /// Allows something from now on; before the first, everything is allowed.
    pub fn allow(&self, acl: Acl) {
        self.shared.with(|state, _| state.security.acls.add(acl));
    }

    /// Takes back what was allowed; what nothing else allows is refused, also when nothing is left that is allowed.
    /// Whether it was there.
    pub fn revoke(&self, acl: &Acl) -> bool {
        self.shared.with(|state, _| state.security.acls.remove(acl))
    }

    /// The requests that the nodes have read, oldest first; the last 4096 of them.
    #[must_use]
    pub fn requests_seen(&self) -> Vec<RequestSeen> {
        self.shared
            .with(|state, _| state.seen.iter().cloned().collect())
    }
}

fn refused(code: ErrorCode, what: String, node: i32) -> Error {
    match code {
        ErrorCode::BROKER_NOT_AVAILABLE => Error::Invalid(format!("node {node} does not live")),
        _ => Error::Invalid(format!("{what}: {code}")),
    }
}

/// The faults of a [`Cluster`].
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a> {
    cluster: &'a Cluster,
}

impl Faults<'_> {
    /// From now on the fault happens, as often as it says.
    #[expect(
        clippy::must_use_candidate,
        reason = "most faults are added and left alone"
    )]
    pub fn add(&self, fault: Fault) -> FaultId {
        self.cluster.shared.with(|state, _| state.faults.add(fault))
    }

    /// How often it has happened so far.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> u64 {
        self.cluster.shared.with(|state, _| state.faults.hits(id))
    }

    /// Takes one back.
    pub fn remove(&self, id: FaultId) {
        self.cluster.shared.with(|state, _| state.faults.remove(id));
    }

    /// Takes all back.
    pub fn clear(&self) {
        self.cluster.shared.with(|state, _| state.faults.clear());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.timer.abort();
        for (_, task) in self.listeners().drain() {
            task.abort();
        }
        for node in self.shared.nodes() {
            self.shared.set_mode(node, Mode::Down, true);
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("bootstrap_servers", &self.bootstrap_servers())
            .finish_non_exhaustive()
    }
}
