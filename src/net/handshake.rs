//! What happens on a new stream before its first request: asking which versions the server speaks.

use std::time::Duration;

use tracing::debug;

use super::connection::call_on;
use super::link::Shared;
use crate::error::Error;
use crate::wire::{ApiKey, ApiVersions, Call, Versions};

/// Asks for the server's versions, in ever lower versions of the question; each step is lower, so it ends.
pub(super) async fn versions(shared: &Shared, timeout: Duration) -> Result<Versions, Error> {
    let mut version = ApiKey::ApiVersions.supported().1;
    loop {
        let answer = call_on(shared, &ApiVersions, version, timeout).await?;
        if let Some(lower) = answer.downgrade(version) {
            debug!(address = %shared.name, version, lower, "ApiVersions downgraded");
            version = lower;
            continue;
        }
        let context = || format!("ApiVersions at {}", shared.name);
        answer
            .code
            .ok()
            .map_err(|code| Error::broker(code, None, context()))?;
        return Ok(Versions::new(answer.ranges));
    }
}

/// The version for a call, or an error that names the call and what both sides speak.
pub(super) fn choose<C: Call>(
    versions: &Versions,
    shared: &Shared,
    call: &C,
) -> Result<i16, Error> {
    versions
        .choose(C::KEY, call.max_version())
        .map_err(|reason| Error::Unsupported {
            feature: C::KEY.name(),
            address: shared.name.clone(),
            reason: reason.into(),
        })
}
