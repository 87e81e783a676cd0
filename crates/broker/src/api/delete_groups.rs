//! DeleteGroups: groups that nobody is in go, with their offsets.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Name, Reader, Writer};

pub(super) struct DeleteGroups {
    groups: Vec<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<DeleteGroups, Malformed> {
    let groups = r.array(Reader::string)?;
    Ok(DeleteGroups { groups })
}

impl Call for DeleteGroups {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::groups(self.groups.iter().cloned())
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.groups, |out, name| {
            let deleted = at.group_part(name, |at| {
                at.is_coordinator(name)?;
                at.state.delete_group(name)
            });
            out.string(name);
            out.code(code(&deleted));
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
