//! WriteTxnMarkers: a transaction ends in single partitions, by an administrator's hand; the coordinator here has no need
//! of it.

use super::groups::code;
use super::transactions::read_topics;
use super::{At, Call, Step};
use crate::about::About;
use crate::acl::AclOperation;
use crate::state::{Marker, NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct WriteTxnMarkers {
    ends: Vec<End>,
}

/// One marker, and where it is wanted.
struct End {
    marker: Marker,
    topics: Vec<(Name, Vec<i32>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<WriteTxnMarkers, Malformed> {
    let ends = r.array(|r| {
        let marker = Marker {
            producer_id: r.i64()?,
            producer_epoch: r.i16()?,
            commit: r.bool()?,
        };
        let topics = read_topics(r)?;
        r.i32()?; // the coordinator's epoch
        r.tagged(End { marker, topics })
    })?;
    Ok(WriteTxnMarkers { ends })
}

impl Call for WriteTxnMarkers {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        let topics = self.ends.iter().flat_map(|end| &end.topics);
        About::partitions(topics.flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |partition| (name.clone(), Some(*partition)))
        }))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let allowed = at.may_on_cluster(AclOperation::Alter);
        out.array(&self.ends, |out, End { marker, topics }| {
            out.i64(marker.producer_id);
            out.array(topics, |out, (name, partitions)| {
                out.string(name);
                out.array(partitions, |out, index| {
                    let written = at.part(Some(name), Some(*index), |at| {
                        if !allowed {
                            return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
                        }
                        at.state
                            .write_marker((name, *index), *marker, at.node, at.now)
                    });
                    out.i32(*index);
                    out.code(code(&written));
                    out.tags();
                });
                out.tags();
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
