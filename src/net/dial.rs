//! Dials a server: its addresses one after the other, until one of them has answered as a broker.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::debug;

use super::connection::Connection;
use super::handshake;
use super::link::Link;
use super::login::login;
use super::outage::Outage;
use super::renewal;
use super::transport::{Connector, Endpoint, Transport, timed_out};
use crate::config::ClientSettings;
use crate::error::Error;
use crate::types::Address;
use crate::wire::Versions;

/// What was made of a server's addresses so far, by which the next attempt knows where to begin.
#[derive(Debug, Default)]
pub(super) struct Route {
    tried: Mutex<Tried>,
    /// Connections that were lost with requests on them.
    losses: Mutex<Option<Outage>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// The one that has answered last.
    good: Option<SocketAddr>,
    /// One that was begun with and has not answered, be it that nobody waited for it.
    begun: Option<SocketAddr>,
}

impl Route {
    fn lock(&self) -> MutexGuard<'_, Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was lost with requests on it; whether to tell of it.
    pub(super) fn lost(&self, now: Instant) -> bool {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses.get_or_insert_with(|| Outage::new(now)).failed(now)
    }
}

/// The order in which to try addresses: from behind the one that was tried in vain, or from the one that is good.
fn order(mut addresses: Vec<SocketAddr>, tried: Tried) -> Vec<SocketAddr> {
    let place = |wanted: Option<SocketAddr>| {
        let wanted = wanted?;
        addresses.iter().position(|address| *address == wanted)
    };
    let behind = place(tried.begun).map(|at| at + 1);
    if let Some(first) = behind.or_else(|| place(tried.good)) {
        let first = first % addresses.len().max(1);
        addresses.rotate_left(first);
    }
    addresses
}

/// Where to dial, and how; what a second connection beside an open one is made by, too.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) connector: Arc<dyn Connector>,
    pub(super) server: Address,
    pub(super) settings: Arc<ClientSettings>,
    /// Of all connections to the server.
    pub(super) route: Arc<Route>,
}

impl Dialler {
    /// A connection to the first of the server's addresses on which a broker answers.
    pub(super) async fn dial(&self) -> Result<Connection, Error> {
        let mut left = self.settings.connect_timeout;
        let began = Instant::now();
        let addresses = self
            .resolve(left)
            .await
            .map_err(|error| self.failed(error))?;
        left = left.saturating_sub(began.elapsed());
        let addresses = order(addresses, *self.route.lock());
        let mut places: Vec<_> = addresses.into_iter().map(Some).collect();
        if places.is_empty() {
            places.push(None);
        }
        let settings = &self.settings;
        let handshake = match places.len() {
            1 => settings.request_timeout,
            // One that accepts and says nothing must not hold up the others for longer than one that does not accept.
            _ => settings.request_timeout.min(settings.connect_timeout),
        };
        let count = places.len() as u32;
        let mut last = self.failed(timed_out("no connection", settings.connect_timeout));
        for (at, place) in (0..count).zip(places) {
            // A fair share for each, so that one unreachable address leaves time for the rest.
            let share = left / (count - at);
            let began = Instant::now();
            self.route.lock().begun = place;
            let endpoint = Endpoint::new(&self.server, place);
            let attempt = self.attempt(&endpoint, share, handshake, &mut left);
            match attempt.await {
                Ok((link, versions, session)) => {
                    if let Some((session, mechanism)) = session.zip(settings.login.clone()) {
                        renewal::keep(link.0.clone(), versions.clone(), mechanism, session);
                    }
                    *self.route.lock() = Tried {
                        good: place,
                        begun: None,
                    };
                    return Ok(Connection::new(link, versions));
                }
                Err(error) => {
                    debug!(server = %self.server, address = ?place, %error, after = ?began.elapsed(), "no answer there");
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Whether a broker answers on a new stream to this place.
    pub(super) async fn answers(&self, endpoint: &Endpoint) -> bool {
        let settings = &self.settings;
        let (connect, handshake) = (settings.connect_timeout, settings.request_timeout);
        let mut left = connect;
        let attempt = self.attempt(endpoint, connect, handshake, &mut left);
        attempt.await.is_ok()
    }

    /// One stream to one place, with all that comes before its first request, and for how long its login is good; `left`
    /// loses what connecting took.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        connect: Duration,
        handshake: Duration,
        left: &mut Duration,
    ) -> Result<(Link, Versions, Option<Duration>), Error> {
        let began = Instant::now();
        let transport = timeout(connect, self.connector.connect(endpoint))
            .await
            .unwrap_or_else(|_| Err(timed_out("no connection", connect)));
        let transport = match transport {
            Ok(transport) => self.encrypted(transport, endpoint, connect, began).await,
            Err(error) => Err(self.failed(error)),
        };
        *left = left.saturating_sub(began.elapsed());
        let transport = transport?;
        let link = Link::start(transport, endpoint, self);
        let versions = handshake::versions(&link.0, handshake).await?;
        let session = match &self.settings.login {
            Some(mechanism) => login(&link.0, &versions, mechanism.as_ref(), handshake).await?,
            None => None,
        };
        Ok((link, versions, session))
    }

    /// The stream as the listener speaks it; the handshake is part of connecting, and of the time that it may take.
    async fn encrypted(
        &self,
        transport: Transport,
        endpoint: &Endpoint,
        limit: Duration,
        began: Instant,
    ) -> Result<Transport, Error> {
        let Some(tls) = &self.settings.tls else {
            return Ok(transport);
        };
        let left = limit.saturating_sub(began.elapsed());
        let name = self.server.to_string().into();
        let stream = tls
            .handshake(transport, endpoint.host(), &name, left)
            .await?;
        Ok(Transport::new(stream))
    }

    async fn resolve(&self, limit: Duration) -> io::Result<Vec<SocketAddr>> {
        let server = &self.server;
        let resolving = self.connector.resolve(&server.host, server.port);
        timeout(limit, resolving)
            .await
            .unwrap_or_else(|_| Err(timed_out("the host's name was not resolved", limit)))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Connect {
            address: self.server.to_string().into(),
            source: Arc::new(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_begins_behind_what_did_not_answer_or_with_what_is_good() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let all = || vec![at(1), at(2), at(3)];
        let ports = |begun: Option<u16>, good: Option<u16>| {
            let tried = Tried {
                good: good.map(at),
                begun: begun.map(at),
            };
            let ordered = order(all(), tried);
            ordered.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        for (begun, good, expected) in [
            (None, None, [1, 2, 3]),
            (Some(1), None, [2, 3, 1]),
            (Some(3), None, [1, 2, 3]),
            (None, Some(2), [2, 3, 1]),
            (Some(2), Some(2), [3, 1, 2]),
            // The name stands for others by now.
            (Some(9), Some(8), [1, 2, 3]),
            (Some(9), Some(3), [3, 1, 2]),
        ] {
            assert_eq!(ports(begun, good), expected, "{begun:?} {good:?}");
        }
        assert!(order(Vec::new(), Tried::default()).is_empty());
    }
}
