//! What all tasks of a cluster share: the state behind its lock, the clock, and who is to be woken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{self, Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::state::{Connection, ConnectionId, ListenerId, NodeId, Now, State};

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
    clock: Clock,
    wakers: Mutex<HashMap<ConnectionId, Arc<Notify>>>,
    next_connection: AtomicU64,
    /// The task that acts when a deadline passes.
    pub(crate) timer: Notify,
    /// By node, in the order of their ids.
    statuses: Vec<watch::Sender<Status>>,
    pub(crate) max_request_bytes: usize,
    /// Which listeners ask for a login, in their order.
    logins: Vec<bool>,
    /// A connection has ended.
    parted: Notify,
}

/// When the cluster was started, by each of the clocks that its time is made of.
struct Clock {
    /// Tokio's, which a test may have paused.
    tokio: Instant,
    /// The machine's, which stands still while the machine is suspended.
    machine: time::Instant,
    /// The calendar's, which goes on meanwhile, and which people set.
    wall: SystemTime,
}

impl Clock {
    fn start() -> Self {
        Self {
            tokio: Instant::now(),
            machine: time::Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn now(&self) -> Now {
        let up = self.tokio.elapsed();
        Now {
            up,
            wall: wall(self.wall, SystemTime::now(), self.machine.elapsed(), up),
        }
    }
}

/// Milliseconds since 1970: the calendar's, ahead of it by as much as tokio's clock is ahead of the machine's.
fn wall(started: SystemTime, calendar: SystemTime, machine: Duration, tokio: Duration) -> i64 {
    let millis = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    };
    let (started, calendar) = (millis(started), millis(calendar));
    let drift = calendar - started - machine.as_millis() as i64;
    // The clocks are read one after the other: what that takes is no drift.
    let drift = (drift + 5).div_euclid(10) * 10;
    started + tokio.as_millis() as i64 + drift
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
        Self {
            clock: Clock::start(),
            wakers: Mutex::default(),
            next_connection: AtomicU64::new(0),
            timer: Notify::new(),
            statuses: (0..state.nodes.all().len()).map(|_| running()).collect(),
            max_request_bytes: state.settings.max_request_bytes,
            logins: state
                .settings
                .listeners()
                .iter()
                .map(|one| one.login)
                .collect(),
            parted: Notify::new(),
            inner: Mutex::new(Inner { state, armed: None }),
        }
    }

    /// The time as the state understands it; a paused clock of tokio pauses it, too.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn at(&self, up: Duration) -> Instant {
        self.clock.tokio + up
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

    /// All nodes' ids.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        1..=self.statuses.len() as NodeId
    }

    pub(crate) fn status(&self, node: NodeId) -> Option<&watch::Sender<Status>> {
        self.statuses
            .get(usize::try_from(node).ok()?.checked_sub(1)?)
    }

    pub(crate) fn asks_for_login(&self, listener: ListenerId) -> bool {
        self.logins.get(listener.0).copied().unwrap_or(true)
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

    pub(crate) fn connected(&self, connection: Connection) -> (ConnectionId, Arc<Notify>) {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let waker = Arc::new(Notify::new());
        lock(&self.wakers).insert(id, waker.clone());
        self.with(|state, _| state.connected(id, connection));
        (id, waker)
    }

    pub(crate) fn disconnected(&self, id: ConnectionId) {
        lock(&self.wakers).remove(&id);
        self.with(|state, _| state.disconnected(id));
        self.parted.notify_waiters();
    }

    /// Returns when no connection is left.
    pub(crate) async fn all_parted(&self) {
        loop {
            let mut parted = std::pin::pin!(self.parted.notified());
            // From here on none that ends is missed.
            parted.as_mut().enable();
            if lock(&self.wakers).is_empty() {
                return;
            }
            parted.await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_the_calendars_after_a_suspend_and_tokios_in_a_paused_test() {
        let second = Duration::from_secs(1);
        let none = Duration::ZERO;
        let started = UNIX_EPOCH + 1_000_000 * second;
        let hour = 3600 * second;
        for (what, calendar, machine, tokio, expected) in [
            ("at once", none, none, none, 0),
            ("as time goes", 7 * second, 7 * second, 7 * second, 7_000),
            (
                "suspended",
                hour + 7 * second,
                7 * second,
                7 * second,
                3_607_000,
            ),
            ("paused", 7 * second, 7 * second, none, 0),
            (
                "paused and advanced",
                7 * second,
                7 * second,
                hour,
                3_600_000,
            ),
        ] {
            let told = wall(started, started + calendar, machine, tokio);
            assert_eq!(told - 1_000_000_000, expected, "{what}");
        }
        // Set back by a person.
        let told = wall(started, started - hour, second, second);
        assert_eq!(told - 1_000_000_000, -3_600_000);
        // Read one after the other.
        for micros in [0, 1, 999, 1_001, 4_000] {
            let late = started + second + Duration::from_micros(micros);
            assert_eq!(wall(started, late, second, second), 1_000_001_000);
        }
    }
}
