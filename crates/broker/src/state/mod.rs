//! What the cluster knows: pure, driven by calls that carry the time; no clock, lock, task or socket.

pub(crate) mod batch;
pub(crate) mod compression;
pub(crate) mod configs;
pub(crate) mod groups;
pub(crate) mod log;
pub(crate) mod nodes;
pub(crate) mod producers;
pub(crate) mod random;
pub(crate) mod records;
pub(crate) mod sessions;
pub(crate) mod topics;
pub(crate) mod waits;

use std::collections::VecDeque;
use std::time::Duration;

use groups::Groups;
use nodes::Nodes;
use random::Random;
use sessions::Sessions;
use topics::Topics;
use waits::Waits;

use crate::about::About;
use crate::faults::{Facts, Plan, Rules};
use crate::inspect::RequestSeen;
use crate::settings::Settings;
use crate::wire::{ErrorCode, Header, Name};

/// More than any test or development needs.
const MOST_PARTITIONS: usize = 100_000;

/// As many requests are remembered.
const MOST_SEEN: usize = 4096;
/// So much of a client's id is remembered, and sixteen times that of topics' names.
const MOST_NOTED: usize = 256;

/// A moment: how long the cluster has been up, and what its wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) up: Duration,
    /// Milliseconds since 1970.
    pub(crate) wall: i64,
}

/// One connection of one client, for as long as the cluster lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A broker's id.
pub(crate) type NodeId = i32;

/// The whole cluster: all nodes share it, so replication is but a label.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) cluster_id: String,
    pub(crate) random: Random,
    pub(crate) nodes: Nodes,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) sessions: Sessions,
    pub(crate) waits: Waits,
    pub(crate) faults: Rules,
    pub(crate) seen: VecDeque<RequestSeen>,
    next_producer_id: i64,
    /// When retention looks at all logs again.
    next_retention: Duration,
}

/// The first topics of a request, as many as are worth remembering.
fn noted(about: &About) -> Vec<String> {
    let mut left = 16 * MOST_NOTED;
    let short = about.names().take_while(|name| {
        let fits = name.len() <= left;
        left = left.saturating_sub(name.len());
        fits
    });
    short.map(ToString::to_string).collect()
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut random = Random::new(settings.seed.unwrap_or_else(Random::entropy));
        let cluster_id = random.base64_id();
        let next_producer_id = random.first_producer_id();
        let next_retention = settings.retention_check;
        let nodes = Nodes::new(settings.nodes);
        let mut state = Self {
            settings,
            cluster_id,
            random,
            nodes,
            topics: Topics::default(),
            groups: Groups::default(),
            sessions: Sessions::default(),
            waits: Waits::default(),
            faults: Rules::default(),
            seen: VecDeque::new(),
            next_producer_id,
            next_retention,
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

    /// The node that coordinates a group: fixed by its name while the nodes live, unless it was moved.
    pub(crate) fn coordinator(&self, group: &str) -> Option<NodeId> {
        self.nodes.coordinator(group)
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
    }
}

impl State {
    /// Notes a request, and decides what goes wrong with it.
    pub(crate) fn arrived(&mut self, node: NodeId, header: &Header, about: &About) -> Plan {
        let client_id = header.client_id.as_deref().unwrap_or_default();
        let facts = Facts {
            api: header.key,
            node,
            client_id,
            about,
        };
        let plan = self.faults.plan(&facts, &mut self.random);
        if self.seen.len() == MOST_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(RequestSeen {
            node,
            api: header.key,
            version: header.version,
            client_id: client_id.chars().take(MOST_NOTED).collect(),
            topics: noted(about),
        });
        plan
    }

    /// Replicas by hand: the first that lives leads.
    pub(crate) fn assign_replicas(&mut self, name: &str, index: i32, replicas: &[NodeId]) {
        let nodes = &self.nodes;
        if let Ok(partition) = self.topics.partition_mut(name, index) {
            partition.replicas = replicas.to_vec();
            partition.leader = replicas.iter().copied().find(|id| nodes.is_alive(*id));
        }
    }

    /// Deletes a topic; who waits for its records hears of it.
    pub(crate) fn delete_topic(&mut self, name: &Name) -> Result<(), ErrorCode> {
        let topic = self
            .topics
            .remove(name)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        for index in 0..topic.partitions.len() {
            self.waits.changed(name, index as i32);
        }
        self.forget_topic_offsets(name);
        Ok(())
    }

    /// When something happens by itself next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let retention = (self.topics.partitions() > 0).then_some(self.next_retention);
        self.groups.deadline().into_iter().chain(retention).min()
    }

    /// Does what time has come for.
    pub(crate) fn tick(&mut self, now: Now) {
        self.tick_groups(now.up);
        if self.next_retention <= now.up {
            self.next_retention = now.up + self.settings.retention_check;
            self.retain(now.wall);
        }
    }

    /// A client has come, and may wait for answers.
    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        self.groups.connected(connection);
    }

    /// Nobody waits on this connection any more.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        self.waits.forget(connection);
        self.groups.disconnected(connection);
    }
}
