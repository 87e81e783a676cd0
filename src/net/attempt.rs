//! One stream to one place of a server, with all that comes before its first request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::handshake;
use super::history::DialHistory;
use super::link::Link;
use super::login::login;
use super::tasks;
use super::transport::{Connector, Endpoint, Transport, timed_out};
use crate::config::ClientSettings;
use crate::error::Error;
use crate::types::Address;
use crate::wire::Versions;

/// Where to dial, and how; what a second connection beside an open one is made by, too.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) connector: Arc<dyn Connector>,
    pub(super) server: Address,
    pub(super) settings: Arc<ClientSettings>,
    /// Of all connections to the server.
    pub(super) history: Arc<DialHistory>,
}

impl Dialler {
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
    pub(super) async fn attempt(
        &self,
        endpoint: &Endpoint,
        connect: Duration,
        handshake: Duration,
        left: &mut Duration,
    ) -> Result<(Link, Versions, Option<Duration>), Error> {
        let settings = &self.settings;
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
        let Transport { reader, writer } = transport;
        let link = Link::new(writer, endpoint, &self.server, settings, &self.history);
        tasks::spawn(&link.0, reader, settings.max_response_bytes);
        let versions = handshake::versions(&link.0, handshake).await?;
        let session = match &settings.login {
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

    pub(super) fn failed(&self, source: io::Error) -> Error {
        Error::Connect {
            address: self.server.to_string().into(),
            source: Arc::new(source),
        }
    }
}
