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

/// A partition's leader as a broker that is not the leader names it (KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) leader: BrokerId,
    pub(crate) epoch: i32,
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

    /// The snapshot after a broker has named partitions' new leaders (KIP-951); `None` when none of it is news.
    ///
    /// However many partitions an answer names, the snapshot is copied once, and each topic once.
    pub(crate) fn apply_leader_hints(
        &self,
        hints: &[LeaderHint],
        nodes: &[(BrokerId, Address)],
    ) -> Option<Self> {
        let nodes: HashMap<BrokerId, &Address> = nodes.iter().map(|(id, at)| (*id, at)).collect();
        let mut changed: HashMap<TopicName, Topic> = HashMap::new();
        let mut named = HashMap::new();
        for hint in hints {
            let Some((name, known)) = self.topics.get_key_value(&hint.topic) else {
                continue;
            };
            let Ok(index) = usize::try_from(hint.partition) else {
                continue;
            };
            let current = changed.get(name).unwrap_or(known);
            let is_news = current
                .partitions
                .get(index)
                .is_some_and(|partition| hint.epoch > partition.leader_epoch);
            let address = nodes.get(&hint.leader);
            if !is_news || address.is_none() && !self.brokers.contains_key(&hint.leader) {
                continue;
            }
            let topic = changed
                .entry(name.clone())
                .or_insert_with(|| Topic::clone(known));
            if let Some(partition) = topic.partitions.get_mut(index) {
                partition.leader = Some(hint.leader);
                partition.leader_epoch = hint.epoch;
            }
            named.extend(address.map(|address| (hint.leader, Address::clone(address))));
        }
        if changed.is_empty() {
            return None;
        }
        let mut next = self.clone();
        let changed = changed
            .into_iter()
            .map(|(name, topic)| (name, Arc::new(topic)));
        next.topics.extend(changed);
        next.brokers.extend(named);
        next.version += 1;
        Some(next)
    }

    /// The snapshot without topics that nobody uses any more.
    pub(crate) fn without(&self, forgotten: &[TopicName]) -> Self {
        let mut next = self.clone();
        for name in forgotten {
            next.topics.remove(name);
        }
        next.version += 1;
        next
    }

    /// Whether the answer is not about the cluster that is known.
    pub(crate) fn is_other_cluster(&self, answer: &MetadataAnswer) -> bool {
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
