//! One group: who is in it, by whichever protocol, and where it will go on.

use std::time::Duration;

use super::classic::Classic;
use super::offsets::Offsets;
use crate::wire::{ErrorCode, Name};

/// How a group's members find together.
#[derive(Debug)]
pub(crate) enum Membership {
    Classic(Classic),
}

#[derive(Debug)]
pub(crate) struct Group {
    membership: Membership,
    pub(crate) offsets: Offsets,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            membership: Membership::Classic(Classic::default()),
            offsets: Offsets::default(),
        }
    }
}

impl Group {
    pub(crate) fn classic(&self) -> &Classic {
        let Membership::Classic(classic) = &self.membership;
        classic
    }

    pub(crate) fn classic_mut(&mut self) -> &mut Classic {
        let Membership::Classic(classic) = &mut self.membership;
        classic
    }

    /// Kafka's name of its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self.membership {
            Membership::Classic(_) => "classic",
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match &self.membership {
            Membership::Classic(classic) => classic.is_empty(),
        }
    }

    /// Whether nothing would be lost with it.
    pub(in crate::state) fn is_blank(&self) -> bool {
        let nobody = match &self.membership {
            Membership::Classic(classic) => classic.is_blank(),
        };
        nobody && !self.offsets.were_committed()
    }

    pub(in crate::state) fn next_deadline(&self) -> Option<Duration> {
        match &self.membership {
            Membership::Classic(classic) => classic.next_deadline(),
        }
    }

    /// Does what time has come for.
    pub(in crate::state) fn tick(&mut self, now: Duration) {
        match &mut self.membership {
            Membership::Classic(classic) => classic.tick(now),
        }
    }

    /// The coordinator moved.
    pub(in crate::state) fn resign(&mut self, now: Duration) {
        match &mut self.membership {
            Membership::Classic(classic) => classic.resign(now),
        }
    }

    /// OffsetDelete: not while members read the topic.
    pub(crate) fn delete_offset(&mut self, topic: &Name, partition: i32) -> Result<(), ErrorCode> {
        let Membership::Classic(classic) = &self.membership;
        if classic.subscribes(topic) {
            return Err(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
        }
        self.offsets.remove(topic, partition);
        Ok(())
    }
}
