//! LeaveGroup: members go, and the others share what they had.

use std::time::Duration;

use super::classic::Classic;
use crate::wire::{ErrorCode, Name};

impl Classic {
    /// Takes one member out, by its id or, if it is static, by its instance id (KIP-345).
    pub(crate) fn leave(
        &mut self,
        id: &Name,
        instance: Option<&Name>,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            let known = self
                .static_members
                .get(instance)
                .cloned()
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if !id.is_empty() && known != *id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
            self.remove(&known);
            self.after_removal(now);
            return Ok(());
        }
        if self.pending.remove(id).is_some() {
            // As Kafka 4, which makes no difference between it and a member.
            self.after_removal(now);
            return Ok(());
        }
        if !self.members.contains_key(id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.remove(id);
        self.after_removal(now);
        Ok(())
    }
}
