//! OffsetCommit: where a group will go on.

use super::groups::{code, string_since};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::groups::Committed;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct OffsetCommit {
    group: Name,
    generation: i32,
    member_id: Name,
    instance: Option<Name>,
    topics: Vec<(Name, Vec<(i32, Committed)>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<OffsetCommit, Malformed> {
    let group = r.string()?;
    let generation = r.i32()?;
    let member_id = r.string()?;
    let instance = string_since(r, 7)?;
    if r.version <= 4 {
        r.i64()?; // how long to keep the offsets
    }
    let topics = r.array(|r| {
        let name = r.string()?;
        let partitions = r.array(|r| {
            let partition = r.i32()?;
            let committed = Committed {
                offset: r.i64()?,
                leader_epoch: if r.version >= 6 { r.i32()? } else { -1 },
                metadata: r.nullable_string()?.unwrap_or_else(|| "".into()),
            };
            r.tagged((partition, committed))
        })?;
        r.tagged((name, partitions))
    })?;
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
        let topics = self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |(partition, _)| (name.clone(), Some(*partition)))
        });
        About {
            topics: topics.collect(),
            ..About::group(&self.group)
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let allowed = self.check(at);
        if out.version >= 3 {
            out.throttle();
        }
        out.array(&self.topics, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, (partition, committed)| {
                let result = at.part(Some(name), Some(*partition), |at| {
                    allowed?;
                    at.state.topics.partition(name, *partition)?;
                    at.state.in_any_group(&self.group, |group| {
                        group.offsets.commit(name, *partition, committed.clone())
                    })
                });
                out.i32(*partition);
                out.code(code(&result));
                out.tags();
            });
            out.tags();
        });
        out.tags();
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
