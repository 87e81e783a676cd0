//! The client: one cluster's connections and metadata, from which the roles are made.

use std::fmt;
use std::sync::Arc;

use crate::admin::Admin;
use crate::cluster::Cluster;
use crate::config::{ClientBuilder, ClientSettings, ConsumerOptions, ProducerOptions};
use crate::consumer::ConsumerBuilder;
use crate::error::{Error, Result};
use crate::net::{Connector, TcpConnector};
use crate::producer::ProducerBuilder;

/// A connection to one Kafka cluster.
///
/// Cheap to clone; producers, consumers and admin clients made from it share its view of the cluster. Each producer and
/// consumer has connections of its own; admin calls and metadata share one to a broker.
///
/// It lives on the tokio runtime on which it was connected: when that ends, its calls fail with
/// [`Error::RuntimeEnded`](crate::Error::RuntimeEnded). Programs with several runtimes, tests with one each among them,
/// make a client on each, or one on a runtime that outlives the others.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
    producer_defaults: ProducerOptions,
    consumer_defaults: ConsumerOptions,
}

impl Client {
    /// Connects with default settings; `bootstrap_servers` is one `host:port` or several with commas.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an address that does not parse, and
    /// [`Error::Bootstrap`](crate::Error::Bootstrap) or [`Error::NotKafka`](crate::Error::NotKafka)
    /// when no server can be used.
    pub async fn connect(bootstrap_servers: &str) -> Result<Self> {
        Self::builder()
            .bootstrap_servers(bootstrap_servers)
            .connect()
            .await
    }

    /// Sets what differs from the defaults, then connects.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Connects with settings under Kafka's own names, such as those of a file.
    ///
    /// Producers' and consumers' settings are kept for those made from this client.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); an unknown name is refused with a suggestion.
    pub async fn from_properties<N, V>(properties: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::builder().properties(properties)?.connect().await
    }

    /// A producer for this cluster.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.cluster.clone(), self.producer_defaults.clone())
    }

    /// A consumer of this group, whose members share the partitions of the topics that they subscribe to. Kafka:
    /// `group.id`.
    pub fn consumer(&self, group: impl Into<Arc<str>>) -> ConsumerBuilder {
        let options = self.consumer_defaults.clone();
        ConsumerBuilder::new(self.cluster.clone(), options, Some(group.into()))
    }

    /// A consumer without a group: it reads the partitions that it is given, or whole topics, and commits nothing.
    pub fn standalone_consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.cluster.clone(), self.consumer_defaults.clone(), None)
    }

    /// Calls that create, delete and describe topics.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// Reads the keys and certificates of TLS again, now: new connections use them, open ones go on with the old.
    ///
    /// What changes in files is taken up without it, a while later: see
    /// [`reload_interval`](crate::tls::TlsConfig::reload_interval).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for what is wrong with them, or where the client has no TLS; the old ones stay.
    pub fn reload_tls(&self) -> Result<()> {
        match &self.cluster.settings().tls {
            Some(tls) => tls.reload(),
            None => Err(Error::config(
                "security.protocol",
                "it has no TLS, whose keys could be read again",
            )),
        }
    }

    /// Closes every connection: producers and calls made from this client, or a clone of it, fail from
    /// now on. Close producers first.
    pub fn close(&self) {
        self.cluster.close();
    }
}

impl ClientBuilder {
    /// Checks the settings and connects to the first bootstrap server that answers.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(self) -> Result<Client> {
        let prepared = self.prepare()?;
        let cluster = Cluster::connect(prepared.settings.clone(), prepared.connector.clone());
        Ok(prepared.client(cluster.await?))
    }

    /// Checks the settings, and looks for a bootstrap server that answers in the background, until there is one.
    ///
    /// For a program that must start while its cluster is away. Until then its calls wait, and fail, as they do when
    /// the cluster goes away later; a server that is no Kafka, or refuses the login, is told of by those calls and in
    /// the log.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for settings that do not fit together, and
    /// [`Error::Closed`](crate::Error::Closed) outside a tokio runtime.
    pub fn connect_lazily(self) -> Result<Client> {
        let prepared = self.prepare()?;
        tokio::runtime::Handle::try_current().map_err(|_| Error::Closed {
            what: "the tokio runtime (connect inside one)",
        })?;
        let (settings, connector) = (prepared.settings.clone(), prepared.connector.clone());
        Ok(prepared.client(Cluster::connect_lazily(settings, connector)))
    }

    fn prepare(self) -> Result<Prepared> {
        let connector = self.own_connector();
        let (settings, producer_defaults, consumer_defaults) = self.build_settings()?;
        let settings = Arc::new(settings);
        let connector = connector.unwrap_or_else(|| Arc::new(TcpConnector::with(&settings)));
        Ok(Prepared {
            settings,
            connector,
            producer_defaults,
            consumer_defaults,
        })
    }
}

/// All that a client is made of but its cluster.
struct Prepared {
    settings: Arc<ClientSettings>,
    connector: Arc<dyn Connector>,
    producer_defaults: ProducerOptions,
    consumer_defaults: ConsumerOptions,
}

impl Prepared {
    fn client(self, cluster: Cluster) -> Client {
        if let Some(tls) = &cluster.settings().tls {
            tls.watch();
        }
        Client {
            cluster,
            producer_defaults: self.producer_defaults,
            consumer_defaults: self.consumer_defaults,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
