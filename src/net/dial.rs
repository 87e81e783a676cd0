//! Dials a server: its addresses one after the other, until one of them has answered as a broker.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::debug;

use super::attempt::Dialler;
use super::connection::Connection;
use super::transport::{Endpoint, timed_out};
use super::{probe, renewal};
use crate::error::Error;

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
        let addresses = self.history.order(addresses);
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
            self.history.begun(place);
            let endpoint = Endpoint::new(&self.server, place);
            let attempt = self.attempt(&endpoint, share, handshake, &mut left);
            match attempt.await {
                Ok((link, versions, session)) => {
                    if let Some((session, mechanism)) = session.zip(settings.login.clone()) {
                        renewal::keep(link.0.clone(), versions.clone(), mechanism, session);
                    }
                    probe::keep(link.0.clone(), self.clone());
                    self.history.answered(place);
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

    async fn resolve(&self, limit: Duration) -> io::Result<Vec<SocketAddr>> {
        let server = &self.server;
        let resolving = self.connector.resolve(&server.host, server.port);
        timeout(limit, resolving)
            .await
            .unwrap_or_else(|_| Err(timed_out("the host's name was not resolved", limit)))
    }
}
