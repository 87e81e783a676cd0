//! What a cluster is started with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::acl::Acl;
use crate::listeners::Listener;
use crate::sasl::{SaslMechanism, Users};

/// All settings; the builder documents them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) nodes: usize,
    /// Drawn anew where nobody says.
    pub(crate) seed: Option<u64>,
    pub(crate) topics: Vec<(String, i32)>,
    pub(crate) auto_create_topics: bool,
    pub(crate) default_partitions: i32,
    /// How many replicas a topic says it has when nobody asks for a number.
    pub(crate) replication: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) min_session_timeout: Duration,
    pub(crate) max_session_timeout: Duration,
    pub(crate) initial_rebalance_delay: Duration,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) retention_check: Duration,
    pub(crate) max_transaction_timeout: Duration,
    /// The finalized level of the feature `transaction.version`.
    pub(crate) transaction_version: i16,
    /// How long a transaction's markers take.
    pub(crate) marker_delay: Duration,
    /// Those that were named; see `listeners`.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) users: Users,
    pub(crate) mechanisms: Vec<SaslMechanism>,
    pub(crate) session_lifetime: Option<Duration>,
    pub(crate) acls: Vec<Acl>,
    /// Where the nodes listen.
    pub(crate) bind: IpAddr,
    /// Where clients are told to go.
    pub(crate) advertised_host: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 1,
            seed: None,
            topics: Vec::new(),
            auto_create_topics: true,
            default_partitions: 1,
            replication: 1,
            max_request_bytes: 100 * 1024 * 1024,
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
            initial_rebalance_delay: Duration::ZERO,
            retention_bytes: None,
            retention_check: Duration::from_secs(300),
            max_transaction_timeout: Duration::from_secs(900),
            transaction_version: 2,
            marker_delay: Duration::ZERO,
            listeners: Vec::new(),
            users: Users::default(),
            mechanisms: SaslMechanism::ALL.to_vec(),
            session_lifetime: None,
            acls: Vec::new(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised_host: None,
        }
    }
}

impl Settings {
    /// Each node's listeners: those that were named, or one, which asks for a login where there are users.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        if !self.listeners.is_empty() {
            return self.listeners.clone();
        }
        let listener = if self.users.is_empty() {
            Listener::plaintext("PLAINTEXT")
        } else {
            Listener::sasl_plaintext("SASL_PLAINTEXT")
        };
        vec![listener]
    }
}
