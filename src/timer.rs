//! Waiting for a time that may never come.

use tokio::time::{Instant, sleep_until};

/// Sleeps until then, for ever without a time.
pub(crate) async fn wait_until(at: Option<impl Into<Instant>>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
