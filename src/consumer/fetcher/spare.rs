//! What a fetch that waits at its broker does not ask for is fetched beside it, by a second connection.
//!
//! A broker serves a connection's requests one after another: a partition that is sought, resumed or assigned while a
//! fetch waits would have its turn after `fetch.max.wait.ms`. It has it at once, in requests that wait for a moment only
//! and belong to no session, until the waiting one is answered; the next one of the session then asks for it too.
//!
//! ```text
//! main   ──ask a, b────────────────── waits ──────────────────▶ answer ──ask a, b, c──
//! spare               seek c ──ask c──▶ records ──ask c──▶ …    given up
//! ```
//!
//! Nothing is handed out twice: a partition takes an answer only where it goes on from the offset that was asked for.

use std::convert::Infallible;
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};
use tracing::debug;

use super::answer::{count, handle_answer};
use super::request::{ask_by, request, wait};
use crate::cluster::Purpose;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{LONG_WAIT, Plan};
use crate::error::Error;
use crate::machine::fetch::Session;
use crate::net::Connection;
use crate::types::BrokerId;
use crate::wire::Fetch;

/// What has records to give is answered within this time.
const SHORT: Duration = Duration::from_millis(20);

/// A connection that was of no use for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// A request that is at the broker.
pub(super) struct WaitingFetch<'a> {
    /// Knows what is asked for.
    session: &'a Session,
    /// The most that the answer may have.
    max_bytes: usize,
    max_wait: Duration,
    began: Instant,
}

impl<'a> WaitingFetch<'a> {
    pub(super) fn new(
        session: &'a Session,
        (max_bytes, max_wait): (usize, Duration),
        began: Instant,
    ) -> Self {
        Self {
            session,
            max_bytes,
            max_wait,
            began,
        }
    }
}

/// What is done beside a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Nothing before this time: the answer may be on its way.
    Later(Instant),
    /// A fetch that may wait for so long.
    Fetch(Duration),
    /// Nothing more: the answer is near.
    Nothing,
}

/// What to do beside a request that has begun then and may wait for so long.
fn beside(began: Instant, max_wait: Duration, now: Instant) -> Beside {
    let waited = now.saturating_duration_since(began);
    if max_wait.saturating_sub(waited) <= LONG_WAIT {
        Beside::Nothing
    } else if waited < SHORT {
        Beside::Later(began + SHORT)
    } else {
        Beside::Fetch(LONG_WAIT)
    }
}

/// The second connection of a broker's loop, open while it is of use.
pub(super) struct Spare {
    broker: BrokerId,
    open: Option<(Connection, Instant)>,
}

impl Spare {
    pub(super) fn of(broker: BrokerId) -> Self {
        Self { broker, open: None }
    }

    /// Fetches what the request that waits does not ask for, until this is dropped.
    pub(super) async fn stand_in(
        &mut self,
        inner: &ConsumerInner,
        wake: &Notify,
        waiting: &WaitingFetch<'_>,
    ) -> Infallible {
        let mut failures = 0;
        loop {
            let now = Instant::now();
            let max_wait = match beside(waiting.began, waiting.max_wait, now) {
                Beside::Nothing => return pending().await,
                Beside::Later(at) => {
                    sleep_until(at.into()).await;
                    continue;
                }
                Beside::Fetch(max_wait) => max_wait,
            };
            let mut once = Session::default();
            let plan = inner.lock().plan_beside(
                self.broker,
                (waiting.session, waiting.max_bytes),
                &mut once,
                &inner.settings,
                now,
            );
            let (asked, max_bytes) = match plan {
                Plan::Fetch { asked, max_bytes } => (asked, max_bytes),
                Plan::Wait(until) => {
                    wait(wake, until).await;
                    continue;
                }
                Plan::Full | Plan::Unneeded => return pending().await,
            };
            let call = request(inner, asked, max_wait, max_bytes);
            match self.fetch(inner, &mut once, &call).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    debug!(broker = self.broker.0, failures, %error, "fetch beside another one failed");
                    let backoff = &inner.settings.retry_backoff;
                    sleep(backoff.delay(failures, fastrand::f64())).await;
                }
            }
        }
    }

    async fn fetch(
        &mut self,
        inner: &ConsumerInner,
        once: &mut Session,
        call: &Fetch,
    ) -> Result<(), Error> {
        let purpose = Purpose::FetchBeside(inner.id);
        let connection = inner.cluster.broker(self.broker, purpose).await?;
        let began = Instant::now();
        self.open = Some((connection.clone(), began));
        let answer = ask_by(inner, &connection, call).await?;
        count(inner, &answer, began);
        handle_answer(inner, self.broker, once, answer).map(drop)
    }

    /// The request that waited is answered: closes the connection if it was of no use for long.
    pub(super) fn rest(&mut self, now: Instant) {
        let is_idle = |used: &Instant| now.saturating_duration_since(*used) >= IDLE;
        if self.open.as_ref().is_some_and(|(_, used)| is_idle(used)) {
            self.end();
        }
    }

    pub(super) fn end(&mut self) {
        if let Some((connection, _)) = self.open.take() {
            connection.close("nothing is fetched beside another fetch any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_made_beside_one_that_waits_for_more_than_half_a_second_still() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        for (max_wait, waited, expected) in [
            (0, 0, Beside::Nothing),
            (500, 0, Beside::Nothing),
            (501, 0, Beside::Later(began + SHORT)),
            (501, 1, Beside::Nothing),
            (45_000, 0, Beside::Later(began + SHORT)),
            (45_000, 19, Beside::Later(began + SHORT)),
            (45_000, 20, Beside::Fetch(LONG_WAIT)),
            (45_000, 44_499, Beside::Fetch(LONG_WAIT)),
            (45_000, 44_500, Beside::Nothing),
            (45_000, 60_000, Beside::Nothing),
        ] {
            let found = beside(began, ms(max_wait), began + ms(waited));
            assert_eq!(found, expected, "{waited} ms of {max_wait}");
        }
    }
}
