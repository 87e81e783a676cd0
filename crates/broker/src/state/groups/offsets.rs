//! A group's committed offsets, whoever its members are.

use std::collections::BTreeMap;

use crate::wire::{ErrorCode, Name};

/// As Kafka's `offset.metadata.max.bytes`.
const MOST_METADATA: usize = 4096;

/// What was committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Name,
}

/// Where a group will go on.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<(Name, i32), Committed>,
    /// What transactions will have committed when they are, by their producers' ids.
    pending: BTreeMap<i64, BTreeMap<(Name, i32), Committed>>,
    /// Something was committed once: the group stays, also without any of it.
    were_committed: bool,
}

impl Offsets {
    pub(super) fn were_committed(&self) -> bool {
        self.were_committed
    }

    pub(crate) fn commit(
        &mut self,
        topic: &Name,
        partition: i32,
        committed: Committed,
    ) -> Result<(), ErrorCode> {
        check(&committed)?;
        self.were_committed = true;
        self.committed.insert((topic.clone(), partition), committed);
        Ok(())
    }

    /// Keeps an offset until its transaction ends.
    pub(crate) fn commit_later(
        &mut self,
        producer_id: i64,
        topic: &Name,
        partition: i32,
        committed: Committed,
    ) -> Result<(), ErrorCode> {
        check(&committed)?;
        self.were_committed = true;
        let pending = self.pending.entry(producer_id).or_default();
        pending.insert((topic.clone(), partition), committed);
        Ok(())
    }

    /// A producer's transaction ends.
    pub(in crate::state) fn end(&mut self, producer_id: i64, commit: bool) {
        let pending = self.pending.remove(&producer_id);
        if commit {
            self.committed.extend(pending.into_iter().flatten());
        }
    }

    /// Whether a transaction that goes on will change it.
    pub(crate) fn is_unstable(&self, topic: &Name, partition: i32) -> bool {
        let key = (topic.clone(), partition);
        self.pending.values().any(|of| of.contains_key(&key))
    }

    pub(crate) fn get(&self, topic: &Name, partition: i32) -> Option<&Committed> {
        self.committed.get(&(topic.clone(), partition))
    }

    /// In the order of topics and partitions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, i32, &Committed)> {
        let all = self.committed.iter();
        all.map(|((topic, partition), committed)| (topic, *partition, committed))
    }

    pub(super) fn remove(&mut self, topic: &Name, partition: i32) {
        self.committed.remove(&(topic.clone(), partition));
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        for pending in self.pending.values_mut() {
            pending.retain(|(name, _), _| **name != *topic);
        }
        self.committed.retain(|(name, _), _| **name != *topic);
    }
}

fn check(committed: &Committed) -> Result<(), ErrorCode> {
    if committed.metadata.len() > MOST_METADATA {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    Ok(())
}
