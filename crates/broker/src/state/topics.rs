//! Topics and partitions: their leaders, epochs and logs.

use std::collections::{BTreeMap, HashMap};

use super::configs::TopicConfigs;
use super::ids::NodeId;
use super::log::Log;
use crate::wire::{ErrorCode, Name, TopicId};

/// All topics, by name and by id.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<Name, Topic>,
    names: HashMap<TopicId, Name>,
    /// Of all topics together.
    partitions: usize,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) configs: TopicConfigs,
    pub(crate) partitions: Vec<Partition>,
    /// Where the first partition's leader is; the others follow in a circle.
    pub(crate) first_node: usize,
}

#[derive(Debug)]
pub(crate) struct Partition {
    /// `None` while no replica lives.
    pub(crate) leader: Option<NodeId>,
    pub(crate) epoch: i32,
    pub(crate) replicas: Vec<NodeId>,
    pub(crate) log: Log,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// A partition to work on, by the topic's settings.
    pub(crate) fn partition_mut(&mut self, index: i32) -> Option<(&mut Partition, &TopicConfigs)> {
        let partition = self.partitions.get_mut(usize::try_from(index).ok()?)?;
        Some((partition, &self.configs))
    }
}

impl Partition {
    /// Whether a node leads, and the client's idea of the epoch (-1: none) is right.
    pub(crate) fn check_leader(&self, node: NodeId, epoch: i32) -> Result<(), ErrorCode> {
        if epoch >= 0 && epoch < self.epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if epoch > self.epoch {
            return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        }
        if self.leader != Some(node) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(())
    }

    pub(super) fn lead(&mut self, leader: Option<NodeId>) {
        if self.leader != leader {
            self.leader = leader;
            self.epoch += 1;
        }
    }
}

impl Topics {
    pub(crate) fn insert(&mut self, name: Name, id: TopicId, configs: TopicConfigs, first: usize) {
        self.names.insert(id, name.clone());
        let topic = Topic {
            id,
            configs,
            partitions: Vec::new(),
            first_node: first,
        };
        self.by_name.insert(name, topic);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Topic> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        self.partitions -= topic.partitions.len();
        Some(topic)
    }

    /// How many partitions all topics have together.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Adds a partition, on the replicas and with the leader that are chosen by its number in the circle of nodes.
    pub(crate) fn add_partition(
        &mut self,
        name: &str,
        choose: impl FnOnce(usize) -> (Vec<NodeId>, Option<NodeId>),
    ) -> Option<()> {
        let topic = self.by_name.get_mut(name)?;
        let (replicas, leader) = choose(topic.first_node + topic.partitions.len());
        topic.partitions.push(Partition {
            leader,
            epoch: 0,
            replicas,
            log: Log::default(),
        });
        self.partitions += 1;
        Some(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn name_of(&self, id: TopicId) -> Option<&Name> {
        self.names.get(&id)
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Topic)> {
        self.by_name.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Name, &mut Topic)> {
        self.by_name.iter_mut()
    }

    /// A partition by name and number.
    pub(crate) fn partition(&self, topic: &str, index: i32) -> Result<&Partition, ErrorCode> {
        self.get(topic)
            .and_then(|topic| topic.partition(index))
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    pub(crate) fn partition_mut(
        &mut self,
        topic: &str,
        index: i32,
    ) -> Result<&mut Partition, ErrorCode> {
        self.get_mut(topic)
            .and_then(|topic| topic.partition_mut(index))
            .map(|(partition, _)| partition)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

/// Kafka's rules for a topic's name.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty()
        && name.len() <= 249
        && name != "."
        && name != ".."
        && name.chars().all(letters)
}
