//! What handles and the refresh task share: the snapshot, the topics of interest, and who uses them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::thread::Home;
use crate::config::ClientSettings;
use crate::error::Error;
use crate::machine::interest::{Ask, Interest, Pace, Use};
use crate::machine::topology::{Topic, Topology};
use crate::net::Pool;
use crate::types::TopicName;
use crate::wire::MetadataAnswer;

/// Whoever uses topics; asked, without a lock, whether it still does and whether it waits for what is missing.
pub(crate) trait TopicUser: Send + Sync {
    /// How much the topic matters now; `topic` is what is known of it.
    fn uses(&self, name: &str, topic: Option<&Topic>) -> Use;
}

pub(super) struct ClusterInner {
    pub(super) settings: Arc<ClientSettings>,
    pub(super) pool: Arc<Pool>,
    current: ArcSwap<Topology>,
    receiver: watch::Receiver<Arc<Topology>>,
    wake: Notify,
    /// A look for metadata failed.
    #[cfg(feature = "spill")]
    failing: Notify,
    state: Mutex<ClusterState>,
}

struct ClusterState {
    /// Gone when the cluster is closed: that ends every wait for a change.
    sender: Option<watch::Sender<Arc<Topology>>>,
    interest: Interest,
    users: Vec<Weak<dyn TopicUser>>,
    last_failure: Option<Error>,
    closed: Option<Error>,
    /// Where the members of groups live, once there was one.
    home: Option<Home>,
}

impl ClusterInner {
    pub(super) fn new(settings: Arc<ClientSettings>, pool: Arc<Pool>) -> Arc<Self> {
        let topology = Arc::new(Topology::default());
        let (sender, receiver) = watch::channel(topology.clone());
        let pace = Pace {
            retry: settings.retry_backoff,
            max_age: settings.metadata_max_age,
        };
        Arc::new(Self {
            settings,
            pool,
            current: ArcSwap::new(topology),
            receiver,
            wake: Notify::new(),
            #[cfg(feature = "spill")]
            failing: Notify::new(),
            state: Mutex::new(ClusterState {
                sender: Some(sender),
                interest: Interest::new(pace, now()),
                users: Vec::new(),
                last_failure: None,
                closed: None,
                home: None,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the cluster is closed.
    pub(super) fn why_closed(&self) -> Error {
        let why = self.lock().closed.clone();
        why.unwrap_or(Error::Closed { what: "the client" })
    }

    /// Ends everything; whoever still asks for something is told `why`.
    pub(super) fn close(&self, why: Error) {
        let (sender, home) = {
            let mut state = self.lock();
            state.closed.get_or_insert_with(|| why.clone());
            (state.sender.take(), state.home.take())
        };
        if sender.is_some() {
            self.wake.notify_one();
            self.pool.close_all(why);
        }
        // Only now: nothing that lives there is wanted any more.
        drop(home);
    }

    /// Where members of groups live; the client's connections for them end before it does.
    pub(super) fn home(&self) -> Home {
        let known = self.lock().home.clone();
        if let Some(home) = known {
            return home;
        }
        let home = Home::new();
        let mut state = self.lock();
        // One that is closed keeps nothing alive any more.
        if state.sender.is_some() {
            state.home = Some(home.clone());
        }
        home
    }

    pub(super) fn topology(&self) -> Arc<Topology> {
        self.current.load_full()
    }

    pub(super) fn changes(&self) -> watch::Receiver<Arc<Topology>> {
        let mut receiver = self.receiver.clone();
        receiver.mark_unchanged();
        receiver
    }

    /// Replaces the snapshot by what `next` makes of it; one update at a time.
    pub(super) fn update(&self, next: impl FnOnce(&Topology) -> Option<Topology>) {
        self.update_with(|topology, _| next(topology));
    }

    fn update_with(&self, next: impl FnOnce(&Topology, &mut ClusterState) -> Option<Topology>) {
        let mut state = self.lock();
        if state.sender.is_none() {
            return;
        }
        if let Some(topology) = next(&self.current.load(), &mut state) {
            let topology = Arc::new(topology);
            self.current.store(topology.clone());
            if let Some(sender) = &state.sender {
                sender.send_replace(topology);
            }
        }
    }

    /// Changes what is of interest, and lets the task look at it.
    pub(super) fn interest<T>(&self, change: impl FnOnce(&mut Interest) -> T) -> T {
        let (changed, is_sooner) = {
            let mut state = self.lock();
            let before = state.interest.next();
            let changed = change(&mut state.interest);
            (changed, state.interest.next() < before)
        };
        if is_sooner {
            self.wake.notify_one();
        }
        changed
    }

    pub(super) fn add_user(&self, user: Weak<dyn TopicUser>) {
        let mut state = self.lock();
        state.users.retain(|user| user.strong_count() > 0);
        state.users.push(user);
    }

    /// How much each topic matters to somebody.
    fn uses(&self, names: Vec<TopicName>) -> Vec<(TopicName, Use)> {
        let users: Vec<_> = {
            let state = self.lock();
            state.users.iter().filter_map(Weak::upgrade).collect()
        };
        let topology = self.topology();
        names
            .into_iter()
            .map(|name| {
                let topic = topology.topics.get(&name).map(AsRef::as_ref);
                let used = users.iter().map(|user| user.uses(&name, topic)).max();
                (name, used.unwrap_or_default())
            })
            .collect()
    }

    /// Waits until there is something to ask; `None` when the cluster is closed.
    pub(super) async fn next_ask(&self) -> Option<Ask> {
        loop {
            let looks = {
                let state = self.lock();
                state.sender.as_ref()?;
                let is_all_due = state.interest.is_all_due(now());
                is_all_due.then(|| state.interest.all())
            };
            if let Some(names) = looks {
                self.forget(&self.uses(names));
            }
            let due = {
                let mut state = self.lock();
                if let Some(ask) = state.interest.take(now()) {
                    return Some(ask);
                }
                state.interest.next()
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
    }

    fn forget(&self, looked_at: &[(TopicName, Use)]) {
        self.update_with(|topology, state| {
            let forgotten = state.interest.forget(looked_at, now());
            (!forgotten.is_empty()).then(|| topology.without(&forgotten))
        });
    }

    /// Takes over an answer, and plans the next requests.
    pub(super) fn answered(&self, ask: &Ask, answer: &MetadataAnswer) {
        self.update_with(|topology, state| {
            state.last_failure = None;
            state.interest.answered(ask, now(), fastrand::f64());
            if topology.is_other_cluster(answer) {
                state.interest.request_all();
            }
            Some(topology.merge(answer, &ask.names))
        });
        let uses = self.uses(ask.names.clone());
        self.forget(&uses);
        let topology = self.topology();
        let interest = &mut self.lock().interest;
        interest.schedule(&uses, &topology, now(), fastrand::f64);
    }

    /// The request failed: it is made again.
    pub(super) fn failed(&self, ask: &Ask, error: Error) {
        {
            let mut state = self.lock();
            state.last_failure = Some(error);
            state.interest.failed(ask, now(), fastrand::f64());
        }
        #[cfg(feature = "spill")]
        self.failing.notify_waiters();
    }

    /// Waits until the last refresh has failed.
    #[cfg(feature = "spill")]
    pub(super) async fn unreachable(&self) -> Error {
        loop {
            let failing = self.failing.notified();
            if let Some(error) = self.last_failure() {
                return error;
            }
            failing.await;
        }
    }

    /// Why the last refresh failed, if it did.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.lock().last_failure.clone()
    }
}

/// By tokio's clock, which tests may stop.
pub(super) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
