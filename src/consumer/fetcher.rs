//! One fetch loop a broker: independent of the others, ahead of the application, within its share of the buffer.

mod answer;
mod request;
mod spare;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::inner::ConsumerInner;
use super::subscription_state::{NodeFetch, Plan, SubscriptionState};
use crate::cluster::Purpose;
use crate::error::Error;
use crate::machine::fetch::{FetchVerdict, Session, fetch_verdict};
use crate::types::BrokerId;
use answer::{count, handle_answer};
use request::{ask, parting, request, wait};
use spare::{Spare, WaitingFetch};

/// How long a full partition may keep the broker's others from being asked for.
const PATIENCE: Duration = Duration::from_millis(50);

/// What cannot be understood so many times in a row is told.
const LASTING: u32 = 5;

/// Starts the loop of a broker, if it does not run.
pub(super) fn ensure(inner: &Arc<ConsumerInner>, state: &mut SubscriptionState, broker: BrokerId) {
    state.nodes.entry(broker).or_insert_with(|| {
        let node = NodeFetch::default();
        tokio::spawn(run(inner.clone(), broker, node.wake.clone()));
        node
    });
}

async fn run(inner: Arc<ConsumerInner>, broker: BrokerId, wake: Arc<Notify>) {
    let mut session = Session::default();
    let mut hurry = false;
    let mut failures = 0;
    let mut spare = Spare::of(broker);
    while !inner.is_closing() {
        match plan(&inner, broker, &mut session, hurry) {
            Plan::Unneeded => break,
            Plan::Wait(until) => {
                wait(&wake, until).await;
                hurry = false;
            }
            Plan::Full => {
                // Usually the application comes back for more well before that.
                hurry = timeout(PATIENCE, wake.notified()).await.is_err();
            }
            Plan::Fetch { asked, max_bytes } => {
                let long = inner.settings.fetch_max_wait;
                let max_wait = if hurry { Duration::ZERO } else { long };
                let call = request(&inner, asked, max_wait, max_bytes);
                let began = Instant::now();
                let waiting = WaitingFetch::new(&session, (max_bytes, max_wait), began);
                let answer = tokio::select! {
                    answer = ask(&inner, broker, Purpose::Fetch(inner.id), &call) => answer,
                    never = spare.stand_in(&inner, &wake, &waiting) => match never {},
                    () = inner.closing() => break,
                };
                spare.rest(Instant::now());
                hurry = false;
                if let Ok(answer) = &answer {
                    count(&inner, answer, began);
                }
                match answer.and_then(|answer| handle_answer(&inner, broker, &mut session, answer))
                {
                    Ok(is_awaited) => {
                        failures = 0;
                        if is_awaited {
                            step_back().await;
                        }
                    }
                    Err(error) => {
                        session.restart();
                        failures += 1;
                        fail(&inner, broker, error, failures).await;
                    }
                }
            }
        }
    }
    spare.end();
    end(&inner, broker, &session).await;
    if inner.is_closing() {
        inner.apply(|state| state.ended(broker));
    }
}

fn plan(inner: &Arc<ConsumerInner>, broker: BrokerId, session: &mut Session, hurry: bool) -> Plan {
    let mut state = inner.lock();
    let plan = state.plan(broker, session, &inner.settings, hurry, Instant::now());
    if matches!(plan, Plan::Unneeded) {
        // Under the same lock: who finds the broker without a loop starts another one.
        let wakes = state.ended(broker);
        drop(state);
        inner.wake(wakes);
    }
    plan
}

async fn fail(inner: &ConsumerInner, broker: BrokerId, error: Error, failures: u32) {
    debug!(broker = broker.0, failures, %error, "fetch failed");
    inner.cluster.request_refresh();
    // Leaders are asked again, who may name this replica again: by then it has its delay behind it.
    inner.apply(|state| state.leave_replica(broker));
    match verdict_of(&error, failures) {
        FetchVerdict::Tell => inner.fail(error),
        FetchVerdict::Log => warn!(broker = broker.0, %error, "fetch failed: asking again"),
        _ => {}
    }
    let delay = inner
        .settings
        .retry_backoff
        .delay(failures, fastrand::f64());
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = inner.closing() => {}
    }
}

/// What to do about a request that failed as a whole, so many times in a row by now: told or logged is each error once,
/// for as long as it lasts.
fn verdict_of(error: &Error, failures: u32) -> FetchVerdict {
    match error {
        Error::Unsupported { .. } | Error::NotKafka { .. } | Error::AnswerTooLarge { .. }
            if failures == 1 =>
        {
            FetchVerdict::Tell
        }
        Error::Broker { code, .. } if failures == 1 => fetch_verdict(*code),
        // Bytes may be damaged on the way, once.
        Error::Protocol { .. } if failures == 1 => FetchVerdict::Log,
        Error::Protocol { .. } if failures == LASTING => FetchVerdict::Tell,
        _ => FetchVerdict::Retry,
    }
}

/// Tells the broker that its session is over, as Java's client does; whether it hears that is of no importance.
async fn end(inner: &ConsumerInner, broker: BrokerId, session: &Session) {
    let Some((session_id, session_epoch)) = session.end() else {
        return;
    };
    let call = parting(inner, session_id, session_epoch);
    let ending = ask(inner, broker, Purpose::Fetch(inner.id), &call);
    let _ = timeout(Duration::from_millis(500), ending).await;
}

/// Lets a waiting application have its records before the next request is written.
///
/// It may go on at once on another thread of the runtime, unlike a task that yields to tokio.
async fn step_back() {
    let mut has_stepped = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
