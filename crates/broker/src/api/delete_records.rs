//! DeleteRecords: the log begins later.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Name, Reader, Writer};

/// Everything there is.
const TO_THE_END: i64 = -1;

pub(super) struct DeleteRecords {
    /// The new first offset by partition.
    topics: Vec<(Name, Vec<(i32, i64)>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<DeleteRecords, Malformed> {
    let topics = r.array(|r| {
        let name = r.string()?;
        let partitions = r.array(|r| {
            let partition = (r.i32()?, r.i64()?);
            r.tagged(partition)
        })?;
        r.tagged((name, partitions))
    })?;
    r.i32()?; // how long it may take
    Ok(DeleteRecords { topics })
}

impl Call for DeleteRecords {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::partitions(self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |(partition, _)| (name.clone(), Some(*partition)))
        }))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, (index, offset)| {
                let start = at.part(Some(name), Some(*index), |at| {
                    let node = at.node;
                    let partition = at.state.topics.partition_mut(name, *index)?;
                    partition.check_leader(node, -1)?;
                    let log = &mut partition.log;
                    let to = if *offset == TO_THE_END {
                        log.end()
                    } else {
                        *offset
                    };
                    let start = log.delete_before(to)?;
                    at.state.waits.changed(name, *index);
                    Ok(start)
                });
                out.i32(*index);
                out.i64(start.unwrap_or(-1));
                out.code(code(&start));
                out.tags();
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
