//! OffsetCommit: where a group will go on.

use super::committed_topics::CommittedTopics;
use super::groups::string_since;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct OffsetCommit {
    group: Name,
    generation: i32,
    member_id: Name,
    instance: Option<Name>,
    topics: CommittedTopics,
}

pub(super) fn read(r: &mut Reader) -> Result<OffsetCommit, Malformed> {
    let group = r.string()?;
    let generation = r.i32()?;
    let member_id = r.string()?;
    let instance = string_since(r, 7)?;
    if r.version <= 4 {
        r.i64()?; // how long to keep the offsets
    }
    let topics = CommittedTopics::read(r, 6)?;
    Ok(OffsetCommit {
        group,
        generation,
        member_id,
        instance,
        topics,
    })
}

impl Call for OffsetCommit {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About {
            topics: self.topics.partitions(),
            ..About::group(&self.group)
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let allowed = self.check(at);
        if out.version >= 3 {
            out.throttle();
        }
        self.topics
            .answer(at, out, allowed, |at, topic, partition, committed| {
                at.state.in_any_group(&self.group, |group| {
                    group.offsets.commit(topic, partition, committed)
                })
            });
        Step::Answer
    }
}

impl OffsetCommit {
    fn check(&self, at: &mut At<'_>) -> Result<(), ErrorCode> {
        at.is_coordinator(&self.group)?;
        let now = at.now.up;
        let known = at.state.in_group(&self.group, |group| {
            let instance = self.instance.as_deref();
            let classic = group.classic_mut();
            classic.check_commit(&self.member_id, instance, self.generation)?;
            classic.heard_of(&self.member_id, now);
            Ok(())
        });
        match known {
            Some(result) => result,
            // Offsets alone make a group.
            None if !at.state.groups.has_room(&self.group) => {
                Err(ErrorCode::GROUP_MAX_SIZE_REACHED)
            }
            None if self.generation < 0 => Ok(()),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }
}
