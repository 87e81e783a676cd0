//! InitProducerId: an identity for an idempotent producer, or for a transactional one, which fences those before it.

use super::groups::code;
use super::transactions::{read_identity, told};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::Identity;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct InitProducerId {
    transactional_id: Option<Name>,
    timeout_ms: i32,
    /// What it was before, of a producer that goes on after an error.
    before: Option<Identity>,
}

pub(super) fn read(r: &mut Reader) -> Result<InitProducerId, Malformed> {
    let transactional_id = r.nullable_string()?;
    let timeout_ms = r.i32()?;
    let before = if r.version >= 3 {
        Some(read_identity(r)?).filter(|before| before.id >= 0)
    } else {
        None
    };
    Ok(InitProducerId {
        transactional_id,
        timeout_ms,
        before,
    })
}

impl Call for InitProducerId {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::default().with_transaction(self.transactional_id.as_ref())
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let made = at.part(None, None, |at| self.init(at));
        out.throttle();
        out.code(told(code(&made), out.version, 4));
        let made = made.unwrap_or(Identity { id: -1, epoch: -1 });
        out.i64(made.id);
        out.i16(made.epoch);
        out.tags();
        Step::Answer
    }
}

impl InitProducerId {
    fn init(&self, at: &mut At<'_>) -> Result<Identity, ErrorCode> {
        let Some(id) = &self.transactional_id else {
            at.authorize_producer()?;
            let id = at.state.new_producer_id();
            return Ok(Identity { id, epoch: 0 });
        };
        at.coordinates_transaction(id)?;
        let timeout = super::millis(self.timeout_ms);
        at.state.init_transaction(id, self.before, timeout, at.now)
    }
}
