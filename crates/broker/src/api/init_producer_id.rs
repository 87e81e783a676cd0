//! InitProducerId: an identity for an idempotent producer.

use super::{At, Call, Step};
use crate::wire::{ErrorCode, Malformed, Reader, Writer};

pub(super) struct InitProducerId {
    transactional: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<InitProducerId, Malformed> {
    let transactional = r.nullable_string()?.is_some();
    r.i32()?; // the transactions' timeout
    if r.version >= 3 {
        // What it was before matters only to transactions.
        r.i64()?;
        r.i16()?;
    }
    Ok(InitProducerId { transactional })
}

impl Call for InitProducerId {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let transactional = self.transactional;
        let id = at.part(None, None, |at| {
            if transactional {
                Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            } else {
                at.authorize_producer()?;
                Ok(at.state.new_producer_id())
            }
        });
        out.throttle();
        out.code(id.err().unwrap_or(ErrorCode::NONE));
        out.i64(id.unwrap_or(-1));
        out.i16(if id.is_ok() { 0 } else { -1 });
        out.tags();
        Step::Answer
    }
}
