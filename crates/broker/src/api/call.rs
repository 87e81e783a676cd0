//! What every call has in common: where it is handled, what becomes of it, and which of its parts fail on purpose.

use std::time::Duration;

use crate::about::About;
use crate::forced::{Forced, Part};
use crate::state::{Connection, ConnectionId, ListenerId, NodeId, Now, State};
use crate::wire::{ApiKey, ErrorCode, Header, Name, Writer};

/// Where and when a request is handled.
pub(crate) struct At<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now: Now,
    /// What is asked.
    pub(crate) key: ApiKey,
    pub(crate) node: NodeId,
    pub(crate) connection: ConnectionId,
    pub(crate) client: Client<'a>,
    /// By whose addresses the client finds the nodes.
    pub(crate) listener: ListenerId,
    pub(crate) forced: &'a [Forced],
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    /// As it logged in.
    pub(crate) user: Name,
    pub(crate) host: Name,
}

/// What becomes of a request for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The answer is written.
    Answer,
    /// The answer is written, and the connection closes behind it.
    Last,
    /// The client wants none (`acks=0`).
    Silence,
    /// As Kafka tells an error where no answer is wanted: the connection is closed.
    Close,
    /// Nothing is written: look again when woken, or when the cluster has been up for so long.
    Wait { until: Option<Duration> },
}

impl<'a> At<'a> {
    /// `None` once the connection is no more.
    pub(crate) fn new(
        state: &'a mut State,
        now: Now,
        connection: ConnectionId,
        header: &'a Header,
        forced: &'a [Forced],
    ) -> Option<Self> {
        let Connection {
            node,
            listener,
            host,
            login,
        } = state.connections.get(connection)?;
        let (node, listener, host, user) = (*node, *listener, host.clone(), login.user());
        Some(Self {
            state,
            now,
            key: header.key,
            node,
            connection,
            client: Client {
                id: header.client_id.as_deref().unwrap_or_default(),
                user,
                host,
            },
            listener,
            forced,
        })
    }

    /// Does one part of a request's work, unless a test wants an error instead (or as well).
    pub(crate) fn part<T>(
        &mut self,
        topic: Option<&str>,
        partition: Option<i32>,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let part = Part {
            topic,
            partition,
            ..Part::default()
        };
        self.part_of(part, work)
    }

    /// The same for a group's part.
    pub(crate) fn group_part<T>(
        &mut self,
        group: &str,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let part = Part {
            group: Some(group),
            ..Part::default()
        };
        self.part_of(part, work)
    }

    /// The same for a transactional id's part.
    pub(crate) fn transaction_part<T>(
        &mut self,
        id: &str,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let part = Part {
            transactional_id: Some(id),
            ..Part::default()
        };
        self.part_of(part, work)
    }

    fn part_of<T>(
        &mut self,
        part: Part<'_>,
        work: impl FnOnce(&mut Self) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        if let Some(topic) = part.topic {
            self.authorize_topic(topic)?;
        }
        match self.forced.iter().find(|forced| forced.is_about(part)) {
            None => work(self),
            Some(forced) if forced.takes_effect => {
                work(self)?;
                Err(forced.code)
            }
            Some(forced) => Err(forced.code),
        }
    }

    /// The error that a test wants instead of any of the request's work.
    pub(crate) fn forced_refusal(&self) -> Option<ErrorCode> {
        let mut whole = self.forced.iter().filter(|forced| forced.is_whole());
        let refusal = whole.find(|forced| !forced.takes_effect);
        refusal.map(|forced| forced.code)
    }

    /// The error that a test wants of the request as a whole.
    pub(crate) fn forced_whole(&self) -> Option<ErrorCode> {
        let mut whole = self.forced.iter().filter(|forced| forced.is_whole());
        whole.next().map(|forced| forced.code)
    }
}

/// A request that was read.
pub(crate) trait Call: Send {
    /// What it is about, by its own words and, where it goes on with what the node remembers, by those.
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::default()
    }

    /// Does what can be done now; called again after [`Step::Wait`].
    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step;
}

/// Milliseconds of a request as time; a negative number is none.
pub(super) fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
