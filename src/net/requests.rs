//! What waits on a stream: requests in the order in which they are written, with their deadlines.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tracing::error;

use super::outgoing::Outgoing;
use super::silence::Silence;
use crate::error::Error;
use crate::wire::{ApiKey, request_header};

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

/// All of it, under the stream's lock.
pub(super) struct LinkState {
    pub(super) out: Outgoing,
    pub(super) awaited: VecDeque<Awaited>,
    pub(super) unanswered: VecDeque<Unanswered>,
    pub(super) next_id: i32,
    pub(super) keeper: Option<Waker>,
    /// When the keeper looks again by itself; deadlines before it must wake it.
    pub(super) timer: Option<Instant>,
    pub(super) last_used: Instant,
    pub(super) silence: Silence,
    pub(super) end: Option<Error>,
    /// While a login goes on, requests that came since wait here: none but its own may be written (KIP-368).
    held: Option<VecDeque<Request>>,
}

/// A request that is not queued yet.
pub(super) struct Request {
    pub(super) key: ApiKey,
    pub(super) version: i16,
    pub(super) body: Vec<Bytes>,
    pub(super) expect: Expect,
}

impl Request {
    /// Whether it is part of a login, and no sign that anybody uses the stream.
    fn is_login(&self) -> bool {
        is_login(self.key)
    }
}

/// Whether requests of this kind are what a login consists of.
pub(super) fn is_login(key: ApiKey) -> bool {
    matches!(key, ApiKey::SaslHandshake | ApiKey::SaslAuthenticate)
}

/// A request whose answer has not come.
pub(super) struct Awaited {
    pub(super) id: i32,
    pub(super) key: ApiKey,
    pub(super) version: i16,
    pub(super) start: u64,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) on_answer: OnAnswer,
}

/// A request that has no answer, and is not written to its end.
pub(super) struct Unanswered {
    pub(super) key: ApiKey,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) deadline: Instant,
    pub(super) on_written: OnWritten,
}

/// What a request waits for.
pub(super) enum Expect {
    /// Within the first time, of which the broker may keep it back for the second.
    Answer(Duration, Option<Duration>, OnAnswer),
    Written(OnWritten),
}

impl Expect {
    pub(super) fn fail(self, error: Error, sent: bool) {
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
pub(super) fn contained(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        error!("a request's callback panicked");
    }
}

impl LinkState {
    pub(super) fn new(out: Outgoing) -> Self {
        Self {
            out,
            awaited: VecDeque::new(),
            unanswered: VecDeque::new(),
            next_id: 0,
            keeper: None,
            timer: None,
            last_used: Instant::now(),
            silence: Silence::default(),
            end: None,
            held: None,
        }
    }

    /// Whether nothing that was written has still to be answered.
    pub(super) fn is_drained(&self) -> bool {
        self.awaited.is_empty() && self.unanswered.is_empty()
    }

    /// How many requests have not had their answer.
    pub(super) fn in_flight(&self) -> usize {
        let held = self.held.as_ref().map_or(0, VecDeque::len);
        self.awaited.len() + self.unanswered.len() + held
    }

    /// Takes no requests from now on but a login's: the others wait until they are released.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// What was held, in its order; nothing is held any more.
    pub(super) fn release(&mut self) -> VecDeque<Request> {
        self.held.take().unwrap_or_default()
    }

    /// The request, if it may be queued now.
    pub(super) fn admit(&mut self, request: Request) -> Option<Request> {
        match &mut self.held {
            Some(held) if !request.is_login() => {
                held.push_back(request);
                None
            }
            _ => Some(request),
        }
    }

    /// Queues a request for the socket; the keeper's waker where that sleeps for too long now.
    pub(super) fn queue(
        &mut self,
        request: Request,
        client_id: &str,
        write_limit: Duration,
    ) -> Option<Waker> {
        let now = Instant::now();
        let is_login = request.is_login();
        let Request {
            key,
            version,
            body,
            expect,
        } = request;
        let length = body.iter().map(Bytes::len).sum();
        let id = self.next_id;
        let mut head = BytesMut::with_capacity(HEADER + client_id.len());
        request_header(&mut head, key, version, id, client_id, length);
        self.next_id = id.wrapping_add(1) & i32::MAX;
        let (start, end) = self.out.push(head.freeze(), body);
        let idle = now.saturating_duration_since(self.last_used);
        if !is_login {
            self.last_used = now;
        }
        let deadline = match expect {
            Expect::Answer(timeout, held, on_answer) => {
                let deadline = now + timeout;
                if self.awaited.is_empty() {
                    self.silence.asked(now, idle, held);
                }
                self.awaited.push_back(Awaited {
                    id,
                    key,
                    version,
                    start,
                    deadline,
                    timeout,
                    on_answer,
                });
                let first = self.awaited.len() == 1;
                first.then(|| {
                    let due = self.silence.due();
                    due.map_or(deadline, |due| due.min(deadline))
                })
            }
            Expect::Written(on_written) => {
                let deadline = now + write_limit;
                self.unanswered.push_back(Unanswered {
                    key,
                    start,
                    end,
                    deadline,
                    on_written,
                });
                (self.unanswered.len() == 1).then_some(deadline)
            }
        };
        deadline.and_then(|deadline| self.to_wake(deadline))
    }

    /// Until when the last of the requests that are written may take to be answered.
    pub(super) fn busy_until(&self) -> Option<Instant> {
        self.awaited.iter().map(|request| request.deadline).max()
    }

    /// The keeper's waker when it would sleep past `deadline`.
    pub(super) fn to_wake(&self, deadline: Instant) -> Option<Waker> {
        match self.timer {
            Some(timer) if timer <= deadline => None,
            _ => self.keeper.clone(),
        }
    }

    /// When something must be done: a deadline passes, or the stream has been idle for too long.
    pub(super) fn due(&self, idle: Option<Duration>) -> Option<Instant> {
        let answer = self.awaited.front().map(|r| r.deadline);
        let write = self.unanswered.front().map(|r| r.deadline);
        let silence = self.silence.due();
        let deadline = answer.into_iter().chain(write).chain(silence).min();
        deadline.or_else(|| self.last_used.checked_add(idle?))
    }

    /// Whose deadline was `at`, with its limit and whether it is the first that awaits an answer.
    pub(super) fn late(
        &self,
        at: Instant,
        write_limit: Duration,
    ) -> Option<(ApiKey, Duration, bool)> {
        let answer = self.awaited.front().filter(|r| r.deadline == at);
        let write = self.unanswered.front().filter(|r| r.deadline == at);
        answer
            .map(|r| (r.key, r.timeout, true))
            .or_else(|| write.map(|r| (r.key, write_limit, false)))
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
