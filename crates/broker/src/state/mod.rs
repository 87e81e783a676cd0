//! What the cluster knows: pure, driven by calls that carry the time; no clock, lock, task or socket.

mod aborted;
pub(crate) mod batch;
pub(crate) mod compression;
pub(crate) mod configs;
mod connections;
mod coordinators;
pub(crate) mod groups;
pub(crate) mod head;
mod ids;
mod leaders;
pub(crate) mod log;
mod login;
mod marker;
pub(crate) mod nodes;
pub(crate) mod producers;
pub(crate) mod random;
pub(crate) mod records;
mod security;
pub(crate) mod sessions;
mod time;
mod timers;
pub(crate) mod topics;
mod transacting;
pub(crate) mod transactions;
pub(crate) mod waits;

pub(crate) use aborted::Aborted;
pub(crate) use connections::Connection;
pub(crate) use ids::{ConnectionId, CoordinatorKind, ListenerId, NodeId, Now};
pub(crate) use login::{Failed, Login, Told};
pub(crate) use marker::Marker;

use connections::Connections;
use groups::Groups;
use nodes::Nodes;
use random::Random;
use security::Security;
use sessions::Sessions;
use timers::{Alarm, Timers};
use topics::Topics;
use transactions::Transactions;
use waits::Waits;

use crate::about::About;
use crate::acl::Acls;
use crate::plan::{Facts, Plan};
use crate::rules::Rules;
use crate::seen::Seen;
use crate::settings::Settings;
use crate::wire::{ApiKey, Header, Name};

/// More than any test or development needs.
const MOST_PARTITIONS: usize = 100_000;

/// The whole cluster: all nodes share it, so replication is but a label.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) cluster_id: String,
    pub(crate) random: Random,
    pub(crate) nodes: Nodes,
    pub(crate) connections: Connections,
    pub(crate) security: Security,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) sessions: Sessions,
    pub(crate) waits: Waits,
    pub(crate) faults: Rules,
    pub(crate) seen: Seen,
    timers: Timers,
    next_producer_id: i64,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut random = Random::new(settings.seed.unwrap_or_else(Random::entropy));
        let cluster_id = random.base64_id();
        let next_producer_id = random.first_producer_id();
        let nodes = Nodes::new(settings.nodes);
        let mut acls = Acls::default();
        for acl in &settings.acls {
            acls.add(acl.clone());
        }
        let security = Security {
            users: settings.users.clone(),
            mechanisms: settings.mechanisms.clone(),
            session_lifetime: settings.session_lifetime,
            acls,
        };
        let mut state = Self {
            settings,
            cluster_id,
            random,
            nodes,
            connections: Connections::default(),
            security,
            topics: Topics::default(),
            groups: Groups::default(),
            transactions: Transactions::default(),
            sessions: Sessions::default(),
            waits: Waits::default(),
            faults: Rules::default(),
            seen: Seen::default(),
            timers: Timers::default(),
            next_producer_id,
        };
        let configs = state.settings.topic_configs();
        for (name, partitions) in state.settings.topics.clone() {
            state.create_topic(&name.into(), partitions, None, configs.clone());
        }
        state
    }

    /// A producer id that was never given out before.
    pub(crate) fn new_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        id
    }

    /// Whether the cluster takes so many partitions more: what clients ask for must not take all memory.
    pub(crate) fn has_room(&self, partitions: i32) -> bool {
        let more = usize::try_from(partitions).unwrap_or(0);
        self.topics.partitions() + more <= MOST_PARTITIONS
    }

    /// Adds a topic whose leaders are spread over the live nodes; the caller has checked name and numbers.
    pub(crate) fn create_topic(
        &mut self,
        name: &Name,
        partitions: i32,
        replication: Option<usize>,
        configs: configs::TopicConfigs,
    ) {
        let id = self.random.topic_id();
        let replication = replication.unwrap_or(self.settings.replication);
        let first = self.random.below(self.nodes.all().len() as u64) as usize;
        self.topics.insert(name.clone(), id, configs, first);
        self.add_partitions(name, partitions, replication);
    }

    /// Adds partitions to a topic that is there.
    pub(crate) fn add_partitions(&mut self, name: &str, count: i32, replication: usize) {
        let nodes = &self.nodes;
        let added = (0..count).map_while(|_| {
            self.topics.add_partition(name, |nth| {
                let replicas = nodes.replicas(nth, replication);
                let leader = replicas.iter().copied().find(|id| nodes.is_alive(*id));
                (replicas, leader)
            })
        });
        // All of them, unless there is no such topic.
        let _ = added.count();
        if !self.timers.is_set(&Alarm::Retention) {
            let first = self.settings.retention_check;
            self.timers.set(Alarm::Retention, Some(first));
        }
    }

    /// Notes a request, and decides what goes wrong with it.
    pub(crate) fn arrived(&mut self, id: ConnectionId, header: &Header, about: &About) -> Plan {
        let Some(connection) = self.connections.get(id) else {
            return Plan::default();
        };
        let (node, user) = (connection.node, connection.login.user());
        self.seen.note(node, &user, header, about);
        let facts = Facts {
            api: header.key,
            node,
            client_id: header.client_id.as_deref().unwrap_or_default(),
            user: &user,
            about,
        };
        self.faults.plan(&facts, &mut self.random)
    }

    /// Whether a connection's client may ask this now, by its login.
    pub(crate) fn admits(&self, id: ConnectionId, key: ApiKey, now: Now) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| connection.login.admits(key, now.up))
    }

    /// A client has come, and may wait for answers.
    pub(crate) fn connected(&mut self, id: ConnectionId, connection: Connection) {
        self.connections.insert(id, connection);
    }

    /// Nobody waits on this connection any more.
    pub(crate) fn disconnected(&mut self, id: ConnectionId) {
        self.connections.remove(id);
        self.waits.disconnected(id);
    }
}
