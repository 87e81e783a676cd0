//! EndTxn: a transaction is committed or aborted; its markers follow.

use super::groups::code;
use super::transactions::{read_identity, told};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::Identity;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Name, Reader, Writer};

/// From this version on a client speaks the second protocol (KIP-890).
const BUMPS: i16 = 5;

pub(super) struct EndTxn {
    transactional_id: Name,
    producer: Identity,
    commit: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<EndTxn, Malformed> {
    Ok(EndTxn {
        transactional_id: r.string()?,
        producer: read_identity(r)?,
        commit: r.bool()?,
    })
}

impl Call for EndTxn {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::default().with_transaction(Some(&self.transactional_id))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let bumps = out.version >= BUMPS && at.state.bumps_epochs();
        let ended = at.part(None, None, |at| {
            let id = &self.transactional_id;
            at.coordinates_transaction(id)?;
            let (producer, commit, now) = (self.producer, self.commit, at.now);
            at.state.end_transaction(id, producer, commit, bumps, now)
        });
        out.throttle();
        out.code(told(code(&ended), out.version, 2));
        if out.version >= BUMPS {
            let next = ended.unwrap_or(Identity { id: -1, epoch: -1 });
            out.i64(next.id);
            out.i16(next.epoch);
        }
        out.tags();
        Step::Answer
    }
}
