//! FindCoordinator: which node knows a group, or the transactions of an id.

use super::groups::code;
use super::leaders;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{CoordinatorKind, NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// The kinds of keys that there are.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) struct FindCoordinator {
    kind: i8,
    keys: Vec<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<FindCoordinator, Malformed> {
    let mut keys = Vec::new();
    if r.version <= 3 {
        keys.push(r.string()?);
    }
    let kind = if r.version >= 1 { r.i8()? } else { GROUP };
    if r.version >= 4 {
        keys = r.array(Reader::string)?;
    }
    Ok(FindCoordinator { kind, keys })
}

impl Call for FindCoordinator {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        match self.kind {
            GROUP => About::groups(self.keys.iter().cloned()),
            TRANSACTION => About {
                transactional_ids: self.keys.clone(),
                ..About::default()
            },
            _ => About::default(),
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        if out.version >= 1 {
            out.throttle();
        }
        if out.version >= 4 {
            out.array(&self.keys, |out, key| {
                let found = answer(at, self.kind, key);
                out.string(key);
                write(at, &found, out);
                out.code(code(&found));
                out.nullable_string(None);
                out.tags();
            });
        } else {
            let key = self.keys.first().cloned().unwrap_or_else(|| "".into());
            let found = answer(at, self.kind, &key);
            out.code(code(&found));
            if out.version >= 1 {
                out.nullable_string(None);
            }
            write(at, &found, out);
        }
        out.tags();
        Step::Answer
    }
}

fn answer(at: &mut At<'_>, kind: i8, key: &str) -> Result<NodeId, ErrorCode> {
    let coordinator = |at: &mut At<'_>, kind| {
        let node = at.state.nodes.coordinator(kind, key);
        node.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
    };
    match kind {
        GROUP => at.group_part(key, |at| {
            at.authorize_group(key)?;
            coordinator(at, CoordinatorKind::Group)
        }),
        TRANSACTION => at.transaction_part(key, |at| {
            at.authorize_transaction(key)?;
            coordinator(at, CoordinatorKind::Transaction)
        }),
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

/// The coordinator and its address, -1 and nowhere without one.
fn write(at: &At<'_>, found: &Result<NodeId, ErrorCode>, out: &mut Writer) {
    let node = found.as_ref().copied().unwrap_or(-1);
    out.i32(node);
    leaders::write_address(out, at, node);
}
