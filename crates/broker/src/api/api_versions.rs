//! ApiVersions: what the broker speaks; the one call that is answered whatever its version.

use super::{At, Call, Step};
use crate::wire::{ApiKey, ErrorCode, Malformed, Reader, Writer};

pub(super) struct ApiVersions {
    /// The client says its name and version in a form that Kafka takes (KIP-511).
    well_named: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<ApiVersions, Malformed> {
    let well_named = if r.version >= 3 {
        let (name, version) = (r.string()?, r.string()?);
        is_well_formed(&name) && is_well_formed(&version)
    } else {
        true
    };
    Ok(ApiVersions { well_named })
}

/// A request of a later version, whose body nobody here can read.
pub(super) fn unreadable() -> ApiVersions {
    ApiVersions { well_named: true }
}

/// Letters and digits, with dots and hyphens between them.
fn is_well_formed(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    outer(text.chars().next()) && outer(text.chars().last()) && text.chars().all(inner)
}

impl Call for ApiVersions {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let own = ApiKey::ApiVersions.versions();
        if own.contains(&out.version) {
            let code = match at.forced_whole() {
                Some(code) => code,
                None if self.well_named => ErrorCode::NONE,
                None => ErrorCode::INVALID_REQUEST,
            };
            let told = if self.well_named { ApiKey::ALL } else { &[] };
            answer(code, told, out);
        } else {
            out.set_layout(0, false);
            answer(ErrorCode::UNSUPPORTED_VERSION, ApiKey::ALL, out);
        }
        Step::Answer
    }
}

fn answer(code: ErrorCode, told: &[ApiKey], out: &mut Writer) {
    out.code(code);
    out.array(told, |out, key| {
        let versions = key.versions();
        out.i16(key.code());
        out.i16(*versions.start());
        out.i16(*versions.end());
        out.tags();
    });
    if out.version >= 1 {
        out.throttle();
    }
    out.tags();
}
