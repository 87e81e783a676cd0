//! What happens on a new stream before its first request: asking which versions the server speaks.

use std::time::Duration;

use tracing::debug;

use super::call::call_on;
use super::link::LinkInner;
use crate::error::Error;
use crate::wire::{ApiKey, ApiVersions, Versions};

/// Asks for the server's versions, in ever lower versions of the question; each step is lower, so it ends.
pub(super) async fn versions(link: &LinkInner, timeout: Duration) -> Result<Versions, Error> {
    let mut version = ApiKey::ApiVersions.supported().1;
    loop {
        let answer = call_on(link, &ApiVersions, version, timeout).await?;
        if let Some(lower) = answer.downgrade(version) {
            debug!(address = %link.name, version, lower, "ApiVersions downgraded");
            version = lower;
            continue;
        }
        let context = || format!("ApiVersions at {}", link.name);
        answer
            .code
            .ok()
            .map_err(|code| Error::broker(code, None, context()))?;
        let level = answer.transaction_version;
        return Ok(Versions::new(answer.ranges).with_transaction_version(level));
    }
}
