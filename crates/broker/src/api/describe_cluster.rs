//! DescribeCluster: its id, its nodes, its controller.

use super::leaders;
use super::{At, Call, Step};
use crate::wire::{ErrorCode, Malformed, Reader, Writer};

/// Where nobody asked what the client may do.
const NOT_ASKED: i32 = i32::MIN;
/// Brokers; the other kind is the controllers, which have no listener of their own here.
const BROKERS: i8 = 1;

pub(super) struct DescribeCluster {
    endpoints: i8,
    fenced: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<DescribeCluster, Malformed> {
    r.bool()?;
    let endpoints = if r.version >= 1 { r.i8()? } else { BROKERS };
    let fenced = r.version >= 2 && r.bool()?;
    Ok(DescribeCluster { endpoints, fenced })
}

impl Call for DescribeCluster {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let known = if self.endpoints == BROKERS {
            ErrorCode::NONE
        } else {
            ErrorCode::MISMATCHED_ENDPOINT_TYPE
        };
        let code = at.forced_whole().unwrap_or(known);
        out.throttle();
        out.code(code);
        out.nullable_string(None);
        if out.version >= 1 {
            out.i8(self.endpoints);
        }
        out.string(&at.state.cluster_id);
        out.i32(at.state.nodes.controller());
        let mut nodes: Vec<_> = at.state.nodes.all().iter().collect();
        nodes.retain(|node| code.is_none() && (node.alive || self.fenced));
        out.array(nodes, |out, node| {
            out.i32(node.id);
            leaders::write_address(out, at, node.id);
            out.nullable_string(None);
            if out.version >= 2 {
                out.bool(!node.alive);
            }
            out.tags();
        });
        out.i32(NOT_ASKED);
        out.tags();
        Step::Answer
    }
}
