//! A connection to a broker whose versions are known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::call::{call_on, choose};
use super::link::Link;
use super::requests::{Expect, OnAnswer, OnWritten};
use crate::error::Error;
use crate::types::Address;
use crate::wire::{ApiKey, Call, Versions};

/// A handle to an open connection; the last one dropped closes it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    link: Link,
    versions: Versions,
    /// The broker asked to be left alone until then.
    quiet_until: Mutex<Option<Instant>>,
}

impl Connection {
    /// A stream on which a server has told its versions.
    pub(super) fn new(link: Link, versions: Versions) -> Self {
        Self(Arc::new(Inner {
            link,
            versions,
            quiet_until: Mutex::default(),
        }))
    }

    pub(crate) fn versions(&self) -> &Versions {
        &self.0.versions
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.link.0.address
    }

    /// Queues one request and writes at once what the socket takes, without waiting.
    ///
    /// `on_answer` is called exactly once, from any task, with the answer's body or why there is none.
    /// When `timeout` passes first the connection is closed: answers come in order, so that every later
    /// one is void too. The pieces of `body` go to the socket as they are.
    pub(crate) fn submit(
        &self,
        key: ApiKey,
        version: i16,
        body: Vec<Bytes>,
        timeout: Duration,
        on_answer: OnAnswer,
    ) {
        let expect = Expect::Answer(timeout, Some(Duration::ZERO), on_answer);
        self.0.link.0.submit(key, version, body, expect);
    }

    /// As [`submit`](Self::submit) for a request that brokers do not answer (Produce with acks = 0).
    ///
    /// `on_written` is called when its last byte has been handed to the socket, or with the error.
    pub(crate) fn submit_unanswered(
        &self,
        key: ApiKey,
        version: i16,
        body: Vec<Bytes>,
        on_written: OnWritten,
    ) {
        let expect = Expect::Written(on_written);
        self.0.link.0.submit(key, version, body, expect);
    }

    /// Sends a request and waits for its answer, in the highest version that both sides speak.
    ///
    /// Dropping the future discards the answer; the request is still written whole.
    pub(crate) async fn call<C: Call>(
        &self,
        call: &C,
        timeout: Duration,
    ) -> Result<C::Response, Error> {
        let version = choose(&self.0.versions, &self.0.link.0, call)?;
        let quiet_until = *self.quiet_until();
        if let Some(until) = quiet_until {
            sleep_until(until).await;
        }
        let response = call_on(&self.0.link.0, call, version, timeout).await?;
        let throttle = C::throttle(&response);
        if !throttle.is_zero() {
            debug!(address = %self.0.link.0.name, request = C::KEY.name(), ?throttle, "broker throttles");
            *self.quiet_until() = Instant::now().checked_add(throttle);
            self.extend(throttle);
        }
        Ok(response)
    }

    fn quiet_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the requests in flight more time, while the broker leaves them alone (KIP-219).
    pub(crate) fn extend(&self, by: Duration) {
        self.0.link.0.extend(by);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.link.0.is_closed()
    }

    /// Waits until the connection has been closed, by either side; tells whether it was because nobody used it.
    pub(crate) async fn closed(&self) -> bool {
        self.0.link.0.closed().await;
        self.0.link.0.is_idled()
    }

    /// Closes the connection; whatever waits on it is told `reason`.
    pub(crate) fn close(&self, reason: &str) {
        let link = &self.0.link.0;
        link.dismiss(link.disconnected(reason));
    }

    /// How many requests have not had their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.link.0.in_flight()
    }
}
