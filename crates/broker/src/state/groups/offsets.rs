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
        if committed.metadata.len() > MOST_METADATA {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        self.were_committed = true;
        self.committed.insert((topic.clone(), partition), committed);
        Ok(())
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
        self.committed.retain(|(name, _), _| **name != *topic);
    }
}
