//! Heartbeat: a member lives, and hears whether it is to join again.

use super::groups::{code, string_since};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct Heartbeat {
    group: Name,
    generation: i32,
    member_id: Name,
    instance: Option<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<Heartbeat, Malformed> {
    Ok(Heartbeat {
        group: r.string()?,
        generation: r.i32()?,
        member_id: r.string()?,
        instance: string_since(r, 3)?,
    })
}

impl Call for Heartbeat {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::group(&self.group)
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let (id, instance) = (&self.member_id, self.instance.as_deref());
        let result = at.part(None, None, |at| {
            at.coordinates(&self.group)?;
            let now = at.now.up;
            let heard = at.state.in_group(&self.group, |group| {
                let generation = self.generation;
                group.classic_mut().heartbeat(id, instance, generation, now)
            });
            heard.unwrap_or(Err(ErrorCode::UNKNOWN_MEMBER_ID))
        });
        if out.version >= 1 {
            out.throttle();
        }
        out.code(code(&result));
        out.tags();
        Step::Answer
    }
}
