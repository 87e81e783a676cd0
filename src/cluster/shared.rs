//! What handles and the refresh task share: the snapshot, the topics of interest, and who asked for a refresh.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use hashbrown::HashSet;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config::ClientSettings;
use crate::error::Error;
use crate::machine::topology::Topology;
use crate::net::Pool;
use crate::types::TopicName;

pub(super) struct Shared {
    pub(super) settings: Arc<ClientSettings>,
    pub(super) pool: Arc<Pool>,
    current: ArcSwap<Topology>,
    receiver: watch::Receiver<Arc<Topology>>,
    wake: Notify,
    state: Mutex<State>,
}

struct State {
    /// Gone when the cluster is closed: that ends every wait for a change.
    sender: Option<watch::Sender<Arc<Topology>>>,
    interest: HashSet<TopicName>,
    /// Those of them that nobody wants to be made when they are missing.
    kept: HashSet<TopicName>,
    /// How many refreshes were asked for, ever; one that begins serves all asked before.
    requested: u64,
    served: u64,
    last_failure: Option<Error>,
}

impl Shared {
    pub(super) fn new(settings: Arc<ClientSettings>, pool: Arc<Pool>) -> Arc<Self> {
        let topology = Arc::new(Topology::default());
        let (sender, receiver) = watch::channel(topology.clone());
        Arc::new(Self {
            settings,
            pool,
            current: ArcSwap::new(topology),
            receiver,
            wake: Notify::new(),
            state: Mutex::new(State {
                sender: Some(sender),
                interest: HashSet::new(),
                kept: HashSet::new(),
                requested: 0,
                served: 0,
                last_failure: None,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed_error() -> Error {
        Error::Closed { what: "the client" }
    }

    pub(super) fn close(&self) {
        let sender = self.lock().sender.take();
        if sender.is_some() {
            self.wake.notify_one();
            self.pool.close_all();
        }
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

    /// As `update`, with the topics that are of interest at this moment.
    pub(super) fn update_with(
        &self,
        next: impl FnOnce(&Topology, &HashSet<TopicName>) -> Option<Topology>,
    ) {
        let state = self.lock();
        let Some(sender) = &state.sender else { return };
        if let Some(topology) = next(&self.current.load(), &state.interest) {
            let topology = Arc::new(topology);
            self.current.store(topology.clone());
            sender.send_replace(topology);
        }
    }

    /// Whether the topic was not of interest before, or not to be made when it is missing.
    pub(super) fn add_interest(&self, topic: &str, creates: bool) -> bool {
        let mut state = self.lock();
        let is_new = !state.interest.contains(topic) && state.interest.insert(topic.into());
        if creates {
            return state.kept.remove(topic) || is_new;
        }
        if is_new {
            state.kept.insert(topic.into());
        }
        is_new
    }

    /// All topics of interest, and those of them that are not to be made.
    pub(super) fn interest(&self) -> (Vec<TopicName>, HashSet<TopicName>) {
        let state = self.lock();
        (state.interest.iter().cloned().collect(), state.kept.clone())
    }

    pub(super) fn request_refresh(&self) {
        let mut state = self.lock();
        state.requested += 1;
        let first = state.requested == state.served + 1;
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    /// Waits until a refresh is wanted: asked for, or due at `due`; `false` when the cluster is closed.
    pub(super) async fn wanted(&self, due: Instant) -> bool {
        loop {
            {
                let state = self.lock();
                if state.sender.is_none() {
                    return false;
                }
                if state.requested > state.served || Instant::now() >= due {
                    return true;
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Waits until `until`; `false` when the cluster is closed before.
    pub(super) async fn pause(&self, until: Instant) -> bool {
        let mut changes = self.receiver.clone();
        let closed = async { while changes.changed().await.is_ok() {} };
        tokio::select! {
            () = closed => false,
            () = tokio::time::sleep_until(until) => true,
        }
    }

    /// A refresh begins; the number is for `succeeded`.
    pub(super) fn begin(&self) -> u64 {
        self.lock().requested
    }

    pub(super) fn succeeded(&self, serving: u64) {
        let mut state = self.lock();
        state.served = serving;
        state.last_failure = None;
    }

    pub(super) fn failed(&self, error: Error) {
        self.lock().last_failure = Some(error);
    }

    /// Why the last refresh failed, if it did.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.lock().last_failure.clone()
    }
}
