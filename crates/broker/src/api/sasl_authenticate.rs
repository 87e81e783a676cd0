//! SaslAuthenticate: one message of a login, and the broker's to it.

use bytes::Bytes;

use super::{At, Call, Step};
use crate::state::{Failed, State, Told};
use crate::wire::{ErrorCode, Malformed, Reader, Writer};

pub(super) struct SaslAuthenticate {
    message: Bytes,
}

pub(super) fn read(r: &mut Reader) -> Result<SaslAuthenticate, Malformed> {
    let message = r.bytes()?;
    Ok(SaslAuthenticate { message })
}

impl Call for SaslAuthenticate {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let forced = at.forced_whole();
        let told = match forced {
            Some(code) => Err(Failed::Refused(code, None)),
            None => go_on(at, &self.message),
        };
        let nothing = Told {
            message: Vec::new(),
            lifetime: None,
        };
        let (code, why, told, step) = match told {
            Ok(told) => (ErrorCode::NONE, Some(String::new()), told, Step::Answer),
            Err(Failed::Untimely) => {
                let why = "SaslAuthenticate without a handshake before it".to_owned();
                let code = ErrorCode::ILLEGAL_SASL_STATE;
                (code, Some(why), nothing, Step::Answer)
            }
            Err(Failed::Refused(code, why)) => (code, why, nothing, Step::Last),
            Err(Failed::Unheard) => return Step::Close,
        };
        out.code(code);
        out.nullable_string(why.as_deref());
        out.bytes(&told.message);
        if out.version >= 1 {
            let lifetime = told.lifetime.map_or(0, |time| time.as_millis());
            out.i64(i64::try_from(lifetime).unwrap_or(i64::MAX));
        }
        out.tags();
        step
    }
}

fn go_on(at: &mut At<'_>, message: &[u8]) -> Result<Told, Failed> {
    let nonce = at.state.random.uuid();
    let State {
        connections,
        security,
        ..
    } = &mut *at.state;
    let login = connections.login(at.connection).ok_or(Failed::Unheard)?;
    let lifetime = security.session_lifetime;
    login.authenticate(message, &security.users, &nonce, lifetime, at.now.up)
}
