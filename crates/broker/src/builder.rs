//! The settings of a cluster, and its start.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::acl::Acl;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::io::listener;
use crate::listeners::Listener;
use crate::sasl::SaslMechanism;
use crate::settings::Settings;
use crate::state::configs::TopicConfigs;
use crate::state::nodes::Address;
use crate::state::topics::is_valid_name;
use crate::state::{ListenerId, NodeId, State};

/// Settings of a cluster; [`start`](Builder::start) makes one.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
    first_port: Option<u16>,
}

impl Cluster {
    /// A cluster with other than the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A cluster of one node that makes topics as they are asked for.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
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

    /// The port of the first node; the others take those that follow. 0, the default, takes any free ones.
    pub fn first_port(mut self, port: u16) -> Self {
        self.first_port = (port > 0).then_some(port);
        self
    }

    /// Where all that is random begins: ids, where leaders are, and faults that happen
    /// [`sometimes`](crate::Fault::sometimes). Default: another one each time.
    ///
    /// The same seed and the same requests in the same order give the same ids and faults. A client that has seen a
    /// cluster takes another one with the same seed for it, and its producer ids for the same producers'.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Whether a topic is made when a client first asks for it. Default true. Kafka: `auto.create.topics.enable`.
    pub fn auto_create_topics(mut self, create: bool) -> Self {
        self.settings.auto_create_topics = create;
        self
    }

    /// How many partitions a topic has when nobody says. Default 1. Kafka: `num.partitions`.
    pub fn default_partitions(mut self, count: i32) -> Self {
        self.settings.default_partitions = count;
        self
    }

    /// How many replicas a topic has when nobody says: the nodes that may lead it. Default 1, at most the nodes.
    /// Kafka: `default.replication.factor`.
    ///
    /// Replication is a label: every node sees every record. But when a node crashes, only a replica can take over.
    pub fn replication_factor(mut self, count: usize) -> Self {
        self.settings.replication = count;
        self
    }

    /// The longest request that is read. Default 100 MiB. Kafka: `socket.request.max.bytes`.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_request_bytes = bytes;
        self
    }

    /// The shortest session timeout that a group's member may ask for. Default 6 s.
    /// Kafka: `group.min.session.timeout.ms`.
    pub fn min_session_timeout(mut self, time: Duration) -> Self {
        self.settings.min_session_timeout = time;
        self
    }

    /// How long a new group waits for more members before its first generation. Default 0, where Kafka waits 3 s.
    /// Kafka: `group.initial.rebalance.delay.ms`.
    pub fn initial_rebalance_delay(mut self, time: Duration) -> Self {
        self.settings.initial_rebalance_delay = time;
        self
    }

    /// How many bytes of records a topic keeps for each partition when it does not say: the oldest go for new ones.
    /// Default: all. Kafka: `log.retention.bytes`.
    ///
    /// This is what bounds the cluster's memory: with it `retention.bytes` acts at once and batch by batch, also where
    /// a topic sets its own; without, as Kafka's, on whole segments
    /// [now and then](Builder::retention_check_interval).
    pub fn retention_bytes(mut self, bytes: u64) -> Self {
        self.settings.retention_bytes = Some(bytes);
        self
    }

    /// How often retention by time looks for segments whose records are all too old. Default 5 minutes.
    /// Kafka: `log.retention.check.interval.ms`.
    pub fn retention_check_interval(mut self, time: Duration) -> Self {
        self.settings.retention_check = time;
        self
    }

    /// The address that the nodes listen on: `0.0.0.0` for all that the machine has, as within a container. Default
    /// `127.0.0.1`. Kafka: `listeners`.
    ///
    /// Without [users](Builder::user) and [rules](Builder::allow), whoever reaches the port can do everything.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.settings.bind = address;
        self
    }

    /// The host by which clients find the nodes: a name or an address, without a port. Default: what
    /// [`bind`](Builder::bind) says, and `127.0.0.1` where that is all addresses. Kafka: `advertised.listeners`.
    ///
    /// Clients use the host they are told here whatever they connected to first, and the port on which the node
    /// listens: a container's port must be published under the same number.
    pub fn advertised_host(mut self, host: impl Into<String>) -> Self {
        self.settings.advertised_host = Some(host.into());
        self
    }

    /// The longest `transaction.timeout.ms` that a producer may ask for. Default 15 minutes.
    /// Kafka: `transaction.max.timeout.ms`.
    pub fn max_transaction_timeout(mut self, time: Duration) -> Self {
        self.settings.max_transaction_timeout = time;
        self
    }

    /// The level of the cluster's feature `transaction.version`, which says by which protocol clients do transactions: 2, the
    /// default, by that of Kafka 4 (KIP-890), which bumps the epoch with every end; 0 or 1 by that of Kafka before.
    pub fn transaction_version(mut self, level: i16) -> Self {
        self.settings.transaction_version = level;
        self
    }

    /// How long after its end a transaction's markers are written; what comes in between is told
    /// `CONCURRENT_TRANSACTIONS`, and readers with `isolation.level=read_committed` see nothing yet. Default 0: at once, but
    /// not within the same step.
    pub fn transaction_marker_delay(mut self, time: Duration) -> Self {
        self.settings.marker_delay = time;
        self
    }

    /// A user who may log in, by any of the [mechanisms](Builder::sasl_mechanisms).
    ///
    /// With the first one, clients have to: unless [listeners](Builder::listener) are named, the one that there is asks for a
    /// login (`security.protocol=SASL_PLAINTEXT`). What users may do is up to [`allow`](Builder::allow).
    pub fn user(mut self, name: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.settings.users.set(name.as_ref(), password.as_ref());
        self
    }

    /// The mechanisms by which users may log in. Default: all of [`SaslMechanism::ALL`].
    /// Kafka: `sasl.enabled.mechanisms`.
    pub fn sasl_mechanisms(mut self, all: impl IntoIterator<Item = SaslMechanism>) -> Self {
        self.settings.mechanisms = all.into_iter().collect();
        self
    }

    /// How long a login lasts; a client that does not renew it is cut off when it next asks for something (KIP-368).
    /// Default: as long as its connection. Kafka: `connections.max.reauth.ms`.
    pub fn session_lifetime(mut self, time: Duration) -> Self {
        self.settings.session_lifetime = Some(time);
        self
    }

    /// Another listener of each node, on a port of its own; clients of each are told the addresses of theirs. Default: one,
    /// called `PLAINTEXT`, or `SASL_PLAINTEXT` with [users](Builder::user). Kafka: `listeners`.
    ///
    /// The first is that of [`Cluster::bootstrap_servers`], the others' addresses are told by
    /// [`Cluster::bootstrap_servers_of`]. So a test can do what its client under test may not:
    ///
    /// ```
    /// use ottla_broker::{Cluster, Listener};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ottla_broker::Error> {
    /// let cluster = Cluster::builder()
    ///     .user("alice", "secret")
    ///     .listener(Listener::sasl_plaintext("EXTERNAL"))
    ///     .listener(Listener::plaintext("INTERNAL"))
    ///     .start()
    ///     .await?;
    /// assert_ne!(cluster.bootstrap_servers(), cluster.bootstrap_servers_of("INTERNAL"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn listener(mut self, listener: Listener) -> Self {
        self.settings.listeners.push(listener);
        self
    }

    /// Something that somebody may do; with the first, whatever is not allowed is refused as Kafka refuses it.
    /// Default: everybody may do everything. Kafka: `authorizer.class.name`.
    pub fn allow(mut self, acl: Acl) -> Self {
        self.settings.acls.push(acl);
        self
    }

    /// Starts the nodes, each on a port of its own; clients can connect when it returns.
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
        for of in (0..self.settings.listeners().len()).map(ListenerId) {
            for index in 0..self.settings.nodes {
                let nth = of.0 * self.settings.nodes + index;
                let port = self.first_port.map_or(0, |first| first + nth as u16);
                let address = SocketAddr::new(self.settings.bind, port);
                let listener = listener::bind(address).await?;
                let bound_to = listener.local_addr();
                let port = bound_to
                    .map_err(|source| Error::Listen { address, source })?
                    .port();
                let host = self.settings.advertised().into();
                let id = index as NodeId + 1;
                state.nodes.set_address(id, of, Address { host, port });
                bound.push(((id, of), listener));
            }
        }
        let cluster = Cluster::new(state, true);
        for (place, listener) in bound {
            cluster.serve(place, listener);
        }
        Ok(cluster)
    }

    /// Starts the nodes without any port: [`Cluster::connect`] is the only way to them.
    ///
    /// For tests whose clock stands still (`#[tokio::test(start_paused = true)]`): a socket's readiness comes from
    /// outside of tokio, so that time would run ahead of it. Metadata names the nodes `127.0.0.1` with ports from 1.
    ///
    /// Must be called within a tokio runtime; the cluster's tasks run there.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that makes no sense.
    pub fn start_in_memory(self) -> Result<Cluster, Error> {
        self.check()?;
        let mut state = State::new(self.settings.clone());
        for of in (0..self.settings.listeners().len()).map(ListenerId) {
            for index in 0..self.settings.nodes {
                let port = (of.0 * self.settings.nodes + index) as u16 + 1;
                let host = "127.0.0.1".into();
                let address = Address { host, port };
                state.nodes.set_address(index as NodeId + 1, of, address);
            }
        }
        Ok(Cluster::new(state, false))
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::Invalid(what));
        let settings = &self.settings;
        let nodes = settings.nodes;
        let listeners = settings.listeners();
        if !(1..=100).contains(&nodes) {
            return invalid(format!("a cluster has 1 to 100 nodes, not {nodes}"));
        }
        if !(1..=nodes).contains(&settings.replication) {
            let factor = settings.replication;
            return invalid(format!("replication factor {factor}, but {nodes} nodes"));
        }
        if let Some(first) = self.first_port
            && usize::from(u16::MAX - first) + 1 < nodes * listeners.len()
        {
            let ports = nodes * listeners.len();
            return invalid(format!("no {ports} ports from {first} on"));
        }
        let mut names = HashSet::new();
        let twice = listeners.iter().find(|one| !names.insert(&one.name));
        if let Some(twice) = twice {
            return invalid(format!("two listeners are called {}", twice.name));
        }
        if !(0..=2).contains(&settings.transaction_version) {
            let level = settings.transaction_version;
            return invalid(format!("transaction.version is 0, 1 or 2, not {level}"));
        }
        if settings.mechanisms.is_empty() {
            return invalid("no mechanism is left to log in by".to_owned());
        }
        if let Some(host) = &settings.advertised_host
            && !is_host(host)
        {
            return invalid(format!(
                "`{host}` is no host to advertise: give a name or an address, without a port"
            ));
        }
        if settings.retention_check.is_zero() {
            return invalid("retention is checked at intervals above 0".to_owned());
        }
        let default = ("default_partitions", settings.default_partitions);
        let topics = settings.topics.iter().map(|(name, n)| (name.as_str(), *n));
        for (name, partitions) in topics.clone().chain([default]) {
            if !is_valid_name(name) {
                return invalid(format!("`{name}` is no name of a topic"));
            }
            if !(1..=10_000).contains(&partitions) {
                return invalid(format!("{name}: 1 to 10000 partitions, not {partitions}"));
            }
        }
        Ok(())
    }
}

/// A name or an address that clients can be told.
fn is_host(host: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let named = !host.is_empty() && host.len() <= 255 && host.chars().all(letters);
    let somewhere = |address: IpAddr| !address.is_unspecified();
    named && host.parse().map_or(true, somewhere)
        || host
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| somewhere(address.into()))
}

impl Settings {
    /// The host by which clients find the nodes.
    fn advertised(&self) -> String {
        match &self.advertised_host {
            Some(host) => host.clone(),
            None if self.bind.is_unspecified() => "127.0.0.1".to_owned(),
            None => self.bind.to_string(),
        }
    }

    /// What a topic is set to that nobody said anything about.
    pub(crate) fn topic_configs(&self) -> TopicConfigs {
        let mut configs = TopicConfigs::default();
        if let Some(bytes) = self.retention_bytes {
            let bytes = bytes.min(i64::MAX as u64).to_string();
            // A number is right for it; were it not, the default would stay.
            let _ = configs.set("retention.bytes", &bytes);
        }
        configs
    }
}
