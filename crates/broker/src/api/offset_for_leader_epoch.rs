//! OffsetForLeaderEpoch: where an epoch's records end, so that a client notices what a new leader has cut off.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Name, Reader, Writer};

pub(super) struct OffsetForLeaderEpoch {
    topics: Vec<(Name, Vec<Question>)>,
}

struct Question {
    partition: i32,
    current_epoch: i32,
    epoch: i32,
}

pub(super) fn read(r: &mut Reader) -> Result<OffsetForLeaderEpoch, Malformed> {
    if r.version >= 3 {
        r.i32()?; // replica id
    }
    let topics = r.array(|r| {
        let name = r.string()?;
        let questions = r.array(|r| {
            let question = Question {
                partition: r.i32()?,
                current_epoch: r.i32()?,
                epoch: r.i32()?,
            };
            r.tagged(question)
        })?;
        r.tagged((name, questions))
    })?;
    Ok(OffsetForLeaderEpoch { topics })
}

impl Call for OffsetForLeaderEpoch {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::partitions(self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |question| (name.clone(), Some(question.partition)))
        }))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, (name, questions)| {
            out.string(name);
            out.array(questions, |out, question| {
                let index = question.partition;
                let found = at.part(Some(name), Some(index), |at| {
                    let partition = at.state.topics.partition(name, index)?;
                    partition.check_leader(at.node, question.current_epoch)?;
                    let (log, current) = (&partition.log, partition.epoch);
                    Ok(log.end_of_epoch(question.epoch, current))
                });
                let (epoch, end) = found.ok().flatten().unwrap_or((-1, -1));
                out.code(code(&found));
                out.i32(index);
                out.i32(epoch);
                out.i64(end);
                out.tags();
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
