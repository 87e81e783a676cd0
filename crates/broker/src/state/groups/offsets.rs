//! A group's committed offsets, and who may commit.

use bytes::{Buf, Bytes};

use super::group::{Group, Phase};
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

impl Group {
    /// Whether this member of this generation may commit; -1 and no member is a client outside of any group.
    pub(crate) fn check_commit(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if generation < 0 && id.is_empty() && instance.is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.check_member(id, instance)?;
        self.check_generation(generation)?;
        if self.phase == Phase::Completing {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
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
        self.has_committed = true;
        self.offsets.insert((topic.clone(), partition), committed);
        Ok(())
    }

    pub(crate) fn committed(&self, topic: &Name, partition: i32) -> Option<&Committed> {
        self.offsets.get(&(topic.clone(), partition))
    }

    /// OffsetDelete: not while members read the topic.
    pub(crate) fn delete_offset(&mut self, topic: &Name, partition: i32) -> Result<(), ErrorCode> {
        if self.subscribes(topic) {
            return Err(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
        }
        self.offsets.remove(&(topic.clone(), partition));
        Ok(())
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.offsets.retain(|(name, _), _| **name != *topic);
    }

    fn subscribes(&self, topic: &str) -> bool {
        if self.protocol_type.as_deref() != Some("consumer") {
            return false;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut metadata = self
            .members
            .values()
            .map(|member| member.metadata(protocol));
        // Who tells what it subscribes in no way that can be read may subscribe anything.
        metadata
            .any(|metadata| names(metadata).is_none_or(|names| names.iter().any(|n| n == topic)))
    }
}

/// The topics of a consumer's subscription: its version, then names.
fn names(mut metadata: Bytes) -> Option<Vec<String>> {
    metadata.try_get_i16().ok()?;
    let count = metadata.try_get_i32().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if len > metadata.len() {
            return None;
        }
        names.push(String::from_utf8(metadata.split_to(len).into()).ok()?);
    }
    Some(names)
}
