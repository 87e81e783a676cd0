//! Figures about what is on disk, and how it goes to the cluster.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::metrics::ProducerMetrics;
use crate::types::TopicName;

/// A spilling producer's figures since it was opened; an owned copy, taken at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpillMetrics {
    /// Records that were brought to disk.
    pub spilled: u64,
    /// Records on disk that are still to be sent, those of earlier processes among them.
    pub waiting: u64,
    /// Bytes on disk, without what was set aside; `max_bytes` is their bound.
    pub bytes: u64,
    /// Records from disk that the cluster has acknowledged.
    pub replayed: u64,
    /// Records that were set aside, as far as it is known how many.
    pub set_aside: u64,
    /// Topics whose new records go to disk.
    pub spilling_topics: usize,
    /// Why a topic's records on disk could not be sent last; those that are sent again since are left out.
    pub trouble: BTreeMap<Arc<str>, Error>,
    /// The producer of records that go to the cluster directly. Those that were brought to disk are among its failed ones.
    pub direct: ProducerMetrics,
    /// The producer of records from disk.
    pub replay: ProducerMetrics,
}

/// What is counted beside the store's own figures.
#[derive(Default)]
pub(crate) struct Counters {
    replayed: AtomicU64,
    trouble: Mutex<BTreeMap<TopicName, Error>>,
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicName, Error>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_replayed(&self, records: u64) {
        self.replayed.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }

    /// A topic's records cannot be sent just now.
    pub(crate) fn troubled(&self, topic: &TopicName, error: Error) {
        self.lock().insert(topic.clone(), error);
    }

    /// They can.
    pub(crate) fn untroubled(&self, topic: &TopicName) {
        self.lock().remove(topic);
    }

    pub(crate) fn trouble(&self) -> BTreeMap<TopicName, Error> {
        self.lock().clone()
    }
}
