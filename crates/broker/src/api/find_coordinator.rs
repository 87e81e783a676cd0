//! FindCoordinator: which node knows a group.

use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
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

struct Found {
    node: i32,
    host: Name,
    port: i32,
}

impl Call for FindCoordinator {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        match self.kind {
            GROUP => About::groups(self.keys.iter().cloned()),
            _ => About::default(),
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        if out.version >= 1 {
            out.throttle();
        }
        if out.version >= 4 {
            out.array(&self.keys, |out, key| {
                let (found, code) = answer(at, self.kind, key);
                out.string(key);
                found.write(out);
                out.code(code);
                out.nullable_string(None);
                out.tags();
            });
        } else {
            let key = self.keys.first().cloned().unwrap_or_else(|| "".into());
            let (found, code) = answer(at, self.kind, &key);
            out.code(code);
            if out.version >= 1 {
                out.nullable_string(None);
            }
            found.write(out);
        }
        out.tags();
        Step::Answer
    }
}

fn answer(at: &mut At<'_>, kind: i8, key: &str) -> (Found, ErrorCode) {
    match at.group_part(key, |at| find(at, kind, key)) {
        Ok(found) => (found, ErrorCode::NONE),
        Err(code) => {
            let nowhere = Found {
                node: -1,
                host: "".into(),
                port: -1,
            };
            (nowhere, code)
        }
    }
}

fn find(at: &At<'_>, kind: i8, key: &str) -> Result<Found, ErrorCode> {
    match kind {
        GROUP => {}
        TRANSACTION => return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        _ => return Err(ErrorCode::INVALID_REQUEST),
    }
    let node = at.state.coordinator(key);
    let node = node.and_then(|id| at.state.nodes.get(id));
    let node = node.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    Ok(Found {
        node: node.id,
        host: node.host.clone(),
        port: node.port.into(),
    })
}

impl Found {
    fn write(&self, out: &mut Writer) {
        out.i32(self.node);
        out.string(&self.host);
        out.i32(self.port);
    }
}
