//! Logs in again on a connection before its session is over (KIP-368); where that fails, the connection gives way to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::link::LinkInner;
use super::login::Login;
use crate::error::Error;
use crate::sasl::Mechanism;
use crate::wire::Versions;

/// Longest session that is believed, which keeps times from overflowing.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Keeps a connection logged in that was logged in for so long.
pub(super) fn keep(
    link: Arc<LinkInner>,
    versions: Versions,
    mechanism: Arc<dyn Mechanism>,
    session: Duration,
) {
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = link.closed() => {}
            () = renew(&link, &versions, mechanism.as_ref(), session) => {}
        }
    });
}

/// A broker takes no other login within a second.
const SHORTEST: Duration = Duration::from_millis(1050);

/// When a session is renewed: as in Java, after 85 to 95 % of it; `jitter` is from 0.0 to 1.0.
fn due(session: Duration, jitter: f64) -> Duration {
    let due = session.min(LONGEST).mul_f64(0.85 + 0.1 * jitter);
    due.max(SHORTEST)
}

/// Logs in again and again, for as long as sessions have an end.
async fn renew(
    link: &LinkInner,
    versions: &Versions,
    mechanism: &dyn Mechanism,
    mut session: Duration,
) {
    loop {
        let end = Instant::now() + session.min(LONGEST);
        sleep(due(session, fastrand::f64())).await;
        match again(link, versions, mechanism, end).await {
            Ok(Some(next)) => session = next,
            Ok(None) => return,
            Err(error) => {
                warn!(address = %link.name, %error, "no new login on a connection, which gives way to another");
                link.hold();
                link.drained().await;
                // What was held has not been sent: it goes to the connection that comes after this one.
                let reason = format!("logging in again failed: {error}");
                return link.dismiss(link.disconnected(reason));
            }
        }
    }
}

/// One more login; what is submitted meanwhile waits for its end.
async fn again(
    link: &LinkInner,
    versions: &Versions,
    mechanism: &dyn Mechanism,
    end: Instant,
) -> Result<Option<Duration>, Error> {
    let settings = &link.settings;
    let login = loop {
        // A token may have to be fetched, for which nobody else waits.
        match timeout_at(end, Login::begin(link, mechanism)).await {
            Ok(Ok(login)) => break login,
            Ok(Err(error)) if error.is_retriable() && Instant::now() < end => {
                debug!(address = %link.name, %error, "no new login yet");
                sleep(settings.retry_backoff.max).await;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                return Err(link.disconnected("the session ended before there was a new login"));
            }
        }
    };
    let busy = link.hold();
    let session = login
        .finish(versions, busy, settings.request_timeout)
        .await?;
    link.release();
    debug!(address = %link.name, ?session, "logged in again");
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_renewed_when_most_of_it_is_over_and_never_too_late() {
        let secs = Duration::from_secs;
        for (session, jitter, expected) in [
            (secs(100), 0.0, secs(85)),
            (secs(100), 1.0, secs(95)),
            (Duration::MAX, 0.0, LONGEST.mul_f64(0.85)),
            (secs(1), 0.0, SHORTEST),
        ] {
            let due = due(session, jitter);
            assert!(due.abs_diff(expected) < Duration::from_millis(1), "{due:?}");
        }
    }
}
