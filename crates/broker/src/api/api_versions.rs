//! ApiVersions: what the broker speaks; the one call that is answered whatever its version.

use super::{At, Call, Step};
use crate::wire::{ApiKey, ErrorCode, Writer};

pub(super) struct ApiVersions;

impl Call for ApiVersions {
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let own = ApiKey::ApiVersions.versions();
        if own.contains(&out.version) {
            answer(at.forced_whole().unwrap_or(ErrorCode::NONE), out);
        } else {
            out.set_layout(0, false);
            answer(ErrorCode::UNSUPPORTED_VERSION, out);
        }
        Step::Answer
    }
}

fn answer(code: ErrorCode, out: &mut Writer) {
    out.code(code);
    out.array(ApiKey::ALL, |out, key| {
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
