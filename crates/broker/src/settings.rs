//! What a cluster is started with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

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
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised_host: None,
        }
    }
}
