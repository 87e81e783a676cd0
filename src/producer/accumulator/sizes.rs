//! How large each topic's batches may be, as far as refusals and a broker have told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::error::ErrorCode;
use crate::machine::produce::{Fit, TopicLimits};
use crate::types::{TopicName, after};

/// The topics that a batch was refused for; every other one takes `batch.size`.
#[derive(Default)]
pub(crate) struct Sizes(Mutex<HashMap<TopicName, Size>>);

struct Size {
    fit: Fit,
    limits: TopicLimits,
    /// When the limits were asked for; they may have changed since.
    asked: Option<Instant>,
}

impl Size {
    fn new(batch_size: usize) -> Self {
        Self {
            fit: Fit::new(batch_size),
            limits: TopicLimits::default(),
            asked: None,
        }
    }
}

impl Sizes {
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicName, Size>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a topic's limits.
    pub(crate) fn limits(&self, topic: &str) -> TopicLimits {
        let all = self.lock();
        all.get(topic).map(|size| size.limits).unwrap_or_default()
    }

    /// The size to close a topic's batches at.
    pub(crate) fn fit(&self, topic: &str, batch_size: usize) -> usize {
        let all = self.lock();
        all.get(topic).map_or(batch_size, |size| size.fit.size())
    }

    /// Whether the topic's limits were asked for within `age`.
    pub(crate) fn is_asked(&self, topic: &str, now: Instant, age: Duration) -> bool {
        let all = self.lock();
        let asked = all.get(topic).and_then(|size| size.asked);
        asked.is_some_and(|asked| after(asked, age) > now)
    }

    /// Notes what a broker told of a topic's limits, whose batches are closed at `batch_size` otherwise.
    pub(crate) fn told(
        &self,
        topic: &TopicName,
        batch_size: usize,
        limits: TopicLimits,
        now: Instant,
    ) {
        let mut all = self.lock();
        let size = all.entry(Arc::clone(topic));
        let size = size.or_insert_with(|| Size::new(batch_size));
        size.limits = limits;
        size.asked = Some(now);
    }

    /// Notes that a batch of so many bytes, before and after its compression, was too large for the topic until `again`;
    /// tells the size that its batches are closed at from now on, and the one before.
    pub(crate) fn refused(
        &self,
        topic: &TopicName,
        batch_size: usize,
        code: ErrorCode,
        (plain, wire): (usize, usize),
        again: Instant,
    ) -> (usize, usize) {
        let mut all = self.lock();
        let size = all.entry(Arc::clone(topic));
        let size = size.or_insert_with(|| Size::new(batch_size));
        let (before, limit) = (size.fit.size(), size.limits.of(code));
        (size.fit.refused(plain, wire, limit, again), before)
    }

    /// Tries larger batches for topics that have refused none for a while; the next try is for `again`.
    pub(crate) fn grow(&self, now: Instant, again: Instant) -> Vec<(TopicName, usize)> {
        let mut all = self.lock();
        let grow = |(topic, size): (&TopicName, &mut Size)| {
            let grown = size.fit.grow(now, again)?;
            Some((Arc::clone(topic), grown))
        };
        all.iter_mut().filter_map(grow).collect()
    }
}
