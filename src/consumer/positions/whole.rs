//! Without a group a subscription is to every partition of its topics, which come and go with the cluster's word on them.

use tracing::info;

use crate::consumer::inner::ConsumerInner;
use crate::machine::fetch::{Start, WholeTopics};
use crate::machine::topology::Topology;

/// Begins the partitions that have come, and gives up those that are gone.
pub(super) fn follow(inner: &ConsumerInner, topics: &mut WholeTopics, topology: &Topology) {
    if inner.offsets.is_some() || !inner.lock().is_subscribed() {
        return;
    }
    let subscription = inner.subscription().borrow().clone();
    let change = topics.look(&subscription, topology, &inner.assignment());
    if !change.gone.is_empty() {
        info!(partitions = ?change.gone, "partitions are not read any more");
        inner.remove(&change.gone);
    }
    let (late, there): (Vec<_>, Vec<_>) = change
        .added
        .into_iter()
        .partition(|(_, start)| start.is_some());
    let names = |all: Vec<(_, Option<Start>)>| -> Vec<_> {
        all.into_iter().map(|(partition, _)| partition).collect()
    };
    let (late, there) = (names(late), names(there));
    if !there.is_empty() {
        info!(partitions = ?there, "partitions of the subscription are read");
        inner.hold(&there);
        inner.begin(&there);
    }
    if !late.is_empty() {
        info!(partitions = ?late, "partitions have appeared, and are read from their beginnings");
        inner.hold(&late);
        inner.begin_at(&late, Some(Start::Earliest));
    }
}
