//! The client's view of its cluster: a snapshot kept fresh by one task, and connections to brokers by id.

mod ask;
mod calls;
mod coordinator;
mod each;
mod offsets;
mod refresh;
mod shared;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub(crate) use crate::net::{ConsumerId, Purpose};
pub(crate) use calls::{Calls, by_topic, is_transient, unanswered, unless_nobody_answered};
pub(crate) use coordinator::Coordinator;
pub(crate) use each::each;
pub use offsets::{OffsetSpec, PartitionOffset};

use crate::config::ClientSettings;
use crate::error::{Error, ErrorCode};
use crate::machine::topology::{Topic, Topology};
use crate::net::{Connection, Connector, Pool};
use crate::types::{Address, BrokerId, is_legal_name};
use refresh::Guard;
use shared::Shared;

/// A handle to the cluster; the last one dropped ends the refreshing and closes the connections.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Cluster {
    /// Reaches one bootstrap server and starts the refreshing; each server is tried once.
    ///
    /// # Errors
    /// [`Error::Bootstrap`] with every server's error; [`Error::NotKafka`] where one is no Kafka.
    pub(crate) async fn connect(
        settings: Arc<ClientSettings>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, Error> {
        let pool = Pool::new(settings.clone(), connector);
        let handle = Handle(Shared::new(settings, pool));
        refresh::bootstrap(&handle.0).await?;
        // The guard is made here: a task that is dropped before its first turn must end the cluster too.
        tokio::spawn(refresh::run(Guard(handle.0.clone())));
        Ok(Self(Arc::new(handle)))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    pub(crate) fn settings(&self) -> &Arc<ClientSettings> {
        &self.shared().settings
    }

    /// The newest snapshot.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.shared().topology()
    }

    /// Told after each refresh and each leader hint; ends when the cluster is closed.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Topology>> {
        self.shared().changes()
    }

    /// Includes a topic in refreshes, and asks for one now if the topic is not known; `creates` it when it is missing
    /// and the brokers allow that.
    ///
    /// A name that no topic can have is left out: brokers need not answer a request that has it.
    pub(crate) fn add_interest(&self, topic: &str, creates: bool) {
        if !is_legal_name(topic) {
            return;
        }
        let known = self
            .topology()
            .topics
            .get(topic)
            .is_some_and(|t| is_usable(t));
        if self.shared().add_interest(topic, creates) || !known {
            self.request_refresh();
        }
    }

    /// Asks for a refresh that begins after this call.
    ///
    /// Requests are served together, at most one refresh is under way, and `retry.backoff.ms` lies
    /// between two. A refresh that fails is tried again until one succeeds.
    pub(crate) fn request_refresh(&self) {
        self.shared().request_refresh();
    }

    /// Waits until the topic is known with at least one partition.
    ///
    /// # Errors
    /// The broker's refusal at once where waiting cannot help; else, after `deadline`, why the topic
    /// is not known.
    pub(crate) async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>, Error> {
        let began = Instant::now();
        let mut changes = self.changes();
        let stale = changes.borrow_and_update().version;
        self.add_interest(name, true);
        loop {
            let current = changes.borrow_and_update().clone();
            let topic = current.topics.get(name);
            if let Some(topic) = topic.filter(|topic| is_usable(topic)) {
                return Ok(topic.clone());
            }
            // A refusal from before the call may have been lifted since.
            let refusal = topic
                .and_then(|topic| topic.error)
                .filter(|_| current.version > stale);
            if let Some(code) = refusal.filter(|code| !code.is_retriable()) {
                return Err(refused(name, code));
            }
            self.request_refresh();
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Shared::is_closed_error()),
                Err(_) => return Err(self.not_known(name, refusal, began)),
            }
        }
    }

    /// Why a topic was not known in time.
    fn not_known(&self, name: &str, refusal: Option<ErrorCode>, began: Instant) -> Error {
        if let Some(error) = self.shared().last_failure() {
            return error;
        }
        match refusal {
            Some(code) if code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => refused(name, code),
            _ => Error::UnknownTopic {
                what: format!("topic {name}").into(),
                waited: began.elapsed(),
            },
        }
    }

    /// Takes a partition's new leader from a broker's answer (KIP-951); only a newer epoch counts.
    pub(crate) fn leader_hint(
        &self,
        topic: &str,
        partition: i32,
        leader: BrokerId,
        epoch: i32,
        nodes: &[(BrokerId, Address)],
    ) {
        self.shared()
            .update(|topology| topology.apply_leader_hint(topic, partition, leader, epoch, nodes));
    }

    /// The connection to a broker.
    ///
    /// # Errors
    /// Why there is none just now; a refresh has then been asked for, since the broker may have moved.
    pub(crate) async fn broker(&self, id: BrokerId, purpose: Purpose) -> Result<Connection, Error> {
        let address = self.topology().brokers.get(&id).cloned();
        let outcome = match address {
            Some(address) => self.shared().pool.connection(&address, purpose).await,
            None => Err(Error::Disconnected {
                address: format!("broker {}", id.0).into(),
                reason: "it is not in the cluster's metadata".into(),
            }),
        };
        if outcome.is_err() {
            self.request_refresh();
        }
        outcome
    }

    /// A connection to some broker that answers.
    pub(crate) async fn any(&self) -> Result<Connection, Error> {
        ask::any(self.shared()).await
    }

    /// A connection to the controller, or to a broker that passes requests on to it.
    pub(crate) async fn controller(&self) -> Result<Connection, Error> {
        match self.topology().controller {
            Some(id) => self.broker(id, Purpose::Control).await,
            None => self.any().await,
        }
    }

    /// Closes the connections that are one consumer's alone.
    pub(crate) fn close_consumer(&self, consumer: ConsumerId) {
        self.shared().pool.close_consumer(consumer);
    }

    /// Ends the refreshing and closes every connection.
    pub(crate) fn close(&self) {
        self.shared().close();
    }
}

fn is_usable(topic: &Topic) -> bool {
    topic.error.is_none() && !topic.partitions.is_empty()
}

fn refused(name: &str, code: ErrorCode) -> Error {
    Error::broker(code, None, format!("metadata of topic {name}"))
}
