//! Who leads instead, told along with an error so that the client need not ask (KIP-951).

use super::At;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Writer};

/// The leader and its epoch, where the error is that the client has another in mind.
pub(super) fn hint(
    state: &State,
    topic: Option<&str>,
    partition: i32,
    code: ErrorCode,
) -> Option<(NodeId, i32)> {
    if !matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH
    ) {
        return None;
    }
    let partition = state.topics.partition(topic?, partition).ok()?;
    Some((partition.leader?, partition.epoch))
}

/// The end of a partition's answer, with the hint as its tagged field.
pub(super) fn write_hint(out: &mut Writer, tag: u32, hint: Option<(NodeId, i32)>) {
    match hint {
        None => out.tags(),
        Some((leader, epoch)) => out.one_tag(tag, |out| {
            out.i32(leader);
            out.i32(epoch);
            out.tags();
        }),
    }
}

/// Host and port of a node, by the listener that the client came to.
pub(super) fn write_address(out: &mut Writer, at: &At<'_>, id: NodeId) {
    let address = at.state.nodes.address(id, at.listener);
    out.string(address.map_or("", |address| &address.host));
    out.i32(address.map_or(-1, |address| address.port.into()));
}

/// The end of the whole answer, with the addresses of the leaders that were named.
pub(super) fn write_endpoints(out: &mut Writer, at: &At<'_>, mut leaders: Vec<NodeId>) {
    leaders.sort_unstable();
    leaders.dedup();
    if leaders.is_empty() {
        out.tags();
        return;
    }
    out.one_tag(0, |out| {
        out.array(&leaders, |out, id| {
            out.i32(*id);
            write_address(out, at, *id);
            out.nullable_string(None);
            out.tags();
        });
    });
}
