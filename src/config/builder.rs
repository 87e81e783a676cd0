//! Collects a client's settings, by typed setters and by Kafka's names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client::ClientOptions;
use super::consumer::ConsumerOptions;
use super::producer::ProducerOptions;
use super::properties::BOOTSTRAP_SERVERS;
use super::security::SecurityProtocol;
use super::settings::ClientSettings;
use super::table::set_client;
use crate::error::{Error, Result};
use crate::net::Connector;
use crate::sasl::Mechanism;
use crate::tls::TlsConfig;

/// Collects a client's settings, by typed setters or by Kafka's names; the last one set holds.
///
/// Values by name are checked at once, all others and the conflicts between settings when the client is built.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    client: ClientOptions,
    /// Producers' settings that were given to the client: the defaults of its producers.
    producers: ProducerOptions,
    /// Likewise consumers'.
    consumers: ConsumerOptions,
    /// Of `bootstrap_servers`, which cannot return it itself.
    bad_servers: Option<Error>,
    connector: OwnConnector,
}

/// A connector in place of plain TCP.
#[derive(Clone, Default)]
struct OwnConnector(Option<Arc<dyn Connector>>);

impl fmt::Debug for OwnConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "custom" } else { "tcp" })
    }
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets one setting by its Kafka name.
    ///
    /// A producer's or consumer's setting becomes the default of this client's producers or consumers. White space
    /// around name and value is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`] with the name that was probably meant; [`Error::Config`] where the value does not
    /// parse or is out of bounds, or the name is another client's.
    pub fn set(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self> {
        let (name, value) = (name.as_ref(), value.as_ref());
        let (producers, consumers) = (&mut self.producers, &mut self.consumers);
        set_client(&mut self.client, producers, consumers, name, value)?;
        if name.trim() == BOOTSTRAP_SERVERS.name {
            self.bad_servers = None;
        }
        Ok(self)
    }

    /// Sets each of many settings by its Kafka name, as [`set`](Self::set) does.
    ///
    /// # Errors
    ///
    /// Those of [`set`](Self::set), for the first setting that is refused.
    pub fn properties<N, V>(self, properties: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        properties
            .into_iter()
            .try_fold(self, |builder, (name, value)| builder.set(name, value))
    }

    /// Servers to find the cluster by, as `host:port`, separated by commas; IPv6 as `[::1]:9092`.
    ///
    /// No default; at least one. Name two or more, so that one of them may be down. Kafka: `bootstrap.servers`.
    pub fn bootstrap_servers(mut self, servers: impl AsRef<str>) -> Self {
        match BOOTSTRAP_SERVERS.parse(servers.as_ref()) {
            Ok(servers) => {
                self.client.bootstrap = Some(servers);
                self.bad_servers = None;
            }
            Err(error) => self.bad_servers = Some(error),
        }
        self
    }

    /// The name that brokers show in their logs, metrics and quotas.
    ///
    /// Default `ottla`; at most 32767 bytes, no control characters. Kafka: `client.id`.
    pub fn client_id(mut self, name: impl Into<String>) -> Self {
        self.client.client_id = Some(name.into());
        self
    }

    /// Longest wait for the answer to one request, after which its connection is closed.
    ///
    /// Default 30 s; 1 ms to 2147483647 ms. Producers and consumers may have their own. Kafka: `request.timeout.ms`.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.client.request_timeout = Some(limit);
        self
    }

    /// Delay before a failed request is sent again; twice as long after each further failure, with jitter.
    ///
    /// Default 100 ms; `build` refuses more than `retry_backoff_max`. Producers and consumers may have their own. Kafka:
    /// `retry.backoff.ms`.
    pub fn retry_backoff(mut self, delay: Duration) -> Self {
        self.client.retry_backoff = Some(delay);
        self
    }

    /// Longest delay before a failed request is sent again.
    ///
    /// Default 1 s; `build` refuses less than `retry_backoff`. Producers and consumers may have their own. Kafka:
    /// `retry.backoff.max.ms`.
    pub fn retry_backoff_max(mut self, delay: Duration) -> Self {
        self.client.retry_backoff_max = Some(delay);
        self
    }

    /// Delay before connecting again to a server; twice as long after each further failure, with jitter.
    ///
    /// Default 50 ms; `build` refuses more than `reconnect_backoff_max`. Kafka: `reconnect.backoff.ms`.
    pub fn reconnect_backoff(mut self, delay: Duration) -> Self {
        self.client.reconnect_backoff = Some(delay);
        self
    }

    /// Longest delay before connecting again to a server.
    ///
    /// Default 1 s; `build` refuses less than `reconnect_backoff`. Kafka: `reconnect.backoff.max.ms`.
    pub fn reconnect_backoff_max(mut self, delay: Duration) -> Self {
        self.client.reconnect_backoff_max = Some(delay);
        self
    }

    /// Age at which the cluster's metadata is asked for again, even when nothing failed.
    ///
    /// Default 5 min; at least 1 ms. Kafka: `metadata.max.age.ms`.
    pub fn metadata_max_age(mut self, age: Duration) -> Self {
        self.client.metadata_max_age = Some(age);
        self
    }

    /// Closes a connection that was idle for so long; `None` never does.
    ///
    /// Default 9 min; at least 1 ms. Kafka: `connections.max.idle.ms`, where -1 is never.
    pub fn connections_max_idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.client.connections_max_idle = Some(limit.into());
        self
    }

    /// Longest time that one attempt to connect may take.
    ///
    /// Default 10 s; at least 1 ms. Kafka: `socket.connection.setup.timeout.ms`.
    pub fn connection_setup_timeout(mut self, limit: Duration) -> Self {
        self.client.connection_setup_timeout = Some(limit);
        self
    }

    /// Upper bound of `connection_setup_timeout`, which Java raises towards it and ottla leaves as it is.
    ///
    /// Default none (Java: 30 s); `build` refuses less than `connection_setup_timeout`. Kafka:
    /// `socket.connection.setup.timeout.max.ms`.
    pub fn connection_setup_timeout_max(mut self, limit: Duration) -> Self {
        self.client.connection_setup_timeout_max = Some(limit);
        self
    }

    /// The size of a socket's send buffer (`SO_SNDBUF`) in bytes; `None` leaves it to the operating system.
    ///
    /// Default `None` (Java: 131072): a fixed size switches off the kernel's own tuning, and a small one slows a
    /// fast or distant connection down. 1 to 2147483647. Kafka: `send.buffer.bytes`, where -1 is `None`.
    pub fn send_buffer(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.client.send_buffer = Some(bytes.into());
        self
    }

    /// The size of a socket's receive buffer (`SO_RCVBUF`) in bytes; `None` leaves it to the operating system.
    ///
    /// Default `None` (Java: 32768): a fixed size switches off the kernel's own tuning, and a small one slows a
    /// fast or distant connection down. 1 to 2147483647. Kafka: `receive.buffer.bytes`, where -1 is `None`.
    pub fn receive_buffer(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.client.receive_buffer = Some(bytes.into());
        self
    }

    /// The largest answer that is taken from a broker; a larger one costs the connection, and is told.
    ///
    /// Default 104857600 (100 MiB); 65536 to 2147483647. Consumers ask for less than that, and `build` refuses a
    /// `fetch_max_bytes` or `partition_fetch_bytes` that leaves no room in it. Java has no such bound. Kafka:
    /// librdkafka's `receive.message.max.bytes`.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.client.max_response_bytes = Some(bytes);
        self
    }

    /// Whether to start again from the bootstrap servers when no known broker can be reached.
    ///
    /// Default true. Kafka: `metadata.recovery.strategy`, `rebootstrap` or `none`.
    pub fn rebootstrap(mut self, enabled: bool) -> Self {
        self.client.rebootstrap = Some(enabled);
        self
    }

    /// Starts again from the bootstrap servers when no broker gave metadata for so long.
    ///
    /// Default 5 min; no effect without `rebootstrap`. Kafka: `metadata.recovery.rebootstrap.trigger.ms`.
    pub fn rebootstrap_trigger(mut self, limit: Duration) -> Self {
        self.client.rebootstrap_trigger = Some(limit);
        self
    }

    /// Opens connections in another way than by plain TCP: see [`Connector`].
    ///
    /// The sizes of sockets' buffers then have no effect.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = OwnConnector(Some(Arc::new(connector)));
        self
    }

    pub(crate) fn own_connector(&self) -> Option<Arc<dyn Connector>> {
        self.connector.0.clone()
    }

    /// What the brokers' listener speaks.
    ///
    /// Default [`SecurityProtocol::Plaintext`]. Kafka: `security.protocol`.
    pub fn security_protocol(mut self, protocol: SecurityProtocol) -> Self {
        self.client.login.protocol = Some(protocol);
        self
    }

    /// How connections are encrypted: whom they trust, and the client's own certificate; all of it, in place of what was set
    /// before.
    ///
    /// Default: brokers are trusted as the operating system trusts servers, and must have a certificate for their host
    /// name. A `security_protocol` without SSL refuses every other. Kafka: `ssl.truststore.type`, `ssl.truststore.location`,
    /// `ssl.truststore.password`, `ssl.truststore.certificates`, `ssl.keystore.type`, `ssl.keystore.location`,
    /// `ssl.keystore.password`, `ssl.keystore.key`, `ssl.keystore.certificate.chain`, `ssl.key.password`,
    /// `ssl.endpoint.identification.algorithm`, `ssl.protocol`, `ssl.enabled.protocols`, `ssl.cipher.suites`, `ssl.hotreload.enable`,
    /// `ssl.hotreload.poll.interval.seconds`, `ssl.hotreload.debounce.seconds` (KIP-1288); librdkafka's
    /// `ssl.ca.location`, `ssl.ca.pem`, `ssl.key.location`, `ssl.key.pem`, `ssl.certificate.location`,
    /// `ssl.certificate.pem`, `enable.ssl.certificate.verification`.
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.client.tls = config;
        self
    }

    /// How each connection logs in: [`Plain`](crate::sasl::Plain), [`Scram`](crate::sasl::Scram),
    /// [`OAuthBearer`](crate::sasl::OAuthBearer), or a mechanism of your own.
    ///
    /// No default; a `security_protocol` with SASL needs it, and others refuse it. Set by name instead, the mechanism takes
    /// its user from a login module in Java's form, or from librdkafka's two names. Kafka: `sasl.mechanism` with
    /// `sasl.jaas.config`, or with `sasl.username` and `sasl.password`.
    pub fn sasl(mut self, mechanism: impl Mechanism) -> Self {
        self.client.login.given = Some(Arc::new(mechanism));
        self
    }

    /// Checks every setting and the conflicts between them, those kept for producers and consumers included, and
    /// connects to nothing: what is wrong with a file of settings is known before anything was begun.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], naming the setting that is missing or out of bounds, or the settings that conflict.
    pub fn check(&self) -> Result<()> {
        let (client, producers, consumers) = self.clone().build_settings()?;
        producers.check(&client)?;
        consumers.check(&client, true)?;
        Ok(())
    }

    /// The client's checked settings, and the defaults of its producers and consumers.
    pub(crate) fn build_settings(
        self,
    ) -> Result<(ClientSettings, ProducerOptions, ConsumerOptions)> {
        match self.bad_servers {
            Some(error) => Err(error),
            None => Ok((self.client.check()?, self.producers, self.consumers)),
        }
    }
}
