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

/// What the cluster as a whole has agreed on (KIP-584).
const TRANSACTION_VERSION: &str = "transaction.version";
const HIGHEST_TRANSACTION_VERSION: i16 = 2;

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
            if out.version >= 3 && code.is_none() {
                features(at.state.settings.transaction_version, out);
            } else {
                out.tags();
            }
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
}

/// The end of the answer: which levels of a feature there are, and which one is in force.
fn features(level: i16, out: &mut Writer) {
    // Before version 4 clients take no level of 0 for a lowest.
    let supported = out.version >= 4;
    let tags = [supported.then_some(0), Some(1), (level > 0).then_some(2)];
    let tags: Vec<u32> = tags.into_iter().flatten().collect();
    out.some_tags(&tags, |out, tag| match tag {
        0 => out.array([(0, HIGHEST_TRANSACTION_VERSION)], |out, (low, high)| {
            out.string(TRANSACTION_VERSION);
            out.i16(low);
            out.i16(high);
            out.tags();
        }),
        1 => out.i64(0),
        _ => out.array([level], |out, level| {
            out.string(TRANSACTION_VERSION);
            out.i16(level);
            out.i16(level);
            out.tags();
        }),
    });
}
