//! The running cluster: its nodes, and what can be done to them.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    Builder, Version,
    config::Plan,
    error::{Context, Error},
    helper::Helper,
    probe::{self, Ask, View},
    process::{Group, Process, tail, wait_for},
};

/// Longest wait for a cluster to become ready.
pub(crate) const READY: Duration = Duration::from_secs(90);
/// Longest wait for a broker to end by itself.
const STOP: Duration = Duration::from_secs(30);

/// A running cluster of real Kafka brokers, numbered from 1.
///
/// Dropping it ends every process and deletes its files, unless the thread is panicking: then the
/// files stay and their place is printed. All methods take `&self`, so a test may drive faults from
/// one thread and load from another.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Mutex<Option<Process>>>,
    zookeeper: Option<Process>,
    pub(crate) helper: Mutex<Option<Helper>>,
    pub(crate) plan: Plan,
    keep: AtomicBool,
    // Last, because a field is dropped after those above it.
    pub(crate) group: Group,
}

impl Cluster {
    /// Settings to start from: one node of 4.3.0 on free ports.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn launch(plan: Plan, keep: bool) -> Result<Self, Error> {
        plan.prepare()?;
        let mut cluster = Self {
            nodes: (0..plan.nodes()).map(|_| Mutex::new(None)).collect(),
            zookeeper: None,
            helper: Mutex::new(None),
            plan,
            keep: AtomicBool::new(true),
            group: Group::new()?,
        };
        if cluster.plan.version.uses_zookeeper() {
            cluster.zookeeper = Some(cluster.spawn_zookeeper()?);
        }
        for node in cluster.node_ids() {
            cluster.launch_node(node)?;
        }
        cluster.wait_ready()?;
        cluster.keep.store(keep, Ordering::Relaxed);
        Ok(cluster)
    }

    /// The Kafka version of every node.
    pub fn version(&self) -> Version {
        self.plan.version
    }

    /// Every node's id, running or not.
    pub fn node_ids(&self) -> Vec<i32> {
        (1..).take(self.nodes.len()).collect()
    }

    /// Every node's address, as `bootstrap.servers` wants it.
    pub fn bootstrap(&self) -> String {
        join(&self.plan.ports.client)
    }

    /// One node's `host:port`; empty for a node that there is not.
    pub fn address(&self, node: i32) -> String {
        self.port(node).map_or_else(|_| String::new(), loopback)
    }

    /// The address of a node's second listener, to which a proxy forwards; see
    /// [`Builder::proxies`].
    pub fn behind_proxy(&self, node: i32) -> String {
        self.entry(node, &self.plan.ports.proxied)
            .map_or_else(|_| String::new(), |&port| loopback(port))
    }

    /// One node's `host:port` of a listener that [`Builder::listener`] opened; empty where there is none.
    pub fn listener(&self, node: i32, name: &str) -> String {
        let listeners = &self.plan.listeners;
        let place = listeners.iter().position(|(known, _)| known == name);
        place
            .and_then(|place| self.plan.ports.extra.get(place))
            .and_then(|ports| self.entry(node, ports).ok())
            .map_or_else(String::new, |port| format!("localhost:{port}"))
    }

    /// Where configuration, data and logs are.
    pub fn dir(&self) -> &Path {
        &self.plan.dir
    }

    /// The file with a node's output.
    pub fn log(&self, node: i32) -> PathBuf {
        self.plan.log(usize::try_from(node).unwrap_or_default())
    }

    /// Keeps the files when the cluster is dropped, as a panic does.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Kills a node (SIGKILL) and waits until it is gone; nothing happens when it does not run.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn kill(&self, node: i32) -> Result<(), Error> {
        if let Some(mut process) = self.node(node)?.take() {
            process.kill();
        }
        Ok(())
    }

    /// Shuts a node down in order (SIGTERM) and waits until it is gone; nothing happens when it
    /// does not run.
    ///
    /// A KRaft node whose controllers have lost their majority cannot shut down in order: use
    /// [`Cluster::kill`] for the last nodes of three.
    ///
    /// # Errors
    ///
    /// When there is no such node, or it did not end within 30 s and was killed.
    pub fn stop(&self, node: i32) -> Result<(), Error> {
        let Some(mut process) = self.node(node)?.take() else {
            return Ok(());
        };
        if process.terminate(STOP)? {
            return Ok(());
        }
        Err(Error::Timeout {
            what: format!("the orderly end of node {node}"),
            limit: STOP,
        })
    }

    /// Starts a node that was stopped or killed and waits until the cluster is ready.
    ///
    /// Without a majority of nodes running that cannot come true: start the others by
    /// [`Cluster::launch_node`] first.
    ///
    /// # Errors
    ///
    /// When there is no such node, or it does not become ready.
    pub fn start(&self, node: i32) -> Result<(), Error> {
        self.launch_node(node)?;
        self.wait_ready()
    }

    /// Starts a node and returns at once; nothing happens when it runs already.
    ///
    /// # Errors
    ///
    /// When there is no such node, or Java does not start.
    pub fn launch_node(&self, node: i32) -> Result<(), Error> {
        let mut slot = self.node(node)?;
        if slot
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
        {
            return Ok(());
        }
        if self.plan.version.uses_zookeeper() {
            self.wait_for_session_end(node)?;
        }
        let number = usize::try_from(node).unwrap_or_default();
        let config = self.plan.configure(number)?;
        let mut command = self.java(&self.plan.heap);
        command.arg("kafka.Kafka").arg(config);
        *slot = Some(self.spawn(number, command)?);
        Ok(())
    }

    /// Freezes a node (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn pause(&self, node: i32) -> Result<(), Error> {
        self.set_paused(node, true)
    }

    /// Lets a paused node go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn resume(&self, node: i32) -> Result<(), Error> {
        self.set_paused(node, false)
    }

    fn set_paused(&self, node: i32, paused: bool) -> Result<(), Error> {
        if let Some(process) = self.node(node)?.as_mut() {
            process.signal(if paused { Signal::STOP } else { Signal::CONT })?;
            process.paused = paused;
        }
        Ok(())
    }

    /// The nodes that run and are not paused.
    pub fn running(&self) -> Vec<i32> {
        let runs = |process: &mut Process| !process.paused && process.ended().is_none();
        let mut ids = self.node_ids();
        ids.retain(|&node| {
            self.node(node)
                .is_ok_and(|mut slot| slot.as_mut().is_some_and(runs))
        });
        ids
    }

    /// Waits until every running node answers and knows every other as registered and unfenced.
    ///
    /// # Errors
    ///
    /// When a node ended by itself, or after 90 s.
    pub fn wait_ready(&self) -> Result<(), Error> {
        let mut failed = None;
        let ready = wait_for(READY, || {
            failed = self.died();
            failed.is_some() || self.is_ready()
        });
        match failed {
            Some(error) => Err(error),
            None if ready => Ok(()),
            None => {
                let what = format!("a ready cluster (logs in {})", self.plan.dir.display());
                Err(Error::Timeout { what, limit: READY })
            }
        }
    }

    fn is_ready(&self) -> bool {
        let running = self.running();
        // Metadata lists a broker only while it is unfenced, and a broker answers only once it is
        // so itself. The cluster's id tells it from a stranger that had the port first.
        running.iter().all(|&node| {
            let number = usize::try_from(node).unwrap_or_default();
            let id = self.plan.cluster_id_of(number);
            self.view(node, Ask::None).is_some_and(|view| {
                Some(view.cluster_id) == id
                    && view.controller >= 0
                    && running.iter().all(|other| view.brokers.contains(other))
            })
        })
    }

    /// A node that ended though nobody asked it to.
    fn died(&self) -> Option<Error> {
        self.node_ids().into_iter().find_map(|node| {
            let status = self.node(node).ok()?.as_mut()?.ended()?;
            let log = self.log(node);
            let what = format!(
                "node {node} ended by itself ({status}), see {}",
                log.display()
            );
            Some(Error::Failed {
                what,
                output: tail(&log),
            })
        })
    }

    /// What a node says about the cluster; `None` when it does not answer.
    pub(crate) fn view(&self, node: i32, ask: Ask<'_>) -> Option<View> {
        probe::metadata(self.port(node).ok()?, ask).ok()
    }

    fn port(&self, node: i32) -> Result<u16, Error> {
        self.entry(node, &self.plan.ports.client).copied()
    }

    fn node(&self, node: i32) -> Result<MutexGuard<'_, Option<Process>>, Error> {
        Ok(self
            .entry(node, &self.nodes)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// A node's entry in a list of one for each node.
    fn entry<'a, T>(&self, node: i32, list: &'a [T]) -> Result<&'a T, Error> {
        let index = usize::try_from(node)
            .ok()
            .and_then(|node| node.checked_sub(1));
        index.and_then(|index| list.get(index)).ok_or_else(|| {
            Error::Invalid(format!("there is no node {node} of {}", self.nodes.len()))
        })
    }

    /// The addresses that Java's clients start from: nodes that can answer.
    pub(crate) fn running_addresses(&self) -> Result<String, Error> {
        let addresses: Vec<String> = self
            .running()
            .into_iter()
            .map(|node| self.address(node))
            .collect();
        if addresses.is_empty() {
            return Err(Error::Invalid("no node is running".to_owned()));
        }
        Ok(addresses.join(","))
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = self.plan.jars.java();
        // Java's options come before the class name, so they can be added here.
        command
            .arg(format!("-Xmx{heap}"))
            .arg(format!("-Xms{heap}"))
            .arg("-XX:+UseG1GC")
            .arg(format!(
                "-Dlog4j.configuration=file:{}",
                self.plan.log4j1().display()
            ));
        command
    }

    fn spawn(&self, node: usize, mut command: Command) -> Result<Process, Error> {
        let path = self.plan.log(node);
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let (out, err) = open()
            .and_then(|file| Ok((file.try_clone()?, file)))
            .context(|| format!("opening {}", path.display()))?;
        command.stdout(out).stderr(err);
        Process::spawn(&self.group, command)
    }

    fn spawn_zookeeper(&self) -> Result<Process, Error> {
        let mut command = self.java("128m");
        command
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(self.plan.node_dir(0).join("zookeeper.properties"));
        let mut process = self.spawn(0, command)?;
        wait_for(READY, || {
            process.ended().is_some() || self.zookeeper_sessions().is_some()
        });
        match process.ended() {
            None => Ok(process),
            Some(status) => {
                let what = format!("ZooKeeper ended by itself ({status})");
                Err(Error::Failed {
                    what,
                    output: tail(&self.plan.log(0)),
                })
            }
        }
    }

    /// ZooKeeper's list of sessions and what they hold.
    fn zookeeper_sessions(&self) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.plan.ports.zookeeper));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"dump").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.contains("Ephemerals").then_some(text)
    }

    /// A broker refuses to start while the session of its former life still holds its id.
    fn wait_for_session_end(&self, node: i32) -> Result<(), Error> {
        let path = format!("/brokers/ids/{node}");
        let gone = || {
            self.zookeeper_sessions()
                .is_some_and(|text| !text.lines().any(|line| line.trim() == path))
        };
        if wait_for(READY, gone) {
            return Ok(());
        }
        Err(Error::Timeout {
            what: format!("the end of node {node}'s ZooKeeper session"),
            limit: READY,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.zookeeper.take();
        self.helper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let dir = self.plan.dir.display();
        if thread::panicking() {
            eprintln!("kafka-cluster: the brokers' logs and data are kept in {dir}");
        } else if !self.keep.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_dir_all(&self.plan.dir)
        {
            eprintln!("kafka-cluster: {dir} could not be deleted: {error}");
        }
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn join(ports: &[u16]) -> String {
    let addresses: Vec<String> = ports.iter().copied().map(loopback).collect();
    addresses.join(",")
}
