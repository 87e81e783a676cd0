//! One stream to a server: requests go out in order, answers come back in the same order.
//!
//! ```text
//!   submit ──▶ Outgoing ──▶ socket ──▶ reader task ──▶ Awaited (first in, first out) ──▶ on_answer
//!                  ▲ writes at once; the keeper task goes on where the socket blocked
//! ```
//!
//! Invariants: each callback is called exactly once, never under the lock; after `end` is set nothing
//! is written and nothing is awaited.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::history::DialHistory;
use super::outgoing::{Outgoing, Writer};
use super::requests::{
    Awaited, Expect, LinkState, Request, RequestError, Unanswered, contained, is_login, wake,
};
use super::transport::{Endpoint, WriteHalf};
use crate::config::ClientSettings;
use crate::error::Error;
use crate::types::Address;
use crate::wire::{ApiKey, split_response};

/// The owner of a stream; dropping it closes the stream.
pub(super) struct Link(pub(super) Arc<LinkInner>);

/// What the owner and the stream's two tasks share.
pub(super) struct LinkInner {
    pub(super) address: Address,
    /// The address as errors show it.
    pub(super) name: Arc<str>,
    client_id: Arc<str>,
    idle: Option<Duration>,
    write_limit: Duration,
    closed: AtomicBool,
    /// Closed because nobody used it.
    idled: AtomicBool,
    closing: watch::Sender<bool>,
    pub(super) settings: Arc<ClientSettings>,
    /// Of all streams to the server.
    history: Arc<DialHistory>,
    pub(super) endpoint: Endpoint,
    /// How many answers had come when it was silent for too long, the last time.
    silences: watch::Sender<Option<u64>>,
    /// Told when nothing that was written has still to be answered.
    empty: Notify,
    state: Mutex<LinkState>,
}

impl Link {
    pub(super) fn new(
        writer: WriteHalf,
        endpoint: &Endpoint,
        address: &Address,
        settings: &Arc<ClientSettings>,
        history: &Arc<DialHistory>,
    ) -> Self {
        Self(Arc::new(LinkInner {
            address: address.clone(),
            name: address.to_string().into(),
            settings: settings.clone(),
            history: history.clone(),
            endpoint: endpoint.clone(),
            client_id: settings.client_id.clone(),
            idle: settings.connections_max_idle,
            write_limit: settings.request_timeout,
            closed: AtomicBool::new(false),
            idled: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            silences: watch::Sender::new(None),
            empty: Notify::new(),
            state: Mutex::new(LinkState::new(Outgoing::new(writer))),
        }))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.dismiss(self.0.disconnected("no longer used"));
    }
}

impl LinkInner {
    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn disconnected(&self, reason: impl Into<Arc<str>>) -> Error {
        Error::Disconnected {
            address: self.name.clone(),
            reason: reason.into(),
        }
    }

    /// Why the stream is of no more use; a server that takes the client's certificate amiss says so only here.
    pub(super) fn failed(&self, what: &str, error: &io::Error, hint: &str) -> Error {
        let tls = self.settings.tls.as_ref();
        tls.and_then(|tls| tls.refusal(&self.name, error))
            .unwrap_or_else(|| self.disconnected(format!("{what}: {error}{hint}")))
    }

    /// How many answers have come.
    pub(super) fn heard(&self) -> u64 {
        self.lock().silence.count()
    }

    /// Waits until the stream is silent for too long where it has heard more than at the last time: how many answers there
    /// were.
    pub(super) async fn silent(&self, last: Option<u64>) -> u64 {
        let mut silences = self.silences.subscribe();
        // The sender lives as long as `self`.
        let silence = silences.wait_for(|heard| *heard > last).await;
        silence.ok().and_then(|heard| *heard).unwrap_or_default()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether it was closed because nobody used it.
    pub(super) fn is_idled(&self) -> bool {
        self.idled.load(Ordering::Acquire)
    }

    pub(super) async fn closed(&self) {
        // The sender lives as long as `self`, so this ends only by the closing.
        let _ = self.closing.subscribe().wait_for(|closed| *closed).await;
    }

    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// Gives every request that awaits its answer more time: the broker said that it will not look at them before.
    pub(super) fn extend(&self, by: Duration) {
        let mut state = self.lock();
        for request in &mut state.awaited {
            request.deadline = request.deadline.checked_add(by).unwrap_or(request.deadline);
        }
        state.silence.extend(by);
    }

    /// Queues a request and writes what the socket takes now; while a login goes on, it waits for that.
    pub(super) fn submit(&self, key: ApiKey, version: i16, body: Vec<Bytes>, expect: Expect) {
        let request = Request {
            key,
            version,
            body,
            expect,
        };
        let mut state = self.lock();
        if let Some(end) = state.end.clone() {
            drop(state);
            request.expect.fail(end, false);
            return;
        }
        let Some(request) = state.admit(request) else {
            return;
        };
        let waker = state.queue(request, &self.client_id, self.write_limit);
        drop(state);
        wake(waker);
        self.flush(&mut Context::from_waker(Waker::noop()), false);
    }

    /// Lets nothing but a login's requests onto the stream; what comes from now on waits. How long what is on the way already
    /// may take is told.
    pub(super) fn hold(&self) -> Duration {
        let mut state = self.lock();
        state.hold();
        let until = state.busy_until();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Writes what has waited, in its order.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        let mut wakers = Vec::new();
        for request in state.release() {
            wakers.push(state.queue(request, &self.client_id, self.write_limit));
        }
        drop(state);
        wakers.into_iter().for_each(wake);
        self.flush(&mut Context::from_waker(Waker::noop()), false);
    }

    /// Waits until nothing that was written has still to be answered.
    pub(super) async fn drained(&self) {
        loop {
            let empty = self.empty.notified();
            if self.lock().is_drained() {
                return;
            }
            empty.await;
        }
    }

    /// Writes until nothing is left, the socket blocks, or someone else is at it.
    fn flush(&self, cx: &mut Context<'_>, owner: bool) {
        loop {
            let Some(mut writer) = self.lock().out.take(owner) else {
                return;
            };
            let (bytes, result) = writer.poll(cx);
            if let Poll::Ready(Err(error)) = result {
                drop(writer);
                self.close(self.failed("writing failed", &error, ""));
                return;
            }
            let blocked = result.is_pending();
            self.wrote(writer, bytes, blocked, owner);
            if blocked {
                return;
            }
        }
    }

    fn wrote(&self, writer: Writer, bytes: u64, blocked: bool, owner: bool) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.out.put_back(writer, bytes, blocked);
        let waker = (blocked && !owner).then(|| state.keeper.clone()).flatten();
        let written = state.out.written();
        let count = state
            .unanswered
            .iter()
            .take_while(|u| u.end <= written)
            .count();
        let done: Vec<Unanswered> = state.unanswered.drain(..count).collect();
        self.tell_drained(&state);
        drop(state);
        wake(waker);
        for request in done {
            contained(|| (request.on_written)(Ok(())));
        }
    }

    fn tell_drained(&self, state: &LinkState) {
        if state.is_drained() {
            self.empty.notify_waiters();
        }
    }

    /// Hands a frame to the request that has waited longest.
    pub(super) fn answered(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let Some(head) = state.awaited.pop_front() else {
            drop(state);
            self.close(Error::protocol(
                self.name.clone(),
                "an answer that nobody asked for",
            ));
            return;
        };
        state.silence.heard();
        let next = state.awaited.front().map(|next| next.deadline);
        let waker = match next {
            Some(deadline) => state.to_wake(deadline),
            None => {
                // The keeper may sleep towards the deadline of what has just been answered.
                if !is_login(head.key) {
                    state.last_used = Instant::now();
                }
                state.due(self.idle).and_then(|idle| state.to_wake(idle))
            }
        };
        self.tell_drained(&state);
        drop(state);
        wake(waker);
        let body = match split_response(head.key, head.version, frame) {
            Ok((id, body)) if id == head.id => body,
            Ok((id, _)) => {
                let reason = format!("correlation id {id} where {} was due", head.id);
                return self.broken(head, &reason);
            }
            Err(malformed) => return self.broken(head, &malformed.to_string()),
        };
        contained(|| (head.on_answer)(Ok(body)));
    }

    /// The next answer has so many bytes, which are more than are taken; these are its first. Whose it is is told, and the
    /// stream ended, which cannot be read on without it.
    pub(super) fn too_large(&self, size: usize, limit: usize, beginning: Bytes) {
        let error = Error::AnswerTooLarge {
            address: self.name.clone(),
            size,
            limit,
        };
        let head = self.lock().awaited.pop_front();
        self.close(self.disconnected(format!("an answer of {size} bytes is larger than is taken")));
        let Some(head) = head else { return };
        let beginning = split_response(head.key, head.version, beginning)
            .ok()
            .filter(|(id, _)| *id == head.id)
            .map(|(_, body)| body);
        contained(|| {
            (head.on_answer)(Err(RequestError {
                error,
                sent: true,
                beginning,
            }));
        });
    }

    fn broken(&self, head: Awaited, reason: &str) {
        let reason = format!("{} answer: {reason}", head.key.name());
        let error = Error::protocol(self.name.clone(), reason);
        self.close(error.clone());
        Expect::Answer(head.timeout, None, head.on_answer).fail(error, true);
    }

    /// Ends the stream: everything waiting is told `error`.
    pub(super) fn close(&self, error: Error) {
        self.end(error, None, true);
    }

    /// The same on purpose, which is nothing to tell.
    pub(super) fn dismiss(&self, error: Error) {
        self.end(error, None, false);
    }

    /// Ends the stream; the first request waiting is told `first` where there is one.
    fn end(&self, error: Error, mut first: Option<Error>, tells: bool) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(error.clone());
        self.closed.store(true, Ordering::Release);
        let exposed = state.out.exposed();
        state.out.clear();
        let awaited = std::mem::take(&mut state.awaited);
        let unanswered = std::mem::take(&mut state.unanswered);
        let held = state.release();
        let waker = state.keeper.take();
        let is_broker = state.silence.count() > 0;
        drop(state);
        let count = awaited.len() + unanswered.len() + held.len();
        // A server that has never answered is told of by whoever wanted the connection.
        let is_lost = tells && count > 0 && is_broker && self.history.lost(Instant::now());
        if is_lost {
            warn!(address = %self.name, cause = %error, requests = count, "a connection was lost with requests on it: what may be sent again is");
        } else {
            debug!(address = %self.name, reason = %error, requests = count, "connection closed");
        }
        self.closing.send_replace(true);
        wake(waker);
        let awaited = awaited
            .into_iter()
            .map(|r| (r.start, Expect::Answer(r.timeout, None, r.on_answer)));
        let unanswered = unanswered
            .into_iter()
            .map(|r| (r.start, Expect::Written(r.on_written)));
        for (start, expect) in awaited.chain(unanswered) {
            let error = first.take().unwrap_or_else(|| error.clone());
            expect.fail(error, start < exposed);
        }
        for request in held {
            request.expect.fail(error.clone(), false);
        }
    }

    /// The keeper's turn: writes on, enforces deadlines; returns when to look again, `None` at the end.
    pub(super) fn tend(&self, cx: &mut Context<'_>) -> Option<Option<Instant>> {
        {
            let mut state = self.lock();
            if state.end.is_some() {
                return None;
            }
            match &mut state.keeper {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        self.flush(cx, true);
        let now = Instant::now();
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        if let Some(heard) = state.silence.take_due(now) {
            self.silences.send_replace(Some(heard));
        }
        let due = state.due(self.idle);
        let Some(at) = due.filter(|at| *at <= now) else {
            state.timer = due;
            return Some(due);
        };
        let late = state.late(at, self.write_limit);
        drop(state);
        self.expire(late);
        None
    }

    fn expire(&self, late: Option<(ApiKey, Duration, bool)>) {
        let Some((key, timeout, first)) = late else {
            self.idled.store(true, Ordering::Release);
            self.close(self.disconnected("idle for connections.max.idle.ms"));
            return;
        };
        let request = key.name();
        let timed_out = Error::RequestTimeout {
            address: self.name.clone(),
            request,
            timeout,
        };
        let rest = self.disconnected(format!("{request} was not answered within {timeout:?}"));
        self.end(rest, first.then_some(timed_out), true);
    }
}
