//! SaslHandshake: a client names the mechanism by which it will log in, and is told which there are.

use super::{At, Call, Step};
use crate::sasl::SaslMechanism;
use crate::state::{Failed, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct SaslHandshake {
    mechanism: Name,
}

pub(super) fn read(r: &mut Reader) -> Result<SaslHandshake, Malformed> {
    let mechanism = r.string()?;
    Ok(SaslHandshake { mechanism })
}

impl Call for SaslHandshake {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let forced = at.forced_whole();
        let begun = match forced {
            Some(code) => Err(Failed::Refused(code, None)),
            None => begin(at, &self.mechanism),
        };
        let (code, step) = match begun {
            Ok(()) => (ErrorCode::NONE, Step::Answer),
            Err(Failed::Untimely) => (ErrorCode::ILLEGAL_SASL_STATE, Step::Answer),
            Err(Failed::Refused(code, _)) => (code, Step::Last),
            Err(Failed::Unheard) => return Step::Close,
        };
        out.code(code);
        let offered = at.state.security.mechanisms.iter().copied();
        let mut offered: Vec<_> = offered.map(SaslMechanism::name).collect();
        if code == ErrorCode::ILLEGAL_SASL_STATE {
            offered.clear();
        }
        out.array(offered, Writer::string);
        step
    }
}

fn begin(at: &mut At<'_>, mechanism: &str) -> Result<(), Failed> {
    let State {
        connections,
        security,
        ..
    } = &mut *at.state;
    let login = connections.login(at.connection).ok_or(Failed::Unheard)?;
    login.handshake(mechanism, &security.mechanisms, at.now.up)
}
