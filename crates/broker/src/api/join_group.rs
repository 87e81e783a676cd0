//! JoinGroup: a member asks for its place in the next generation.

use std::time::Duration;

use bytes::Bytes;

use super::groups::string_since;
use super::{At, Call, Step, millis};
use crate::about::About;
use crate::state::groups::{GroupAnswer, Join, JoinAnswer};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct JoinGroup {
    group: Name,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    member_id: Name,
    instance: Option<Name>,
    protocol_type: Name,
    protocols: Vec<(Name, Bytes)>,
    /// It has been done, and the answer comes later.
    waits: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<JoinGroup, Malformed> {
    let group = r.string()?;
    let session_timeout = millis(r.i32()?);
    let rebalance_timeout = if r.version >= 1 {
        millis(r.i32()?)
    } else {
        session_timeout
    };
    let member_id = r.string()?;
    let instance = string_since(r, 5)?;
    let protocol_type = r.string()?;
    let protocols = r.array(|r| {
        let protocol = (r.string()?, r.bytes()?);
        r.tagged(protocol)
    })?;
    string_since(r, 8)?; // why it joins
    Ok(JoinGroup {
        group,
        session_timeout,
        rebalance_timeout,
        member_id,
        instance,
        protocol_type,
        protocols,
        waits: false,
    })
}

impl Call for JoinGroup {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::group(&self.group)
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let answer = if self.waits {
            match at.state.waits.take_answer(at.connection) {
                Some(GroupAnswer::Join(answer)) => Ok(Some(answer)),
                _ => Ok(None),
            }
        } else {
            // What an earlier request on this connection did not wait for.
            at.state.waits.take_answer(at.connection);
            at.part(None, None, |at| self.join(at, out.version))
        };
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                self.waits = true;
                // The last to join is answered at once, as is everybody else.
                match at.state.waits.take_answer(at.connection) {
                    Some(GroupAnswer::Join(answer)) => answer,
                    _ => return Step::Wait { until: None },
                }
            }
            Err(code) => JoinAnswer::error(code, &self.member_id),
        };
        write(&answer, out);
        Step::Answer
    }
}

impl JoinGroup {
    fn join(&self, at: &mut At<'_>, version: i16) -> Result<Option<JoinAnswer>, ErrorCode> {
        at.coordinates(&self.group)?;
        let settings = &at.state.settings;
        let allowed = settings.min_session_timeout..=settings.max_session_timeout;
        if !allowed.contains(&self.session_timeout) {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        if !self.member_id.is_empty() && at.state.groups.get(&self.group).is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !at.state.groups.has_room(&self.group) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        let initial_delay = settings.initial_rebalance_delay;
        let prefix = self.instance.as_deref().unwrap_or(at.client.id);
        let fresh_id: Name = format!("{prefix}-{}", at.state.random.uuid()).into();
        let join = Join {
            member_id: self.member_id.clone(),
            instance: self.instance.clone(),
            client_id: at.client.id.into(),
            client_host: at.client.host.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
            protocol_type: self.protocol_type.clone(),
            protocols: self.protocols.clone(),
            knows_required_id: version >= 4,
            knows_skipped_assignment: version >= 9,
        };
        let (connection, now) = (at.connection, at.now.up);
        Ok(at.state.in_any_group(&self.group, |group| {
            group
                .classic_mut()
                .join(join, fresh_id, connection, now, initial_delay)
        }))
    }
}

fn write(answer: &JoinAnswer, out: &mut Writer) {
    if out.version >= 2 {
        out.throttle();
    }
    out.code(answer.code);
    out.i32(answer.generation);
    if out.version >= 7 {
        out.nullable_string(answer.protocol_type.as_deref());
        out.nullable_string(answer.protocol.as_deref());
    } else {
        out.string(answer.protocol.as_deref().unwrap_or_default());
    }
    out.string(&answer.leader);
    if out.version >= 9 {
        out.bool(answer.skip_assignment);
    }
    out.string(&answer.member_id);
    out.array(&answer.members, |out, member| {
        out.string(&member.id);
        if out.version >= 5 {
            out.nullable_string(member.instance.as_deref());
        }
        out.bytes(&member.metadata);
        out.tags();
    });
    out.tags();
}
