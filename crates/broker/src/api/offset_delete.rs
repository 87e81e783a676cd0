//! OffsetDelete: forgets what a group committed for partitions that it does not read any more.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct OffsetDelete {
    group: Name,
    topics: Vec<(Name, Vec<i32>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<OffsetDelete, Malformed> {
    let group = r.string()?;
    let topics = r.array(|r| Ok((r.string()?, r.array(Reader::i32)?)))?;
    Ok(OffsetDelete { group, topics })
}

impl Call for OffsetDelete {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        let topics = self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |partition| (name.clone(), Some(*partition)))
        });
        About {
            topics: topics.collect(),
            ..About::group(&self.group)
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let whole = at.part(None, None, |at| {
            at.coordinates(&self.group)?;
            let known = at.state.groups.get(&self.group);
            known.map(|_| ()).ok_or(ErrorCode::GROUP_ID_NOT_FOUND)
        });
        out.code(code(&whole));
        out.throttle();
        let topics = if whole.is_ok() {
            self.topics.as_slice()
        } else {
            &[]
        };
        out.array(topics, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, partition| {
                let deleted = at.part(Some(name), Some(*partition), |at| {
                    at.state.topics.partition(name, *partition)?;
                    let group = &self.group;
                    let deleted = at
                        .state
                        .in_group(group, |group| group.delete_offset(name, *partition));
                    deleted.unwrap_or(Ok(()))
                });
                out.i32(*partition);
                out.code(code(&deleted));
            });
        });
        Step::Answer
    }
}
