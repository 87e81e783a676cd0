//! One stream to a server: requests go out in order, answers come back in the same order.
//!
//! ```text
//!   submit ──▶ Outgoing ──▶ socket ──▶ reader task ──▶ Awaited (first in, first out) ──▶ on_answer
//!                  ▲ writes at once; the keeper task goes on where the socket blocked
//! ```
//!
//! Invariants: each callback is called exactly once, never under the lock; after `end` is set nothing
//! is written and nothing is awaited.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::dial::Dialler;
use super::outgoing::{Outgoing, Writer};
use super::silence::{self, Silence};
use super::tasks;
use super::transport::{Endpoint, Transport};
use crate::error::Error;
use crate::types::Address;
use crate::wire::{ApiKey, request_header, split_response};

/// A frame's length and a request header without the client's id.
const HEADER: usize = 16;

/// Takes a request's answer, or why there is none.
pub(crate) type OnAnswer = Box<dyn FnOnce(Result<Bytes, RequestError>) + Send>;
/// Told that a request without an answer has been handed to the socket, or why not.
pub(crate) type OnWritten = Box<dyn FnOnce(Result<(), RequestError>) + Send>;

/// How a request failed.
#[derive(Debug)]
pub(crate) struct RequestError {
    pub(crate) error: Error,
    /// `false` promises that not one byte of the request was written.
    pub(crate) sent: bool,
    /// The first bytes of the body of an answer that is larger than is taken.
    pub(crate) beginning: Option<Bytes>,
}

/// The owner of a stream; dropping it closes the stream.
pub(super) struct Link(pub(super) Arc<Shared>);

/// What the owner and the stream's two tasks share.
pub(super) struct Shared {
    pub(super) address: Address,
    /// The address as errors show it.
    pub(super) name: Arc<str>,
    client_id: Arc<str>,
    idle: Option<Duration>,
    write_limit: Duration,
    closed: AtomicBool,
    closing: watch::Sender<bool>,
    /// For a second stream to the same place, when this one is silent.
    pub(super) dialler: Dialler,
    pub(super) endpoint: Endpoint,
    state: Mutex<State>,
}

struct State {
    out: Outgoing,
    awaited: VecDeque<Awaited>,
    unanswered: VecDeque<Unanswered>,
    next_id: i32,
    keeper: Option<Waker>,
    /// When the keeper looks again by itself; deadlines before it must wake it.
    timer: Option<Instant>,
    last_used: Instant,
    silence: Silence,
    end: Option<Error>,
}

struct Awaited {
    id: i32,
    key: ApiKey,
    version: i16,
    start: u64,
    deadline: Instant,
    timeout: Duration,
    on_answer: OnAnswer,
}

struct Unanswered {
    key: ApiKey,
    start: u64,
    end: u64,
    deadline: Instant,
    on_written: OnWritten,
}

/// What a request waits for.
pub(super) enum Expect {
    /// Within the first time, of which the broker may keep it back for the second.
    Answer(Duration, Option<Duration>, OnAnswer),
    Written(OnWritten),
}

impl Expect {
    fn fail(self, error: Error, sent: bool) {
        let failed = RequestError {
            error,
            sent,
            beginning: None,
        };
        match self {
            Self::Answer(_, _, on_answer) => contained(|| on_answer(Err(failed))),
            Self::Written(on_written) => contained(|| on_written(Err(failed))),
        }
    }
}

/// A callback's panic must not take down the stream, which serves others too.
fn contained(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        error!("a request's callback panicked");
    }
}

impl Link {
    /// Starts the two tasks of a stream.
    pub(super) fn start(transport: Transport, endpoint: &Endpoint, dialler: &Dialler) -> Self {
        let (address, settings) = (&dialler.server, &dialler.settings);
        let shared = Arc::new(Shared {
            address: address.clone(),
            name: address.to_string().into(),
            dialler: dialler.clone(),
            endpoint: endpoint.clone(),
            client_id: settings.client_id.clone(),
            idle: settings.connections_max_idle,
            write_limit: settings.request_timeout,
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            state: Mutex::new(State {
                out: Outgoing::new(transport.writer),
                awaited: VecDeque::new(),
                unanswered: VecDeque::new(),
                next_id: 0,
                keeper: None,
                timer: None,
                last_used: Instant::now(),
                silence: Silence::default(),
                end: None,
            }),
        });
        tasks::spawn(&shared, transport.reader, settings.max_response_bytes);
        Self(shared)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.dismiss(self.0.disconnected("no longer used"));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
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
        let tls = self.dialler.settings.tls.as_ref();
        tls.and_then(|tls| tls.refusal(&self.name, error))
            .unwrap_or_else(|| self.disconnected(format!("{what}: {error}{hint}")))
    }

    /// How many answers have come.
    pub(super) fn heard(&self) -> u64 {
        self.lock().silence.count()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) async fn closed(&self) {
        // The sender lives as long as `self`, so this ends only by the closing.
        let _ = self.closing.subscribe().wait_for(|closed| *closed).await;
    }

    pub(super) fn in_flight(&self) -> usize {
        let state = self.lock();
        state.awaited.len() + state.unanswered.len()
    }

    /// Gives every request that awaits its answer more time: the broker said that it will not look at them before.
    pub(super) fn extend(&self, by: Duration) {
        let mut state = self.lock();
        for request in &mut state.awaited {
            request.deadline = request.deadline.checked_add(by).unwrap_or(request.deadline);
        }
        state.silence.extend(by);
    }

    /// Queues a request and writes what the socket takes now.
    pub(super) fn submit(&self, key: ApiKey, version: i16, body: Vec<Bytes>, expect: Expect) {
        if let Err((expect, error)) = self.queue(key, version, body, expect) {
            expect.fail(error, false);
            return;
        }
        self.flush(&mut Context::from_waker(Waker::noop()), false);
    }

    #[expect(
        clippy::result_large_err,
        reason = "what the request waits for goes back as it came, without a box"
    )]
    fn queue(
        &self,
        key: ApiKey,
        version: i16,
        body: Vec<Bytes>,
        expect: Expect,
    ) -> Result<(), (Expect, Error)> {
        let now = Instant::now();
        let length = body.iter().map(Bytes::len).sum();
        let mut state = self.lock();
        if let Some(end) = &state.end {
            return Err((expect, end.clone()));
        }
        let id = state.next_id;
        let mut head = BytesMut::with_capacity(HEADER + self.client_id.len());
        request_header(&mut head, key, version, id, &self.client_id, length);
        state.next_id = id.wrapping_add(1) & i32::MAX;
        let (start, end) = state.out.push(head.freeze(), body);
        let idle = now.saturating_duration_since(state.last_used);
        state.last_used = now;
        let deadline = match expect {
            Expect::Answer(timeout, held, on_answer) => {
                let deadline = now + timeout;
                if state.awaited.is_empty() {
                    state.silence.asked(now, idle, held);
                }
                state.awaited.push_back(Awaited {
                    id,
                    key,
                    version,
                    start,
                    deadline,
                    timeout,
                    on_answer,
                });
                let first = state.awaited.len() == 1;
                first.then(|| {
                    state
                        .silence
                        .due()
                        .map_or(deadline, |due| due.min(deadline))
                })
            }
            Expect::Written(on_written) => {
                let deadline = now + self.write_limit;
                state.unanswered.push_back(Unanswered {
                    key,
                    start,
                    end,
                    deadline,
                    on_written,
                });
                (state.unanswered.len() == 1).then_some(deadline)
            }
        };
        let waker = deadline.and_then(|deadline| state.to_wake(deadline));
        drop(state);
        wake(waker);
        Ok(())
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
        drop(state);
        wake(waker);
        for request in done {
            contained(|| (request.on_written)(Ok(())));
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
                state.last_used = Instant::now();
                state.due(self.idle).and_then(|idle| state.to_wake(idle))
            }
        };
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
        let waker = state.keeper.take();
        let is_broker = state.silence.count() > 0;
        drop(state);
        let count = awaited.len() + unanswered.len();
        // A server that has never answered is told of by whoever wanted the connection.
        let is_lost = tells && count > 0 && is_broker && self.dialler.route.lost(Instant::now());
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
    }

    /// The keeper's turn: writes on, enforces deadlines; returns when to look again, `None` at the end.
    pub(super) fn tend(self: &Arc<Self>, cx: &mut Context<'_>) -> Option<Option<Instant>> {
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
            silence::probe(self, heard);
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

impl State {
    /// The keeper's waker when it would sleep past `deadline`.
    fn to_wake(&self, deadline: Instant) -> Option<Waker> {
        match self.timer {
            Some(timer) if timer <= deadline => None,
            _ => self.keeper.clone(),
        }
    }

    /// When something must be done: a deadline passes, or the stream has been idle for too long.
    fn due(&self, idle: Option<Duration>) -> Option<Instant> {
        let answer = self.awaited.front().map(|r| r.deadline);
        let write = self.unanswered.front().map(|r| r.deadline);
        let silence = self.silence.due();
        let deadline = answer.into_iter().chain(write).chain(silence).min();
        deadline.or_else(|| self.last_used.checked_add(idle?))
    }

    /// Whose deadline was `at`, with its limit and whether it is the first that awaits an answer.
    fn late(&self, at: Instant, write_limit: Duration) -> Option<(ApiKey, Duration, bool)> {
        let answer = self.awaited.front().filter(|r| r.deadline == at);
        let write = self.unanswered.front().filter(|r| r.deadline == at);
        answer
            .map(|r| (r.key, r.timeout, true))
            .or_else(|| write.map(|r| (r.key, write_limit, false)))
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
