//! Faults on purpose: which requests they fall on, how often, and what happens then.

use std::time::Duration;

use crate::about::About;
use crate::forced::Forced;
use crate::plan::{End, Facts, Plan};
use crate::state::NodeId;
use crate::wire::{ApiKey, ErrorCode, Name};

/// Something that goes wrong on purpose, once on the next request unless told otherwise.
///
/// A fault says what happens ([`error`](Fault::error), [`delay`](Fault::delay) ...), then, if it is not for every
/// request, which ones it means ([`on`](Fault::on), [`topic`](Fault::topic) ...) and how often it happens
/// ([`times`](Fault::times), [`every`](Fault::every), [`always`](Fault::always)):
///
/// ```
/// use ottla_broker::{ApiKey, ErrorCode, Fault};
///
/// let twice = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER).on(ApiKey::Produce).topic("payments").times(2);
/// ```
///
/// Several faults may fall on one request: their delays add up, and errors of different parts all happen. Of errors of
/// one part, and of cuts, the first happens; the next is kept for the next request.
#[derive(Clone, Debug)]
#[must_use = "a fault happens once it is added: `cluster.faults().add(fault)`"]
pub struct Fault {
    action: Action,
    api: Option<ApiKey>,
    topic: Option<Name>,
    partition: Option<i32>,
    group: Option<Name>,
    transactional_id: Option<Name>,
    node: Option<NodeId>,
    client_id: Option<Name>,
    user: Option<Name>,
    pub(crate) schedule: Schedule,
}

#[derive(Clone, Debug)]
enum Action {
    Error { code: ErrorCode, takes_effect: bool },
    Delay(Duration),
    Throttle(Duration),
    End(End),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    /// So many times more.
    Times(u64),
    /// On each n-th request.
    Every(u64),
    /// With this probability.
    Sometimes(f64),
    Always,
}

/// A fault that was added, to ask about it or take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(pub(crate) u64);

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            api: None,
            topic: None,
            partition: None,
            group: None,
            transactional_id: None,
            node: None,
            client_id: None,
            user: None,
            schedule: Schedule::Times(1),
        }
    }

    /// The request is answered with this error and does nothing.
    ///
    /// With [`topic`](Fault::topic), [`partition`](Fault::partition) or [`group`](Fault::group), only their part of the
    /// request fails, where its answer has parts.
    pub fn error(code: ErrorCode) -> Self {
        Self::new(Action::Error {
            code,
            takes_effect: false,
        })
    }

    /// The request is answered with this error although it has done its work.
    pub fn error_after(code: ErrorCode) -> Self {
        Self::new(Action::Error {
            code,
            takes_effect: true,
        })
    }

    /// The request lies for this long before it is handled, and with it all that follow on its connection.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// The answer asks the client to wait (`throttle_time_ms`), and its connection is not read for so long (KIP-219).
    pub fn throttle(time: Duration) -> Self {
        Self::new(Action::Throttle(time))
    }

    /// The connection closes before the request does anything.
    pub fn disconnect() -> Self {
        Self::new(Action::End(End::Before))
    }

    /// The request does its work, and the connection closes instead of an answer.
    pub fn disconnect_after() -> Self {
        Self::new(Action::End(End::After))
    }

    /// The request does its work, half of its answer is sent, and the connection closes.
    pub fn cut_answer() -> Self {
        Self::new(Action::End(End::Cut))
    }

    /// Only requests of this call. Default: any.
    pub fn on(mut self, api: ApiKey) -> Self {
        self.api = Some(api);
        self
    }

    /// Only requests about this topic: those that name it, ask for all topics, or go on with a fetch session that has
    /// it. Default: any, and those about none.
    pub fn topic(mut self, name: impl AsRef<str>) -> Self {
        self.topic = Some(name.as_ref().into());
        self
    }

    /// Only requests about a partition of this number, of the [`topic`](Fault::topic) if one is given. Default: any, and
    /// those about none.
    ///
    /// A request that names topics alone, such as Metadata, is about all of their partitions.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Only requests about this consumer group (`group.id`). Default: any, and those about none.
    ///
    /// A request for all groups (ListGroups) names none.
    pub fn group(mut self, name: impl AsRef<str>) -> Self {
        self.group = Some(name.as_ref().into());
        self
    }

    /// Only requests about transactions of this id (`transactional.id`). Default: any, and those about none.
    ///
    /// A request for all transactions (ListTransactions) names none.
    pub fn transactional_id(mut self, id: impl AsRef<str>) -> Self {
        self.transactional_id = Some(id.as_ref().into());
        self
    }

    /// Only requests to this node. Default: any.
    pub fn node(mut self, id: i32) -> Self {
        self.node = Some(id);
        self
    }

    /// Only requests of this client (`client.id`). Default: any.
    pub fn client_id(mut self, id: impl AsRef<str>) -> Self {
        self.client_id = Some(id.as_ref().into());
        self
    }

    /// Only requests of this user, as it logged in; those of a login itself have none yet. Default: any.
    pub fn user(mut self, name: impl AsRef<str>) -> Self {
        self.user = Some(name.as_ref().into());
        self
    }

    /// On the next `n` requests that it means. Default: 1.
    pub fn times(mut self, n: u64) -> Self {
        self.schedule = Schedule::Times(n);
        self
    }

    /// On every `n`-th request that it means; 0 is taken as 1.
    pub fn every(mut self, n: u64) -> Self {
        self.schedule = Schedule::Every(n.max(1));
        self
    }

    /// On each request that it means with this probability, 0 to 1, drawn from the cluster's seed.
    pub fn sometimes(mut self, probability: f64) -> Self {
        self.schedule = Schedule::Sometimes(probability);
        self
    }

    /// On every request that it means, until it is removed.
    pub fn always(mut self) -> Self {
        self.schedule = Schedule::Always;
        self
    }

    pub(crate) fn means(&self, request: &Facts<'_>) -> bool {
        let client = |id: &Name| **id == *request.client_id;
        self.api.is_none_or(|api| api == request.api)
            && self.node.is_none_or(|node| node == request.node)
            && self.client_id.as_ref().is_none_or(client)
            && self
                .user
                .as_ref()
                .is_none_or(|user| **user == *request.user)
            && self
                .group
                .as_ref()
                .is_none_or(|group| request.about.groups.contains(group))
            && self
                .transactional_id
                .as_ref()
                .is_none_or(|id| request.about.transactional_ids.contains(id))
            && self.is_about_a_topic(request.about)
    }

    fn is_about_a_topic(&self, about: &About) -> bool {
        let mut topics = about.topics.iter();
        (self.topic.is_none() && self.partition.is_none())
            || topics.any(|(name, partition)| {
                let same = |wanted| partition.is_none_or(|partition| partition == wanted);
                self.topic.as_ref().is_none_or(|wanted| wanted == name)
                    && self.partition.is_none_or(same)
            })
    }

    /// Whether it can happen, as things are planned already: another error, or another end, comes first.
    pub(crate) fn has_room(&self, plan: &Plan) -> bool {
        match &self.action {
            Action::Error { .. } => {
                let wanted = self.forced();
                wanted.is_none_or(|wanted| plan.forced.iter().all(|one| !one.covers(&wanted)))
            }
            Action::End(_) => plan.end == End::Answered,
            Action::Delay(_) | Action::Throttle(_) => true,
        }
    }

    fn forced(&self) -> Option<Forced> {
        match self.action {
            Action::Error { code, takes_effect } => Some(Forced {
                code,
                topic: self.topic.clone(),
                partition: self.partition,
                group: self.group.clone(),
                transactional_id: self.transactional_id.clone(),
                takes_effect,
            }),
            _ => None,
        }
    }
}

impl Fault {
    pub(crate) fn happens(&self, plan: &mut Plan) {
        match &self.action {
            Action::Error { .. } => plan.forced.extend(self.forced()),
            Action::Delay(time) => plan.delay += *time,
            Action::Throttle(time) => plan.throttle += *time,
            Action::End(end) => plan.end = *end,
        }
    }
}
