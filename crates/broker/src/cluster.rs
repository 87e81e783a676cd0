//! The cluster as a test or a program holds it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::io::shared::{Mode, Shared, keep_time};
use crate::io::{connection, listener};
use crate::settings::Settings;
use crate::state::{NodeId, State};

/// What is buffered of a stream in memory, each way.
const STREAM_BUFFER: usize = 64 * 1024;

/// Settings of a cluster; [`start`](Builder::start) makes one.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
    first_port: Option<u16>,
}

/// A running cluster. It ends when it is dropped: its ports close and its connections are cut off.
pub struct Cluster {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
    /// By node; `None` while a node refuses connections.
    listeners: Mutex<Vec<Option<JoinHandle<()>>>>,
    bootstrap: String,
}

/// Why a cluster could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A port could not be listened on.
    Listen {
        /// The port; 0 for any free one.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// A setting or an argument makes no sense; the text names it.
    Invalid(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { port: 0, .. } => f.write_str("cannot listen on any port of loopback"),
            Self::Listen { port, .. } => write!(f, "cannot listen on port {port} of loopback"),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Invalid(_) => None,
        }
    }
}

impl Builder {
    /// How many nodes the cluster has, with ids from 1. Default 1, at most 100.
    pub fn nodes(mut self, count: usize) -> Self {
        self.settings.nodes = count;
        self
    }

    /// A topic that is there from the start, its leaders spread over the nodes.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.settings.topics.push((name.into(), partitions));
        self
    }

    /// The port of the first node; the others take those that follow. Default: any free ones.
    pub fn first_port(mut self, port: u16) -> Self {
        self.first_port = Some(port);
        self
    }

    /// Whether a topic is made when a client first asks for it (`auto.create.topics.enable`). Default true.
    pub fn auto_create_topics(mut self, create: bool) -> Self {
        self.settings.auto_create_topics = create;
        self
    }

    /// Starts the nodes, each on a loopback port of its own, and waits for nothing else: clients can connect.
    ///
    /// Must be called within a tokio runtime; the cluster's tasks run there.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that makes no sense, [`Error::Listen`] when a port is taken.
    pub async fn start(self) -> Result<Cluster, Error> {
        self.check()?;
        let mut state = State::new(self.settings.clone());
        let mut bound = Vec::new();
        for index in 0..self.settings.nodes {
            let port = self.first_port.map_or(0, |first| first + index as u16);
            let listener = listen(port).await?;
            let address = listener
                .local_addr()
                .map_err(|source| Error::Listen { port, source })?;
            state
                .nodes
                .set_address(index as NodeId + 1, "127.0.0.1".into(), address.port());
            bound.push(listener);
        }
        let cluster = Cluster::new(state);
        for (index, listener) in bound.into_iter().enumerate() {
            cluster.serve(index as NodeId + 1, listener);
        }
        Ok(cluster)
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::Invalid(what));
        let nodes = self.settings.nodes;
        if !(1..=100).contains(&nodes) {
            return invalid(format!("a cluster has 1 to 100 nodes, not {nodes}"));
        }
        if let Some(first) = self.first_port
            && usize::from(u16::MAX - first) + 1 < nodes
        {
            return invalid(format!("no {nodes} ports follow from {first}"));
        }
        for (name, partitions) in &self.settings.topics {
            if !crate::state::topics::is_valid_name(name) {
                return invalid(format!("`{name}` is no name of a topic"));
            }
            if !(1..=10_000).contains(partitions) {
                return invalid(format!(
                    "topic {name}: 1 to 10000 partitions, not {partitions}"
                ));
            }
        }
        Ok(())
    }
}

async fn listen(port: u16) -> Result<TcpListener, Error> {
    listener::bind(port)
        .await
        .map_err(|source| Error::Listen { port, source })
}

impl Cluster {
    /// A cluster with other than the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(state: State) -> Self {
        let bootstrap = state.nodes.all().iter();
        let bootstrap = bootstrap.map(|node| format!("{}:{}", node.host, node.port));
        let bootstrap = bootstrap.collect::<Vec<_>>().join(",");
        let nodes = state.nodes.all().len();
        let shared = Arc::new(Shared::new(state));
        Self {
            timer: tokio::spawn(keep_time(shared.clone())),
            listeners: Mutex::new((0..nodes).map(|_| None).collect()),
            shared,
            bootstrap,
        }
    }

    fn serve(&self, node: NodeId, listener: TcpListener) {
        let task = tokio::spawn(listener::run(self.shared.clone(), node, listener));
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = listeners.get_mut(node as usize - 1) {
            *slot = Some(task);
        }
    }

    /// Every node's address, for a client's `bootstrap.servers`: `127.0.0.1:40001,127.0.0.1:40002`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap
    }

    /// A stream in memory to a node, as a connection to its port would be.
    #[must_use]
    pub fn connect(&self, node: i32) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(STREAM_BUFFER);
        let host = "127.0.0.1".to_owned();
        tokio::spawn(connection::serve(self.shared.clone(), node, ours, host));
        theirs
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.timer.abort();
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for task in listeners.iter_mut().filter_map(Option::take) {
            task.abort();
        }
        for mode in self.shared.modes() {
            mode.send_replace(Mode::Down);
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("bootstrap_servers", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
