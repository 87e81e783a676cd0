//! Who leads which partition, as nodes come and go and topics are made and deleted.

use super::ids::NodeId;
use super::{Now, State};
use crate::wire::{ErrorCode, Name};

impl State {
    /// Gives a partition to another live node; those that wait for records there hear of it.
    pub(crate) fn move_leader(
        &mut self,
        topic: &str,
        index: i32,
        to: NodeId,
    ) -> Result<(), ErrorCode> {
        if !self.nodes.is_alive(to) {
            return Err(ErrorCode::BROKER_NOT_AVAILABLE);
        }
        let partition = self.topics.partition_mut(topic, index)?;
        if !partition.replicas.contains(&to) {
            // As if it had been reassigned there first.
            partition.replicas.insert(0, to);
        }
        partition.lead(Some(to));
        self.waits.changed(topic, index);
        Ok(())
    }

    /// A node died: its partitions go to their next live replica, or have no leader; its groups go to another.
    pub(crate) fn node_died(&mut self, id: NodeId, now: Now) {
        self.change_coordinators(now.up, |state| state.nodes.set_alive(id, false));
        self.sessions.forget_node(id);
        self.elect();
    }

    /// A node is back: it takes up what had no leader, and its groups.
    pub(crate) fn node_started(&mut self, id: NodeId, now: Now) {
        self.change_coordinators(now.up, |state| state.nodes.set_alive(id, true));
        self.elect();
    }

    fn elect(&mut self) {
        let Self {
            nodes,
            topics,
            waits,
            ..
        } = self;
        for (name, topic) in topics.iter_mut() {
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                if partition.leader.is_some_and(|id| nodes.is_alive(id)) {
                    continue;
                }
                let next = partition.replicas.iter().find(|id| nodes.is_alive(**id));
                partition.lead(next.copied());
                waits.changed(name, index as i32);
            }
        }
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
        self.groups.forget_topic(name);
        Ok(())
    }
}
