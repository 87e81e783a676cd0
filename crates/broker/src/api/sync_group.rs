//! SyncGroup: the leader brings the assignment, everybody gets its part.

use bytes::Bytes;

use super::groups::{code, string_since};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::groups::{Group, GroupAnswer, Sync};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct SyncGroup {
    group: Name,
    sync: Sync,
    /// It has been done, and the answer comes later.
    waits: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<SyncGroup, Malformed> {
    let group = r.string()?;
    let generation = r.i32()?;
    let member_id = r.string()?;
    let instance = string_since(r, 3)?;
    let protocol_type = string_since(r, 5)?;
    let protocol = string_since(r, 5)?;
    let assignments = r.array(|r| {
        let assignment = (r.string()?, r.bytes()?);
        r.tagged(assignment)
    })?;
    Ok(SyncGroup {
        group,
        sync: Sync {
            generation,
            member_id,
            instance,
            protocol_type,
            protocol,
            assignments,
        },
        waits: false,
    })
}

impl Call for SyncGroup {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::group(&self.group)
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let mut answer = None;
        if !self.waits {
            // What an earlier request on this connection did not wait for.
            at.state.waits.take_answer(at.connection);
            answer = at.part(None, None, |at| self.sync(at)).transpose();
            self.waits = true;
        }
        if answer.is_none()
            && let Some(GroupAnswer::Sync(later)) = at.state.waits.take_answer(at.connection)
        {
            answer = Some(later);
        }
        let Some(answer) = answer else {
            return Step::Wait { until: None };
        };
        self.write(at, &answer, out);
        Step::Answer
    }
}

impl SyncGroup {
    fn sync(&self, at: &mut At<'_>) -> Result<Option<Bytes>, ErrorCode> {
        at.coordinates(&self.group)?;
        let (connection, now) = (at.connection, at.now.up);
        let answer = at.state.in_group(&self.group, |group| {
            group.classic_mut().sync(self.sync.clone(), connection, now)
        });
        answer.ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?.transpose()
    }

    fn write(&self, at: &At<'_>, answer: &Result<Bytes, ErrorCode>, out: &mut Writer) {
        if out.version >= 1 {
            out.throttle();
        }
        out.code(code(answer));
        if out.version >= 5 {
            let group = at.state.groups.get(&self.group).map(Group::classic);
            let group = group.filter(|_| answer.is_ok());
            out.nullable_string(group.and_then(|group| group.protocol_type.as_deref()));
            out.nullable_string(group.and_then(|group| group.protocol.as_deref()));
        }
        out.bytes(answer.as_deref().unwrap_or_default());
        out.tags();
    }
}
