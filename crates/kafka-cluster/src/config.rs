//! What the brokers' and ZooKeeper's configuration files say.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
};

use crate::{
    Version,
    error::{Context, Error},
    jars::Jars,
    ports::Ports,
};

/// log4j 1 and log4j 2 bindings are both among 4.x's jars, and the order of a class path's
/// wildcard decides.
const LOG4J1: &str = "\
log4j.rootLogger=WARN, OUT
log4j.appender.OUT=org.apache.log4j.ConsoleAppender
log4j.appender.OUT.layout=org.apache.log4j.PatternLayout
log4j.appender.OUT.layout.ConversionPattern=[%d] %p %m (%c)%n
";

/// Everything that is fixed when a cluster is made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) version: Version,
    pub(crate) jars: Jars,
    pub(crate) ports: Ports,
    pub(crate) dir: PathBuf,
    pub(crate) heap: String,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) proxies: Vec<String>,
    /// Names and protocols of further listeners, whose ports are in the same order.
    pub(crate) listeners: Vec<(String, String)>,
}

impl Plan {
    pub(crate) fn nodes(&self) -> usize {
        self.ports.client.len()
    }

    pub(crate) fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    /// Standard output and standard error of a node; node 0 is ZooKeeper.
    pub(crate) fn log(&self, node: usize) -> PathBuf {
        self.node_dir(node).join("broker.log")
    }

    pub(crate) fn log4j1(&self) -> PathBuf {
        self.dir.join("log4j.properties")
    }

    /// Writes what all nodes need.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.dir).context(|| format!("creating {}", self.dir.display()))?;
        write(&self.log4j1(), LOG4J1)?;
        if self.version.uses_zookeeper() {
            return self.prepare_zookeeper();
        }
        let cluster_id = self.cluster_id();
        (1..=self.nodes()).try_for_each(|node| self.format(node, &cluster_id))
    }

    fn prepare_zookeeper(&self) -> Result<(), Error> {
        let dir = self.node_dir(0);
        fs::create_dir_all(&dir).context(|| format!("creating {}", dir.display()))?;
        // `dump` shows whose sessions are alive; short ticks allow short sessions.
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ntickTime=1000\n\
             4lw.commands.whitelist=dump\n",
            dir.join("data").display(),
            self.ports.zookeeper
        );
        write(&dir.join("zookeeper.properties"), &text)
    }

    /// Writes a node's `server.properties` and returns its path.
    pub(crate) fn configure(&self, node: usize) -> Result<PathBuf, Error> {
        let dir = self.node_dir(node);
        fs::create_dir_all(&dir).context(|| format!("creating {}", dir.display()))?;
        let path = dir.join("server.properties");
        let text: String = self
            .settings(node)
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        write(&path, &text)?;
        Ok(path)
    }

    fn settings(&self, node: usize) -> BTreeMap<String, String> {
        let port = |ports: &[u16]| ports.get(node - 1).copied().unwrap_or_default();
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", port(&self.ports.client));
        let mut advertised = listeners.clone();
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        if let Some(proxy) = self.proxies.get(node - 1) {
            listeners += &format!(",PROXIED://127.0.0.1:{}", port(&self.ports.proxied));
            advertised += &format!(",PROXIED://{proxy}");
            protocols += ",PROXIED:PLAINTEXT";
        }
        for ((name, protocol), ports) in self.listeners.iter().zip(&self.ports.extra) {
            listeners += &format!(",{name}://127.0.0.1:{}", port(ports));
            advertised += &format!(",{name}://localhost:{}", port(ports));
            protocols += &format!(",{name}:{protocol}");
        }
        let mut settings = self.common(node);
        let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
        if self.version.uses_zookeeper() {
            set("broker.id", node.to_string());
            set(
                "zookeeper.connect",
                format!("127.0.0.1:{}", self.ports.zookeeper),
            );
            // A broker that was killed cannot come back before its session has ended.
            set("zookeeper.session.timeout.ms", "6000".to_owned());
        } else {
            let voters: Vec<String> = (1..)
                .zip(&self.ports.controller)
                .map(|(voter, port)| format!("{voter}@127.0.0.1:{port}"))
                .collect();
            set("process.roles", "broker,controller".to_owned());
            set("node.id", node.to_string());
            set("controller.quorum.voters", voters.join(","));
            // Kafka's default is 9 s: before a killed node's session is over it may not register
            // again, and its leaderships do not move.
            set("broker.session.timeout.ms", "5000".to_owned());
            set("broker.heartbeat.interval.ms", "500".to_owned());
            set("controller.listener.names", "CONTROLLER".to_owned());
            listeners += &format!(",CONTROLLER://127.0.0.1:{}", port(&self.ports.controller));
        }
        set("listeners", listeners);
        set("advertised.listeners", advertised);
        set("listener.security.protocol.map", protocols);
        settings.extend(self.properties.iter().cloned());
        settings
    }

    fn common(&self, node: usize) -> BTreeMap<String, String> {
        let replication = self.nodes().min(3).to_string();
        let in_sync = self.nodes().min(2).to_string();
        let mut settings = BTreeMap::new();
        let mut set = |name: &str, value: &str| settings.insert(name.to_owned(), value.to_owned());
        set("broker.rack", &format!("rack-{node}"));
        set(
            "log.dirs",
            &self.node_dir(node).join("logs").display().to_string(),
        );
        for name in ["default", "offsets.topic", "transaction.state.log"] {
            set(&format!("{name}.replication.factor"), &replication);
        }
        set("min.insync.replicas", &in_sync);
        set("transaction.state.log.min.isr", &in_sync);
        if !self.version.uses_zookeeper() {
            set(
                "share.coordinator.state.topic.replication.factor",
                &replication,
            );
            set("share.coordinator.state.topic.min.isr", &in_sync);
            set("share.coordinator.state.topic.num.partitions", "4");
        }
        set("offsets.topic.num.partitions", "8");
        set("transaction.state.log.num.partitions", "8");
        set("num.partitions", "3");
        set("group.initial.rebalance.delay.ms", "0");
        set("auto.create.topics.enable", "false");
        set("num.network.threads", "2");
        set("num.io.threads", "4");
        set("log.segment.bytes", "268435456");
        set("log.cleaner.dedupe.buffer.size", "16777216");
        // A laptop's disk need not hold a benchmark for a week.
        set("log.retention.bytes", "2147483648");
        settings
    }

    /// Gives a node a formatted KRaft directory, unless it has one.
    fn format(&self, node: usize, cluster_id: &str) -> Result<(), Error> {
        let logs = self.node_dir(node).join("logs");
        let meta = logs.join("meta.properties");
        if meta.exists() {
            return Ok(());
        }
        fs::create_dir_all(&logs).context(|| format!("creating {}", logs.display()))?;
        let template = self.jars.template()?;
        for entry in
            fs::read_dir(&template).context(|| format!("reading {}", template.display()))?
        {
            let path = entry
                .context(|| format!("reading {}", template.display()))?
                .path();
            if let Some(name) = path.file_name() {
                fs::copy(&path, logs.join(name))
                    .context(|| format!("copying {}", path.display()))?;
            }
        }
        let directory_id = random_id();
        let text = format!(
            "version=1\nnode.id={node}\ncluster.id={cluster_id}\ndirectory.id={directory_id}\n"
        );
        write(&meta, &text)
    }

    /// The id that some node of a kept directory already has, else a new one.
    fn cluster_id(&self) -> String {
        (1..=self.nodes())
            .find_map(|node| self.cluster_id_of(node))
            .unwrap_or_else(random_id)
    }

    /// The cluster that a node's directory belongs to.
    pub(crate) fn cluster_id_of(&self, node: usize) -> Option<String> {
        let meta = fs::read_to_string(self.node_dir(node).join("logs/meta.properties")).ok()?;
        let id = meta
            .lines()
            .find_map(|line| line.strip_prefix("cluster.id="))?;
        Some(id.to_owned())
    }
}

/// A Kafka uuid: 128 bits as 22 URL-safe base64 digits, the last of which holds two bits.
fn random_id() -> String {
    let digits: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    let random = RandomState::new();
    let mut id: String = (0..21u64)
        .filter_map(|place| digits.get(usize::try_from(random.hash_one(place) % 62).ok()?))
        .collect();
    id.push('A');
    id
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).context(|| format!("writing {}", path.display()))
}
