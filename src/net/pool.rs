//! The live connections of a client: one for each address and purpose, opened again with backoff.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::attempt::Dialler;
use super::connection::Connection;
use super::history::DialHistory;
use super::outage::Outage;
use super::transport::Connector;
use crate::config::ClientSettings;
use crate::error::Error;
use crate::types::Address;

/// What a connection is for: a slow request of one purpose never holds up another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Metadata and administration.
    Control,
    /// One producer's requests: what another has in flight neither delays them nor, when it times out, voids them.
    Produce(RoleId),
    /// One consumer's fetches, which a broker keeps waiting for records.
    Fetch(RoleId),
    /// What it fetches meanwhile.
    FetchBeside(RoleId),
    /// Looking for groups' coordinators, by the thread on which their members live.
    Seek,
    /// One consumer's membership in its group, whose joins a coordinator keeps waiting for the others.
    Group(RoleId),
    /// What the member says while a join waits.
    Beside(RoleId),
    /// One consumer's commits, or what a producer makes part of its transactions of them.
    Offsets(RoleId),
    /// One producer's calls to the coordinator of its transactions.
    Transactions(RoleId),
}

/// Tells producers and consumers apart: brokers serve a connection's requests one by one.
pub(crate) type RoleId = u32;

/// An id that no other producer or consumer of this process has.
pub(crate) fn next_role() -> RoleId {
    static ROLES: AtomicU32 = AtomicU32::new(0);
    ROLES.fetch_add(1, Ordering::Relaxed)
}

impl Purpose {
    fn role(self) -> Option<RoleId> {
        match self {
            Self::Control | Self::Seek => None,
            Self::Produce(id)
            | Self::Fetch(id)
            | Self::FetchBeside(id)
            | Self::Group(id)
            | Self::Beside(id)
            | Self::Offsets(id)
            | Self::Transactions(id) => Some(id),
        }
    }
}

/// Opens connections on demand and keeps them.
pub(crate) struct Pool {
    settings: Arc<ClientSettings>,
    connector: Arc<dyn Connector>,
    places: Mutex<Places>,
    /// Why no connection is opened any more.
    closed: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct Places {
    slots: HashMap<(Address, Purpose), Arc<PooledConnection>>,
    failing: HashMap<Address, Failing>,
    histories: HashMap<Address, Arc<DialHistory>>,
}

/// An address that could not be reached the last time.
struct Failing {
    outage: Outage,
    until: Instant,
}

/// The place of one connection. Whoever holds `gate` is the one who opens it; the others wait for the outcome.
struct PooledConnection {
    /// The server's, which the connections of all purposes have in common.
    history: Arc<DialHistory>,
    gate: tokio::sync::Mutex<()>,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    connection: Option<Connection>,
    opened: Option<Instant>,
    /// Attempts that have ended, by which a waiter knows that one ended while it waited.
    attempts: u64,
    failure: Option<Error>,
}

impl PooledConnection {
    fn new(history: Arc<DialHistory>) -> Self {
        Self {
            history,
            gate: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Option<Connection> {
        self.lock().connection.clone().filter(|c| !c.is_closed())
    }

    /// Nobody is at it and there is nothing in it.
    fn is_spare(slot: &Arc<Self>) -> bool {
        Arc::strong_count(slot) == 1 && slot.live().is_none()
    }
}

impl Pool {
    pub(crate) fn new(settings: Arc<ClientSettings>, connector: Arc<dyn Connector>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            connector,
            places: Mutex::default(),
            closed: watch::Sender::new(None),
        })
    }

    /// The live connection to an address; without one, waits out the backoff and opens it.
    ///
    /// Callers at the same time share one attempt and its outcome. An attempt whose caller goes away
    /// is dropped, and the next caller waiting makes its own.
    pub(crate) async fn connection(
        &self,
        address: &Address,
        purpose: Purpose,
    ) -> Result<Connection, Error> {
        let mut closed = self.closed.subscribe();
        let slot = self.slot(address, purpose)?;
        tokio::select! {
            biased;
            connection = self.share(&slot, address) => connection,
            _ = closed.wait_for(Option::is_some) => Err(self.why_shut()),
        }
    }

    /// The connection to an address, if it is open now.
    pub(crate) fn live(&self, address: &Address, purpose: Purpose) -> Option<Connection> {
        let slot = self.lock().slots.get(&(address.clone(), purpose)).cloned();
        slot?.live()
    }

    /// Whether the address could not be reached the last time and is not to be tried just yet.
    pub(crate) fn is_backing_off(&self, address: &Address) -> bool {
        let places = self.lock();
        let failing = places.failing.get(address);
        failing.is_some_and(|failing| failing.until > Instant::now())
    }

    /// Closes every connection; none is opened any more, and whoever asks for one is told `why`.
    pub(crate) fn close_all(&self, why: Error) {
        let slots = {
            let mut places = self.lock();
            self.closed.send_replace(Some(why));
            std::mem::take(&mut places.slots)
        };
        for slot in slots.into_values() {
            let connection = slot.lock().connection.take();
            if let Some(connection) = connection {
                connection.close("the client was closed");
            }
        }
    }

    /// Closes the connections that are one producer's or consumer's alone; it must ask for none any more.
    pub(crate) fn close_role(&self, role: RoleId) {
        let mut slots = Vec::new();
        self.lock().slots.retain(|(_, purpose), slot| {
            let is_its = purpose.role() == Some(role);
            if is_its {
                slots.push(slot.clone());
            }
            !is_its
        });
        for slot in slots {
            let connection = slot.lock().connection.take();
            if let Some(connection) = connection {
                connection.close("its producer or consumer was closed");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_shut(&self) -> Error {
        let why = self.closed.borrow().clone();
        why.unwrap_or(Error::Closed { what: "the client" })
    }

    fn slot(&self, address: &Address, purpose: Purpose) -> Result<Arc<PooledConnection>, Error> {
        let mut places = self.lock();
        if self.closed.borrow().is_some() {
            return Err(self.why_shut());
        }
        let key = (address.clone(), purpose);
        if let Some(slot) = places.slots.get(&key) {
            return Ok(slot.clone());
        }
        // Brokers come and go over the years: what they left behind goes when another one comes.
        places
            .slots
            .retain(|_, slot| !PooledConnection::is_spare(slot));
        let now = Instant::now();
        let max = self.settings.reconnect_backoff.max;
        places.failing.retain(|_, f| f.until + max > now);
        places
            .histories
            .retain(|_, history| Arc::strong_count(history) > 1);
        let history = places.histories.entry(address.clone()).or_default().clone();
        let slot = places.slots.entry(key);
        Ok(slot
            .or_insert_with(|| Arc::new(PooledConnection::new(history)))
            .clone())
    }

    async fn share(&self, slot: &PooledConnection, address: &Address) -> Result<Connection, Error> {
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let seen = slot.lock().attempts;
        let _turn = slot.gate.lock().await;
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        {
            let state = slot.lock();
            if let Some(failure) = state.failure.clone().filter(|_| state.attempts != seen) {
                return Err(failure);
            }
        }
        if let Some(until) = self.not_before(slot, address) {
            sleep_until(until).await;
        }
        let dialler = Dialler {
            connector: self.connector.clone(),
            server: address.clone(),
            settings: self.settings.clone(),
            history: slot.history.clone(),
        };
        let outcome = dialler.dial().await;
        self.note(address, outcome.as_ref().err());
        let mut state = slot.lock();
        state.attempts += 1;
        state.opened = Some(Instant::now());
        state.connection = outcome.as_ref().ok().cloned();
        state.failure = outcome.as_ref().err().cloned();
        drop(state);
        if self.closed.borrow().is_some() {
            // `close_all` ran while this one was being opened and has not seen it.
            slot.lock().connection = None;
            return Err(self.why_shut());
        }
        outcome
    }

    /// Until when to wait before the next attempt: backoff after failures, and a little after any
    /// attempt, so that a server which accepts and hangs up is not called in a tight loop.
    fn not_before(&self, slot: &PooledConnection, address: &Address) -> Option<Instant> {
        let backoff = self.lock().failing.get(address).map(|f| f.until);
        let again = slot
            .lock()
            .opened
            .map(|at| at + self.settings.reconnect_backoff.base);
        backoff.max(again).filter(|until| *until > Instant::now())
    }

    fn note(&self, address: &Address, failure: Option<&Error>) {
        let now = Instant::now();
        let mut places = self.lock();
        let Some(failure) = failure else {
            let ended = places.failing.remove(address);
            drop(places);
            if let Some(Failing { outage, .. }) = ended {
                let (failures, after) = (outage.failures, outage.lasted(now));
                info!(%address, failures, ?after, "connected to the broker again");
            }
            return;
        };
        let failing = places.failing.entry(address.clone()).or_insert(Failing {
            outage: Outage::new(now),
            until: now,
        });
        let tells = failing.outage.failed(now);
        let failures = failing.outage.failures;
        let delay = self
            .settings
            .reconnect_backoff
            .delay(failures, fastrand::f64());
        failing.until = now + delay;
        drop(places);
        if tells {
            warn!(%address, failures, error = %failure, "no connection to the broker, trying again");
        } else {
            debug!(%address, failures, ?delay, error = %failure, "no connection to broker");
        }
    }
}
