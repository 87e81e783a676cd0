//! AddPartitionsToTxn: a producer says where it will write in its transaction, all of it or nothing.

use std::collections::HashMap;

use super::transactions::{read_identity, read_topics, told};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::Identity;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct AddPartitionsToTxn {
    transactional_id: Name,
    producer: Identity,
    topics: Vec<(Name, Vec<i32>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<AddPartitionsToTxn, Malformed> {
    Ok(AddPartitionsToTxn {
        transactional_id: r.string()?,
        producer: read_identity(r)?,
        topics: read_topics(r)?,
    })
}

impl AddPartitionsToTxn {
    fn partitions(&self) -> impl Iterator<Item = (&Name, i32)> {
        let topics = self.topics.iter();
        topics.flat_map(|(name, all)| all.iter().map(move |index| (name, *index)))
    }

    /// Those that cannot be added, with the reason.
    fn refused(&self, at: &mut At<'_>) -> HashMap<(Name, i32), ErrorCode> {
        let mut refused = HashMap::new();
        for (name, index) in self.partitions() {
            let there = at.part(Some(name), Some(index), |at| {
                at.state.topics.partition(name, index).map(|_| ())
            });
            if let Err(code) = there {
                refused.insert((name.clone(), index), code);
            }
        }
        refused
    }

    fn add(&self, at: &mut At<'_>) -> Result<(), ErrorCode> {
        let id = &self.transactional_id;
        let (producer, now) = (self.producer, at.now);
        at.state.join_transaction(id, producer, now, |transaction| {
            let all = self.partitions();
            let all = all.map(|(name, index)| (name.clone(), index));
            transaction.partitions.extend(all);
        })
    }
}

impl Call for AddPartitionsToTxn {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        let all = self.partitions();
        let all = all.map(|(name, index)| (name.clone(), Some(index)));
        About::partitions(all).with_transaction(Some(&self.transactional_id))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let allowed = at.coordinates_transaction(&self.transactional_id);
        let refused = match allowed {
            Ok(()) => self.refused(at),
            Err(_) => HashMap::new(),
        };
        let whole = match allowed {
            Ok(()) if refused.is_empty() => self.add(at),
            Ok(()) => Err(ErrorCode::OPERATION_NOT_ATTEMPTED),
            Err(code) => Err(code),
        };
        let whole = told(whole.err().unwrap_or(ErrorCode::NONE), out.version, 2);
        out.throttle();
        out.array(&self.topics, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, index| {
                let own = refused.get(&(name.clone(), *index));
                out.i32(*index);
                out.code(own.copied().unwrap_or(whole));
                out.tags();
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
