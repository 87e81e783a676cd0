//! The client's view of its cluster: a snapshot kept fresh by one task, and connections to brokers by id.

mod ask;
mod calls;
mod coordinator;
mod each;
mod inner;
mod offsets;
mod refresh;
mod thread;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub(crate) use crate::net::{Purpose, RoleId, next_role};
pub(crate) use calls::{Calls, by_topic, is_transient, unanswered, unless_nobody_answered};
pub(crate) use coordinator::{Coordinator, Node, find_by};
pub(crate) use each::each;
pub use offsets::{OffsetSpec, PartitionOffset};
pub(crate) use thread::Home;

use crate::config::ClientSettings;
use crate::error::{Error, ErrorCode};
use crate::machine::interest::Interest;
pub(crate) use crate::machine::interest::Use;
pub(crate) use crate::machine::topology::LeaderHint;
use crate::machine::topology::{Topic, Topology};
use crate::net::{Connection, Connector, Pool};
use crate::types::{Address, BrokerId, TopicName, is_legal_name};
pub(crate) use inner::TopicUser;
use inner::{ClusterInner, now};
use refresh::CloseOnDrop;

/// A handle to the cluster; the last one dropped ends the refreshing and closes the connections.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Handle>);

struct Handle(Arc<ClusterInner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(Error::Closed { what: "the client" });
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
        let handle = Handle(ClusterInner::new(settings, pool));
        refresh::bootstrap(&handle.0).await?;
        Ok(Self::start(handle))
    }

    /// The same without waiting for a server: each is tried until one answers.
    pub(crate) fn connect_lazily(
        settings: Arc<ClientSettings>,
        connector: Arc<dyn Connector>,
    ) -> Self {
        let pool = Pool::new(settings.clone(), connector);
        let cluster = Self::start(Handle(ClusterInner::new(settings, pool)));
        cluster.request_refresh();
        cluster
    }

    fn start(handle: Handle) -> Self {
        // The guard is made here: a task that is dropped before its first turn must end the cluster too.
        tokio::spawn(refresh::run(CloseOnDrop(handle.0.clone())));
        Self(Arc::new(handle))
    }

    /// Whether the last look for metadata failed.
    #[cfg(feature = "spill")]
    pub(crate) fn is_unreachable(&self) -> bool {
        self.inner().last_failure().is_some()
    }

    /// Waits until no server answers: why the last look for metadata failed. At once while that is so.
    #[cfg(feature = "spill")]
    pub(crate) async fn unreachable(&self) -> Error {
        self.inner().unreachable().await
    }

    fn inner(&self) -> &Arc<ClusterInner> {
        &self.0.0
    }

    pub(crate) fn settings(&self) -> &Arc<ClientSettings> {
        &self.inner().settings
    }

    /// The newest snapshot.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.inner().topology()
    }

    /// Told after each refresh and each leader hint; ends when the cluster is closed.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Topology>> {
        self.inner().changes()
    }

    /// Says that a topic is about to be used, and asks for it if it is not known; the first look-up `creates` it when
    /// it is missing and the brokers allow that.
    ///
    /// A name that no topic can have is left out: brokers need not answer a request that has it.
    pub(crate) fn add_interest(&self, topic: &str, creates: bool) {
        if is_legal_name(topic) {
            let is_known = self.is_known(topic);
            self.inner()
                .interest(|interest| interest.mention(topic, creates, is_known, now()));
        }
    }

    /// Keeps topics in the metadata for as long as the result lives; `creates` as of [`add_interest`](Self::add_interest).
    pub(crate) fn hold(&self, topics: &[TopicName], creates: bool) -> HeldTopics {
        let legal = topics.iter().filter(|topic| is_legal_name(topic));
        let topics: Vec<_> = legal.cloned().collect();
        for topic in &topics {
            self.add_interest(topic, creates);
            self.inner()
                .interest(|interest| interest.hold(topic, now()));
        }
        HeldTopics {
            inner: self.inner().clone(),
            topics,
        }
    }

    /// Asks `user` from now on before a topic is forgotten.
    pub(crate) fn add_user(&self, user: Weak<dyn TopicUser>) {
        self.inner().add_user(user);
    }

    /// Asks for all topics again by a request that begins after this call: a broker cannot be reached.
    ///
    /// Requests are served together, at most one is under way, and `retry.backoff.ms` lies between two. One that fails
    /// is made again until one succeeds.
    pub(crate) fn request_refresh(&self) {
        self.inner().interest(Interest::request_all);
    }

    /// How many answers there were about this topic.
    pub(crate) fn topic_answers(&self, topic: &str) -> u64 {
        self.inner().interest(|interest| interest.answers(topic))
    }

    /// Asks for this topic again: what is known of it is out of date.
    pub(crate) fn refresh_topic(&self, topic: &str) {
        if is_legal_name(topic) {
            self.inner()
                .interest(|interest| interest.refresh(topic, now()));
        }
    }

    /// Has the topic asked for, with backoff, until the result is dropped.
    pub(crate) fn wait_for(&self, topic: &str, creates: bool) -> Waiting {
        let inner = self.inner().clone();
        let seen = inner.interest(|interest| interest.begin_wait(topic, creates, now()));
        Waiting {
            inner,
            topic: topic.into(),
            creates,
            seen,
        }
    }

    fn is_known(&self, topic: &str) -> bool {
        let topology = self.topology();
        topology.topics.get(topic).is_some_and(|t| is_usable(t))
    }

    /// Waits until the topic is known with at least one partition.
    ///
    /// # Errors
    /// The broker's refusal at once where waiting cannot help; else, after `deadline`, why the topic
    /// is not known.
    pub(crate) async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>, Error> {
        let began = Instant::now();
        let mut changes = self.changes();
        let mut waiting = None;
        loop {
            let current = changes.borrow_and_update().clone();
            let topic = current.topics.get(name);
            if let Some(topic) = topic.filter(|topic| is_usable(topic)) {
                self.add_interest(name, false);
                return Ok(topic.clone());
            }
            let waiting = waiting.get_or_insert_with(|| self.wait_for(name, true));
            // A refusal from before the call may have been lifted since.
            let refusal = topic
                .and_then(|topic| topic.error)
                .filter(|_| waiting.is_answered());
            if let Some(code) = refusal.filter(|code| !code.is_retriable()) {
                return Err(refused(name, code));
            }
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(self.why_closed()),
                Err(_) => return Err(self.not_known(name, refusal, began)),
            }
        }
    }

    /// Why a topic was not known in time.
    fn not_known(&self, name: &str, refusal: Option<ErrorCode>, began: Instant) -> Error {
        if let Some(error) = self.inner().last_failure() {
            return error;
        }
        match refusal.map(|code| (code, refused(name, code))) {
            Some((code, error)) if code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => error,
            last => Error::UnknownTopic {
                what: format!("topic {name}").into(),
                waited: began.elapsed(),
                last: last.map(|(_, error)| Arc::new(error)),
            },
        }
    }

    /// Takes partitions' new leaders from a broker's answer (KIP-951), all at once; only a newer epoch counts.
    pub(crate) fn leader_hints(&self, hints: &[LeaderHint], nodes: &[(BrokerId, Address)]) {
        if !hints.is_empty() {
            self.inner()
                .update(|topology| topology.apply_leader_hints(hints, nodes));
        }
    }

    /// The connection to a broker.
    ///
    /// # Errors
    /// Why there is none just now; a refresh has then been asked for, since the broker may have moved.
    pub(crate) async fn broker(&self, id: BrokerId, purpose: Purpose) -> Result<Connection, Error> {
        let address = self.topology().brokers.get(&id).cloned();
        let Some(address) = address else {
            self.request_refresh();
            return Err(Error::Disconnected {
                address: format!("broker {}", id.0).into(),
                reason: "it is not in the cluster's metadata".into(),
            });
        };
        self.at(&address, purpose).await
    }

    /// The connection to the broker at this address.
    ///
    /// # Errors
    /// As [`broker`](Self::broker).
    pub(crate) async fn at(
        &self,
        address: &Address,
        purpose: Purpose,
    ) -> Result<Connection, Error> {
        let outcome = self.inner().pool.connection(address, purpose).await;
        if outcome.is_err() {
            self.request_refresh();
        }
        outcome
    }

    /// The connection to the broker at this address, if it is open now and owes no answer.
    pub(crate) fn idle_at(&self, address: &Address, purpose: Purpose) -> Option<Connection> {
        let live = self.inner().pool.live(address, purpose);
        live.filter(|connection| connection.in_flight() == 0)
    }

    /// A connection to some broker that answers.
    pub(crate) async fn any(&self) -> Result<Connection, Error> {
        self.any_for(Purpose::Control).await
    }

    /// The same, which is used for one purpose alone.
    pub(crate) async fn any_for(&self, purpose: Purpose) -> Result<Connection, Error> {
        ask::any(self.inner(), purpose).await
    }

    /// Where the members of groups live for as long as this client does.
    pub(crate) fn home(&self) -> Home {
        self.inner().home()
    }

    /// A connection to the controller, or to a broker that passes requests on to it.
    pub(crate) async fn controller(&self) -> Result<Connection, Error> {
        match self.topology().controller {
            Some(id) => self.broker(id, Purpose::Control).await,
            None => self.any().await,
        }
    }

    /// Closes the connections that are one producer's or consumer's alone.
    pub(crate) fn close_role(&self, role: RoleId) {
        self.inner().pool.close_role(role);
    }

    /// Why the cluster is closed: it was asked to, or its runtime has ended.
    pub(crate) fn why_closed(&self) -> Error {
        self.inner().why_closed()
    }

    /// Ends the refreshing and closes every connection.
    pub(crate) fn close(&self) {
        self.inner().close(Error::Closed { what: "the client" });
    }
}

/// A call that waits for something of a topic.
pub(crate) struct Waiting {
    inner: Arc<ClusterInner>,
    topic: TopicName,
    creates: bool,
    seen: u64,
}

impl Waiting {
    /// Whether a broker has told about the topic since the waiting began.
    fn is_answered(&self) -> bool {
        let answers = self
            .inner
            .interest(|interest| interest.answers(&self.topic));
        answers > self.seen
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.inner
            .interest(|interest| interest.end_wait(&self.topic, self.creates, now()));
    }
}

/// Topics that are kept in the metadata.
pub(crate) struct HeldTopics {
    inner: Arc<ClusterInner>,
    topics: Vec<TopicName>,
}

impl Drop for HeldTopics {
    fn drop(&mut self) {
        self.inner
            .interest(|interest| self.topics.iter().for_each(|topic| interest.release(topic)));
    }
}

/// Whether its partitions are known.
pub(crate) fn is_usable(topic: &Topic) -> bool {
    topic.error.is_none() && !topic.partitions.is_empty()
}

/// Why a topic is not told of, and what to change.
pub(crate) fn refused(name: &str, code: ErrorCode) -> Error {
    let error = Error::broker(code, None, format!("metadata of topic {name}"));
    match code {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => error.with_advice(format!(
            "grant this client's principal the operation Write, Read or Describe on topic {name}"
        )),
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            error.with_advice("the brokers allow no topic of this name")
        }
        _ => error,
    }
}
