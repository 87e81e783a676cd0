//! What is known of the cluster: brokers, topics, leaders; answers and hints are merged into a new snapshot.
//!
//! Answers come from any broker, and some lag behind: a leader epoch never goes back (KIP-320) while
//! the topic is the same one; a new topic id is a new topic (KIP-516).

use std::sync::Arc;

use hashbrown::HashMap;

use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, TopicId, TopicName};
use crate::wire::{MetadataAnswer, PartitionMeta, TopicMeta};

/// One snapshot; never changed, only replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    pub(crate) brokers: HashMap<BrokerId, Address>,
    pub(crate) controller: Option<BrokerId>,
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) topics: HashMap<TopicName, Arc<Topic>>,
    /// Higher with each snapshot.
    pub(crate) version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    /// Zero from brokers that know no topic ids.
    pub(crate) id: TopicId,
    pub(crate) internal: bool,
    /// By number. Kept from the last good answer while `error` says why there is no newer one.
    pub(crate) partitions: Vec<Partition>,
    pub(crate) error: Option<ErrorCode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) leader: Option<BrokerId>,
    /// -1 where the broker does not tell.
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) isr: Vec<BrokerId>,
    pub(crate) offline: Vec<BrokerId>,
}

impl Topology {
    /// The snapshot after an answer to a request for the topics `asked`; what was not asked stays.
    pub(crate) fn merge(&self, answer: &MetadataAnswer, asked: &[TopicName]) -> Self {
        let mut topics = if self.is_other_cluster(answer) {
            HashMap::new()
        } else {
            self.topics.clone()
        };
        let answered: HashMap<&str, &TopicMeta> = answer
            .topics
            .iter()
            .filter_map(|topic| Some((topic.name.as_deref()?, topic)))
            .collect();
        for name in asked {
            let old = topics.get(name);
            let topic = match answered.get(&**name) {
                Some(meta) => merge_topic(name, meta, old.map(Arc::as_ref)),
                None => failed(
                    name,
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    old.map(Arc::as_ref),
                ),
            };
            // What has not changed stays the same allocation, by which readers can tell.
            if old.is_none_or(|old| **old != topic) {
                topics.insert(name.clone(), Arc::new(topic));
            }
        }
        let brokers = answer.brokers.iter().map(|b| (b.id, b.address.clone()));
        Self {
            brokers: brokers.collect(),
            controller: answer.controller,
            cluster_id: answer
                .cluster_id
                .clone()
                .or_else(|| self.cluster_id.clone()),
            topics,
            version: self.version + 1,
        }
    }

    /// The snapshot after a broker has named a partition's new leader (KIP-951); `None` when that is no news.
    pub(crate) fn apply_leader_hint(
        &self,
        topic: &str,
        partition: i32,
        leader: BrokerId,
        epoch: i32,
        nodes: &[(BrokerId, Address)],
    ) -> Option<Self> {
        let known = self.topics.get(topic)?;
        let index = usize::try_from(partition).ok()?;
        if epoch <= known.partitions.get(index)?.leader_epoch {
            return None;
        }
        let named = nodes.iter().find(|(id, _)| *id == leader);
        if named.is_none() && !self.brokers.contains_key(&leader) {
            return None;
        }
        let mut changed = Topic::clone(known);
        let partition = changed.partitions.get_mut(index)?;
        partition.leader = Some(leader);
        partition.leader_epoch = epoch;
        let mut next = self.clone();
        next.topics.insert(known.name.clone(), Arc::new(changed));
        if let Some((id, address)) = named {
            next.brokers.insert(*id, address.clone());
        }
        next.version += 1;
        Some(next)
    }

    /// Whether something was missing that a new answer may soon have: a leader, or a topic being created.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.topics.values().any(|topic| {
            topic.error == Some(ErrorCode::LEADER_NOT_AVAILABLE)
                || topic.error.is_none() && topic.partitions.iter().any(|p| p.leader.is_none())
        })
    }

    fn is_other_cluster(&self, answer: &MetadataAnswer) -> bool {
        let both = self.cluster_id.as_ref().zip(answer.cluster_id.as_ref());
        both.is_some_and(|(old, new)| old != new)
    }
}

fn merge_topic(name: &TopicName, meta: &TopicMeta, old: Option<&Topic>) -> Topic {
    if !meta.code.is_none() {
        return failed(name, meta.code, old);
    }
    let old = old.filter(|old| is_same(old, meta));
    let old_partitions = old.map_or(&[][..], |old| &old.partitions);
    // Partitions are numbered without gaps: a number beyond the count is nonsense, and no reason to allocate.
    let count = meta.partitions.len().max(old_partitions.len());
    let mut partitions: Vec<Partition> = (0..count)
        .map(|i| {
            old_partitions
                .get(i)
                .cloned()
                .unwrap_or_else(Partition::unknown)
        })
        .collect();
    for new in &meta.partitions {
        let index = usize::try_from(new.partition).ok();
        let slot = index.and_then(|index| partitions.get_mut(index));
        if let Some(slot) = slot.filter(|slot| !slot.is_newer_than(new)) {
            *slot = Partition::of(new);
        }
    }
    Topic {
        name: name.clone(),
        id: meta.id,
        internal: meta.internal,
        partitions,
        error: None,
    }
}

/// The topic as last known, marked: what is queued for it stays queued.
fn failed(name: &TopicName, code: ErrorCode, old: Option<&Topic>) -> Topic {
    Topic {
        name: name.clone(),
        id: old.map_or(TopicId::ZERO, |old| old.id),
        internal: old.is_some_and(|old| old.internal),
        partitions: old.map_or_else(Vec::new, |old| old.partitions.clone()),
        error: Some(code),
    }
}

/// Whether an answer is about the topic that is known, not about a later one of the same name.
fn is_same(old: &Topic, meta: &TopicMeta) -> bool {
    if !old.id.is_zero() && !meta.id.is_zero() {
        return old.id == meta.id;
    }
    // Without ids: one that was gone, or has lost partitions, was created again.
    let was_gone = old.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    !was_gone && meta.partitions.len() >= old.partitions.len()
}

impl Partition {
    fn unknown() -> Self {
        Self {
            leader: None,
            leader_epoch: -1,
            replicas: Vec::new(),
            isr: Vec::new(),
            offline: Vec::new(),
        }
    }

    fn of(meta: &PartitionMeta) -> Self {
        Self {
            leader: meta.leader,
            leader_epoch: meta.leader_epoch,
            replicas: meta.replicas.clone(),
            isr: meta.isr.clone(),
            offline: meta.offline.clone(),
        }
    }

    fn is_newer_than(&self, meta: &PartitionMeta) -> bool {
        meta.leader_epoch >= 0 && meta.leader_epoch < self.leader_epoch
    }
}

#[cfg(test)]
mod tests;
