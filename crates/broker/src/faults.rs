//! Faults on purpose: which requests they fall on, how often, and what happens then.

use std::time::Duration;

use crate::about::About;
use crate::forced::Forced;
use crate::state::NodeId;
use crate::state::random::Random;
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
    schedule: Schedule,
}

#[derive(Clone, Debug)]
enum Action {
    Error { code: ErrorCode, takes_effect: bool },
    Delay(Duration),
    Throttle(Duration),
    End(End),
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
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
pub struct FaultId(u64);

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

    fn means(&self, request: &Facts<'_>) -> bool {
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
    fn has_room(&self, plan: &Plan) -> bool {
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

/// What a fault is decided by.
pub(crate) struct Facts<'a> {
    pub(crate) api: ApiKey,
    pub(crate) node: NodeId,
    pub(crate) client_id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) about: &'a About,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Answered,
    Before,
    After,
    Cut,
}

/// All that goes wrong with one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Duration,
    /// In the order in which the faults were added.
    pub(crate) forced: Vec<Forced>,
    pub(crate) end: End,
}

/// The faults of a cluster, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    all: Vec<Rule>,
    /// How often each happened, also of those that are over.
    hits: Vec<u64>,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: Fault,
    /// Requests that it meant so far.
    met: u64,
}

impl Rules {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.hits.len() as u64);
        self.hits.push(0);
        self.all.push(Rule { id, fault, met: 0 });
        id
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.all.retain(|rule| rule.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn hits(&self, id: FaultId) -> u64 {
        self.hits.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// What goes wrong with this request.
    pub(crate) fn plan(&mut self, request: &Facts<'_>, random: &mut Random) -> Plan {
        let mut plan = Plan::default();
        let hits = &mut self.hits;
        self.all.retain_mut(|rule| {
            let happens = rule.fault.means(request) && rule.fault.has_room(&plan);
            if !happens || !rule.is_due(random) {
                return !rule.is_over();
            }
            if let Some(count) = hits.get_mut(rule.id.0 as usize) {
                *count += 1;
            }
            rule.fault.happens(&mut plan);
            !rule.is_over()
        });
        plan
    }
}

impl Rule {
    fn is_due(&mut self, random: &mut Random) -> bool {
        self.met += 1;
        match &mut self.fault.schedule {
            Schedule::Times(0) => false,
            Schedule::Times(left) => {
                *left -= 1;
                true
            }
            Schedule::Every(n) => self.met.is_multiple_of(*n),
            Schedule::Sometimes(probability) => random.fraction() < *probability,
            Schedule::Always => true,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.fault.schedule, Schedule::Times(0))
    }
}

impl Fault {
    fn happens(&self, plan: &mut Plan) {
        match &self.action {
            Action::Error { .. } => plan.forced.extend(self.forced()),
            Action::Delay(time) => plan.delay += *time,
            Action::Throttle(time) => plan.throttle += *time,
            Action::End(end) => plan.end = *end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(fault: Fault, requests: usize) -> Vec<usize> {
        let mut rules = Rules::default();
        let mut random = Random::new(1);
        rules.add(fault);
        let about = About {
            topics: vec![("t".into(), Some(3)), ("all".into(), None)],
            groups: vec!["g".into()],
            transactional_ids: vec!["x".into()],
        };
        let request = Facts {
            api: ApiKey::Fetch,
            node: 1,
            client_id: "c",
            user: "u",
            about: &about,
        };
        let happens = |_: &usize| rules.plan(&request, &mut random).end == End::Before;
        (1..=requests).filter(happens).collect()
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says() {
        assert_eq!(hits(Fault::disconnect(), 5), [1]);
        assert_eq!(hits(Fault::disconnect().times(2), 5), [1, 2]);
        assert_eq!(hits(Fault::disconnect().every(2), 5), [2, 4]);
        assert_eq!(hits(Fault::disconnect().always(), 3), [1, 2, 3]);
        let some = hits(Fault::disconnect().sometimes(0.5), 1000);
        assert!((400..600).contains(&some.len()));
        assert_eq!(some, hits(Fault::disconnect().sometimes(0.5), 1000));
    }

    #[test]
    fn a_fault_falls_only_on_what_it_means() {
        let on = |fault: Fault| hits(fault, 1).len();
        assert_eq!(
            on(Fault::disconnect()
                .on(ApiKey::Fetch)
                .topic("t")
                .node(1)
                .client_id("c")),
            1
        );
        assert_eq!(on(Fault::disconnect().on(ApiKey::Produce)), 0);
        assert_eq!(on(Fault::disconnect().topic("other")), 0);
        assert_eq!(on(Fault::disconnect().topic("t").partition(3)), 1);
        assert_eq!(on(Fault::disconnect().topic("t").partition(4)), 0);
        assert_eq!(on(Fault::disconnect().topic("all").partition(4)), 1);
        assert_eq!(on(Fault::disconnect().partition(3)), 1);
        assert_eq!(on(Fault::disconnect().group("g")), 1);
        assert_eq!(on(Fault::disconnect().group("other")), 0);
        assert_eq!(on(Fault::disconnect().transactional_id("x")), 1);
        assert_eq!(on(Fault::disconnect().transactional_id("y")), 0);
        assert_eq!(on(Fault::disconnect().user("u")), 1);
        assert_eq!(on(Fault::disconnect().user("other")), 0);
        assert_eq!(on(Fault::disconnect().node(2)), 0);
        assert_eq!(on(Fault::disconnect().client_id("other")), 0);
    }

    #[test]
    fn faults_add_up() {
        let mut rules = Rules::default();
        let second = Duration::from_secs(1);
        let first = rules.add(Fault::delay(second).times(2));
        rules.add(Fault::delay(second));
        rules.add(Fault::error(ErrorCode::CORRUPT_MESSAGE));
        rules.add(Fault::error(ErrorCode::UNKNOWN_SERVER_ERROR));
        let request = Facts {
            api: ApiKey::Metadata,
            node: 1,
            client_id: "",
            user: "u",
            about: &About::default(),
        };
        let codes = |plan: &Plan| -> Vec<_> { plan.forced.iter().map(|one| one.code).collect() };
        let plan = rules.plan(&request, &mut Random::new(1));
        assert_eq!(plan.delay, 2 * second);
        assert_eq!(codes(&plan), [ErrorCode::CORRUPT_MESSAGE]);
        let plan = rules.plan(&request, &mut Random::new(1));
        assert_eq!(plan.delay, second);
        assert_eq!(codes(&plan), [ErrorCode::UNKNOWN_SERVER_ERROR]);
        assert_eq!(rules.hits(first), 2);
    }

    #[test]
    fn a_hit_is_what_happened() {
        let mut rules = Rules::default();
        let mut random = Random::new(1);
        let about = About::partitions([("t".into(), Some(0)), ("t".into(), Some(1))]);
        let request = Facts {
            api: ApiKey::Produce,
            node: 1,
            client_id: "",
            user: "u",
            about: &about,
        };
        let error = || Fault::error(ErrorCode::CORRUPT_MESSAGE).topic("t");
        let parts = [0, 1].map(|partition| rules.add(error().partition(partition)));
        let second = rules.add(error().partition(1));
        let elsewhere = rules.add(error().partition(2));
        let whole = rules.add(error());
        let ends = [Fault::disconnect(), Fault::cut_answer()].map(|end| rules.add(end));
        let plan = rules.plan(&request, &mut random);
        let hits = |rules: &Rules, ids: &[FaultId]| -> Vec<_> {
            ids.iter().map(|id| rules.hits(*id)).collect()
        };
        // The parts that are left of a whole fail with it.
        assert_eq!(plan.forced.len(), 3);
        assert_eq!(hits(&rules, &parts), [1, 1]);
        assert_eq!(hits(&rules, &[second, elsewhere, whole]), [0, 0, 1]);
        assert_eq!((plan.end, hits(&rules, &ends)), (End::Before, vec![1, 0]));
        // What had no room happens next time.
        let plan = rules.plan(&request, &mut random);
        assert_eq!((plan.forced.len(), plan.end), (1, End::Cut));
        assert_eq!(hits(&rules, &[second, elsewhere, whole]), [1, 0, 1]);
    }
}
