//! DescribeGroups: groups with their members and assignments.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::groups::{Group, Phase};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// Where nobody asked what the client may do.
const NOT_ASKED: i32 = i32::MIN;

pub(super) struct DescribeGroups {
    groups: Vec<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<DescribeGroups, Malformed> {
    let groups = r.array(Reader::string)?;
    if r.version >= 3 {
        r.bool()?;
    }
    Ok(DescribeGroups { groups })
}

impl Call for DescribeGroups {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::groups(self.groups.iter().cloned())
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        if out.version >= 1 {
            out.throttle();
        }
        out.array(&self.groups, |out, name| {
            let allowed = at.group_part(name, |at| at.is_coordinator(name));
            let group = at.state.groups.get(name).filter(|_| allowed.is_ok());
            let missing = allowed.is_ok() && group.is_none();
            let told = match missing {
                // Older clients know it by its state alone.
                true if out.version >= 6 => ErrorCode::GROUP_ID_NOT_FOUND,
                _ => code(&allowed),
            };
            out.code(told);
            if out.version >= 6 {
                let message = format!("Group {name} not found.");
                out.nullable_string(missing.then_some(&*message));
            }
            out.string(name);
            write(group, missing, out);
            if out.version >= 3 {
                out.i32(NOT_ASKED);
            }
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn write(group: Option<&Group>, missing: bool, out: &mut Writer) {
    let Some(group) = group.map(Group::classic) else {
        out.string(if missing { "Dead" } else { "" });
        out.string("");
        out.string("");
        out.array_len(0);
        return;
    };
    // Only a stable group's members have an assignment, and a protocol to read it by.
    let stable = group.phase == Phase::Stable;
    let protocol = group.protocol.as_deref().filter(|_| stable);
    let protocol = protocol.unwrap_or_default();
    out.string(group.phase.name());
    out.string(group.protocol_type.as_deref().unwrap_or_default());
    out.string(protocol);
    out.array(&group.members, |out, (id, member)| {
        out.string(id);
        if out.version >= 4 {
            out.nullable_string(member.instance.as_deref());
        }
        out.string(&member.client_id);
        out.string(&member.client_host);
        out.bytes(&member.metadata(protocol));
        out.bytes(&member.assignment);
        out.tags();
    });
}
