//! DescribeProducers: who writes to a partition, and whose transactions go on there (KIP-664).

use super::groups::code;
use super::transactions::read_topics;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Name, Reader, Writer};

pub(super) struct DescribeProducers {
    topics: Vec<(Name, Vec<i32>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<DescribeProducers, Malformed> {
    let topics = read_topics(r)?;
    Ok(DescribeProducers { topics })
}

impl Call for DescribeProducers {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::partitions(self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |partition| (name.clone(), Some(*partition)))
        }))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, index| {
                let found = at.part(Some(name), Some(*index), |at| {
                    let partition = at.state.topics.partition(name, *index)?;
                    partition.check_leader(at.node, -1)?;
                    Ok(partition.log.producers().active())
                });
                out.i32(*index);
                out.code(code(&found));
                out.nullable_string(None);
                out.array(found.unwrap_or_default(), |out, one| {
                    out.i64(one.id);
                    out.i32(one.epoch.into());
                    out.i32(one.last_sequence);
                    out.i64(one.last_timestamp);
                    out.i32(if one.open_since.is_some() { 0 } else { -1 });
                    out.i64(one.open_since.unwrap_or(-1));
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
