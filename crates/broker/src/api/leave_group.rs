//! LeaveGroup: members go before their session ends.

use super::groups::{code, string_since};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct LeaveGroup {
    group: Name,
    /// Ids and instance ids.
    members: Vec<(Name, Option<Name>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<LeaveGroup, Malformed> {
    let group = r.string()?;
    let members = if r.version <= 2 {
        vec![(r.string()?, None)]
    } else {
        r.array(|r| {
            let member = (r.string()?, r.nullable_string()?);
            string_since(r, 5)?; // why it leaves
            r.tagged(member)
        })?
    };
    Ok(LeaveGroup { group, members })
}

impl Call for LeaveGroup {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::group(&self.group)
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let result = at.part(None, None, |at| {
            at.coordinates(&self.group)?;
            Ok(self.leave(at))
        });
        let whole = match &result {
            // The one member's own result is the answer's.
            Ok(codes) if out.version <= 2 => codes.first().copied().unwrap_or(ErrorCode::NONE),
            _ => code(&result),
        };
        if out.version >= 1 {
            out.throttle();
        }
        out.code(whole);
        if out.version >= 3 {
            let codes = result.unwrap_or_default();
            let told: Vec<_> = self.members.iter().zip(codes).collect();
            out.array(told, |out, ((id, instance), code)| {
                out.string(id);
                out.nullable_string(instance.as_deref());
                out.code(code);
                out.tags();
            });
        }
        out.tags();
        Step::Answer
    }
}

impl LeaveGroup {
    fn leave(&self, at: &mut At<'_>) -> Vec<ErrorCode> {
        let now = at.now.up;
        let each = self.members.iter().map(|(id, instance)| {
            let left = at.state.in_group(&self.group, |group| {
                group.classic_mut().leave(id, instance.as_ref(), now)
            });
            code(&left.unwrap_or(Err(ErrorCode::UNKNOWN_MEMBER_ID)))
        });
        each.collect()
    }
}
