//! How a cluster is to be.

use std::{
    env, fs, io,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    Cluster, Version,
    config::Plan,
    error::{Context, Error},
    jars::Jars,
    ports::Ports,
};

/// Settings of a cluster that is about to start.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    version: Version,
    nodes: usize,
    heap: String,
    properties: Vec<(String, String)>,
    proxies: Vec<String>,
    listeners: Vec<(String, String)>,
    port: Option<u16>,
    dir: Option<PathBuf>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: Version::default(),
            nodes: 1,
            heap: "512m".to_owned(),
            properties: Vec::new(),
            proxies: Vec::new(),
            listeners: Vec::new(),
            port: None,
            dir: None,
        }
    }
}

impl Builder {
    /// The Kafka version; default 4.3.0.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// How many brokers, each of which is a controller too; default 1.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds to every broker's `server.properties`, and wins over what the cluster sets itself.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Each broker's Java heap, as in `-Xmx`; default `512m`.
    pub fn heap(mut self, heap: impl Into<String>) -> Self {
        self.heap = heap.into();
        self
    }

    /// Opens a second listener on every broker, for clients that come through a proxy.
    ///
    /// A client that connects by [`Cluster::behind_proxy`] is told that broker `n` lives at
    /// `addresses[n - 1]`, so all of its connections go through the proxy; every other client is
    /// unaffected.
    pub fn proxies<A: ToString>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.proxies = addresses
            .into_iter()
            .map(|address| address.to_string())
            .collect();
        self
    }

    /// Opens another listener on every broker, under this name (in capitals) and with this security protocol, for clients
    /// that connect by [`Cluster::listener`]; they are told that the brokers live on `localhost`.
    pub fn listener(mut self, name: impl Into<String>, protocol: impl Into<String>) -> Self {
        self.listeners.push((name.into(), protocol.into()));
        self
    }

    /// Puts broker `n` on port `port + 10 * (n - 1)` of the loopback address; default: free ports.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Keeps the cluster's files there, to be found again by the next start; default: a temporary
    /// directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts the cluster and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When Java or Maven is missing, the settings make no sense, or a process does not become
    /// ready.
    pub fn start(self) -> Result<Cluster, Error> {
        if self.nodes == 0 {
            return Err(Error::Invalid("a cluster has at least one node".to_owned()));
        }
        if !self.proxies.is_empty() && self.proxies.len() != self.nodes {
            let (proxies, nodes) = (self.proxies.len(), self.nodes);
            return Err(Error::Invalid(format!(
                "{proxies} proxies for {nodes} nodes"
            )));
        }
        let mut attempts = 3;
        loop {
            attempts -= 1;
            let plan = self.plan()?;
            let again = plan.ports.are_chosen() && self.dir.is_none() && attempts > 0;
            match Cluster::launch(plan, self.dir.is_some()) {
                // A port that was free may be taken by an unrelated process before the broker binds
                // it.
                Err(Error::Failed { output, .. })
                    if again && output.contains("Address already in use") => {}
                result => return result,
            }
        }
    }

    fn plan(&self) -> Result<Plan, Error> {
        let jars = Jars::get(self.version)?;
        let ports = match self.port {
            Some(base) => Ports::fixed(base, self.nodes, self.listeners.len())?,
            None => Ports::free(self.nodes, self.listeners.len())?,
        };
        // Free ones were tried just now; another thread's child may hold a copy of the trial's socket for an instant.
        if self.port.is_some() {
            ports.check()?;
        }
        let dir = match &self.dir {
            Some(dir) => {
                std::path::absolute(dir).context(|| format!("finding {}", dir.display()))?
            }
            None => temporary()?,
        };
        Ok(Plan {
            version: self.version,
            jars,
            ports,
            dir,
            heap: self.heap.clone(),
            properties: self.properties.clone(),
            proxies: self.proxies.clone(),
            listeners: self.listeners.clone(),
        })
    }
}

/// A new directory that no other process uses.
fn temporary() -> Result<PathBuf, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("kafka-cluster-{}-{number}", process::id()));
        match fs::create_dir(&dir) {
            // Left by an earlier process with our id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => {
                return result
                    .map(|()| dir.clone())
                    .context(|| format!("creating {}", dir.display()));
            }
        }
    }
}
