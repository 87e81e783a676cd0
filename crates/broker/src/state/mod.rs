//! What the cluster knows: pure, driven by calls that carry the time; no clock, lock, task or socket.

pub(crate) mod batch;
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

use std::time::Duration;

use groups::Groups;
use nodes::Nodes;
use random::Random;
use sessions::Sessions;
use topics::Topics;
use waits::Waits;

use crate::settings::Settings;
use crate::wire::{ErrorCode, Name};

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
    next_producer_id: i64,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut random = Random::new(settings.seed);
        let cluster_id = random.base64_id();
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
            next_producer_id: 0,
        };
        for (name, partitions) in state.settings.topics.clone() {
            state.create_topic(
                &name.into(),
                partitions,
                None,
                configs::TopicConfigs::default(),
            );
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
        if let Some(topic) = self.topics.get_mut(name) {
            for _ in 0..count {
                let replicas =
                    nodes.replicas(topic.first_node + topic.partitions.len(), replication);
                let leader = replicas.iter().copied().find(|id| nodes.is_alive(*id));
                topic.add_partition(replicas, leader);
            }
        }
    }
}

impl State {
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
        self.groups.deadline()
    }

    /// Does what time has come for.
    pub(crate) fn tick(&mut self, now: Now) {
        self.tick_groups(now.up);
    }

    /// Nobody waits on this connection any more.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        self.waits.forget(connection);
        self.groups.take_answer(connection);
    }
}
