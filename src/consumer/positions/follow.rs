//! What the cluster says of partitions: who leads them, whether they are there, and so which loops are needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::consumer::fetcher;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::{Error, ErrorCode};
use crate::machine::fetch::PartitionState;
use crate::machine::topology::Topology;
use crate::types::{BrokerId, after};

/// After so many refreshes in vain a partition is not just new.
const MANY: u32 = 3;

/// What the cluster says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is there, or may come to be.
    Followed,
    /// It is another topic's than before.
    Recreated,
    /// Its topic has only so many partitions.
    Missing(usize),
}

/// Takes over what is known of the partition.
pub(super) fn follow(partition: &mut PartitionState, topology: &Topology) -> Known {
    let Some(topic) = topology.topics.get(partition.name.topic()) else {
        return Known::Followed;
    };
    let is_other = partition.is_other_topic(topic.id);
    let number = usize::try_from(partition.name.partition()).unwrap_or(usize::MAX);
    match topic.partitions.get(number) {
        Some(known) => {
            // A leader that is named and has no address is none, for now.
            let leader = known.leader.filter(|id| topology.brokers.contains_key(id));
            partition.lead_by(leader, known.leader_epoch, topic.id);
            if is_other {
                Known::Recreated
            } else {
                Known::Followed
            }
        }
        None if topic.error.is_none() => {
            // It may have had a leader, in a topic that was deleted meanwhile. Should it come back, its id tells.
            partition.lead_by(None, partition.leader_epoch(), partition.topic_id);
            Known::Missing(topic.partitions.len())
        }
        None => Known::Followed,
    }
}

/// What the application is told of a partition that its topic does not have.
pub(super) fn missing(partition: &mut PartitionState, count: usize) -> Option<Error> {
    let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let context = format!("reading {}: the topic has {count}", partition.name);
    let is_news = partition.is_news(code);
    is_news.then(|| Error::broker(code, None, context))
}

/// Refreshes for partitions without a leader, less and less often.
#[derive(Default)]
pub(super) struct Search {
    rounds: u32,
    next: Option<Instant>,
}

impl Search {
    /// Whether it is time for a refresh; `delay` makes of the number of refreshes how long to wait for the next.
    pub(super) fn is_due(
        &mut self,
        is_lost: bool,
        now: Instant,
        delay: impl FnOnce(u32) -> Duration,
    ) -> bool {
        if !is_lost {
            *self = Self::default();
            return false;
        }
        if self.next.is_some_and(|next| next > now) {
            return false;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.next = Some(after(now, delay(self.rounds)));
        true
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn is_long(&self) -> bool {
        self.rounds > MANY
    }
}

/// The brokers that partitions are fetched from.
#[derive(Default)]
pub(super) struct FetchNodes {
    /// Whether the loop is needed now.
    all: HashMap<BrokerId, bool>,
    /// A partition is another loop's than before, or to be asked for in another way.
    is_moved: bool,
}

impl FetchNodes {
    pub(super) fn count(&mut self, partition: &mut PartitionState, now: Instant) {
        self.is_moved |= partition.take_moved(now);
        if let Some(broker) = partition.fetch_node(now) {
            *self.all.entry(broker).or_default() |= partition.is_fetching();
        }
    }

    /// Starts the loops that are missing; those are woken whose partitions may have come or gone: what is buffered
    /// goes with them.
    pub(super) fn start_and_wake(
        &self,
        inner: &Arc<ConsumerInner>,
        state: &mut SubscriptionState,
    ) -> Wakes {
        let mut wakes = Wakes::default();
        for (broker, is_needed) in &self.all {
            if *is_needed {
                fetcher::ensure(inner, state, *broker);
            }
        }
        for (broker, node) in &state.nodes {
            // Without partitions it ends, and its share of the memory is the others'.
            if self.is_moved || !self.all.contains_key(broker) {
                wakes = wakes.and(node.wakes());
            }
        }
        wakes
    }
}
