//! ListGroups: the groups that this node coordinates.

use super::{At, Call, Step};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct ListGroups {
    /// Only those in one of these states; empty for all.
    states: Vec<Name>,
    /// Only those of one of these types; empty for all.
    types: Vec<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<ListGroups, Malformed> {
    let states = if r.version >= 4 {
        r.array(Reader::string)?
    } else {
        Vec::new()
    };
    let types = if r.version >= 5 {
        r.array(Reader::string)?
    } else {
        Vec::new()
    };
    Ok(ListGroups { states, types })
}

impl Call for ListGroups {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let whole = at.forced_whole();
        if out.version >= 1 {
            out.throttle();
        }
        out.code(whole.unwrap_or(ErrorCode::NONE));
        let meant = |of: &[Name], value: &str| {
            of.is_empty() || of.iter().any(|one| one.eq_ignore_ascii_case(value))
        };
        let mut found: Vec<_> = at.state.groups.iter().collect();
        found.retain(|(name, group)| {
            whole.is_none()
                && at.is_coordinator(name).is_ok()
                && meant(&self.states, group.classic().phase.name())
                && meant(&self.types, group.kind())
        });
        out.array(found, |out, (name, group)| {
            out.string(name);
            out.string(group.classic().protocol_type.as_deref().unwrap_or_default());
            if out.version >= 4 {
                out.string(group.classic().phase.name());
            }
            if out.version >= 5 {
                out.string(group.kind());
            }
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
