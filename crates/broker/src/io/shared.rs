//! What all tasks of a cluster share: the state behind its lock, the clock, and who is to be woken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::state::{ConnectionId, NodeId, Now, State};

/// Whether a node works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    /// Takes connections and bytes, does and answers nothing.
    Frozen,
    /// Crashed; what was connected to it is cut off.
    Down,
}

/// A node's mode, and how often its connections were cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) mode: Mode,
    pub(crate) incarnation: u64,
}

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    started: Instant,
    started_wall: i64,
    wakers: Mutex<HashMap<ConnectionId, Arc<Notify>>>,
    next_connection: AtomicU64,
    /// The task that acts when a deadline passes.
    pub(crate) timer: Notify,
    /// By node, in the order of their ids.
    statuses: Vec<watch::Sender<Status>>,
    pub(crate) max_request_bytes: usize,
}

struct Inner {
    state: State,
    /// For when the timer is set.
    armed: Option<Duration>,
}

fn running() -> watch::Sender<Status> {
    watch::Sender::new(Status {
        mode: Mode::Running,
        incarnation: 0,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere is that test's failure; the others go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: Instant::now(),
            started_wall: wall.map_or(0, |since| since.as_millis() as i64),
            wakers: Mutex::default(),
            next_connection: AtomicU64::new(0),
            timer: Notify::new(),
            statuses: (0..state.nodes.all().len()).map(|_| running()).collect(),
            max_request_bytes: state.settings.max_request_bytes,
            inner: Mutex::new(Inner { state, armed: None }),
        }
    }

    /// The time as the state understands it; a paused clock of tokio pauses it, too.
    pub(crate) fn now(&self) -> Now {
        let up = self.started.elapsed();
        Now {
            up,
            wall: self.started_wall + up.as_millis() as i64,
        }
    }

    pub(crate) fn at(&self, up: Duration) -> Instant {
        self.started + up
    }

    /// Works on the state, then wakes whom that concerns.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State, Now) -> T) -> T {
        let now = self.now();
        let mut inner = lock(&self.inner);
        let result = work(&mut inner.state, now);
        let woken = inner.state.waits.take_woken();
        let deadline = inner.state.deadline();
        let set_timer = deadline != inner.armed;
        inner.armed = deadline;
        drop(inner);
        if set_timer {
            self.timer.notify_one();
        }
        if !woken.is_empty() {
            let wakers = lock(&self.wakers);
            for id in woken {
                if let Some(waker) = wakers.get(&id) {
                    waker.notify_one();
                }
            }
        }
        result
    }

    pub(crate) fn status(&self, node: NodeId) -> Option<&watch::Sender<Status>> {
        self.statuses
            .get(usize::try_from(node).ok()?.checked_sub(1)?)
    }

    /// Changes a node's mode; `cut` ends its connections.
    pub(crate) fn set_mode(&self, node: NodeId, mode: Mode, cut: bool) {
        if let Some(status) = self.status(node) {
            status.send_modify(|status| {
                status.mode = mode;
                status.incarnation += u64::from(cut);
            });
        }
    }

    pub(crate) fn mode(&self, node: NodeId) -> Option<Mode> {
        self.status(node).map(|status| status.borrow().mode)
    }

    pub(crate) fn connected(&self) -> (ConnectionId, Arc<Notify>) {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let waker = Arc::new(Notify::new());
        lock(&self.wakers).insert(id, waker.clone());
        self.with(|state, _| state.connected(id));
        (id, waker)
    }

    pub(crate) fn disconnected(&self, id: ConnectionId) {
        lock(&self.wakers).remove(&id);
        self.with(|state, _| state.disconnected(id));
    }
}

/// Acts when deadlines of the state pass, until the cluster ends.
pub(crate) async fn keep_time(shared: Arc<Shared>) {
    loop {
        let next = shared.with(|state, _| state.deadline());
        match next {
            None => shared.timer.notified().await,
            Some(up) => tokio::select! {
                () = shared.timer.notified() => continue,
                () = tokio::time::sleep_until(shared.at(up)) => {}
            },
        }
        shared.with(State::tick);
    }
}
