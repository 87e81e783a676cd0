//! AddOffsetsToTxn: a producer says for which group it will commit offsets in its transaction.

use super::groups::code;
use super::transactions::{read_identity, told};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::Identity;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct AddOffsetsToTxn {
    transactional_id: Name,
    producer: Identity,
    group: Name,
}

pub(super) fn read(r: &mut Reader) -> Result<AddOffsetsToTxn, Malformed> {
    Ok(AddOffsetsToTxn {
        transactional_id: r.string()?,
        producer: read_identity(r)?,
        group: r.string()?,
    })
}

impl Call for AddOffsetsToTxn {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::group(&self.group).with_transaction(Some(&self.transactional_id))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let added = at.part(None, None, |at| self.add(at));
        out.throttle();
        out.code(told(code(&added), out.version, 2));
        out.tags();
        Step::Answer
    }
}

impl AddOffsetsToTxn {
    fn add(&self, at: &mut At<'_>) -> Result<(), ErrorCode> {
        at.coordinates_transaction(&self.transactional_id)?;
        at.authorize_group(&self.group)?;
        let (id, producer, now) = (&self.transactional_id, self.producer, at.now);
        at.state.join_transaction(id, producer, now, |transaction| {
            transaction.groups.insert(self.group.clone());
        })
    }
}
