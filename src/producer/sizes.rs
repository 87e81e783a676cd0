//! How large each topic's batches may be: learned from refusals, and asked of a broker where that is allowed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tracing::debug;

use super::inner::ProducerInner;
use crate::error::{ErrorCode, Result};
use crate::machine::produce::{Fit, TopicLimits};
use crate::types::{TopicName, after};
use crate::wire::{DescribeConfigs, Resource};

/// A broker that is silent for so long is not waited for: what was refused is halved without knowing the limit.
const PATIENCE: Duration = Duration::from_secs(2);

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
    fn is_asked(&self, topic: &str, now: Instant, age: Duration) -> bool {
        let all = self.lock();
        let asked = all.get(topic).and_then(|size| size.asked);
        asked.is_some_and(|asked| after(asked, age) > now)
    }
}

impl ProducerInner {
    /// Whether what `topic` takes has yet to be asked for.
    pub(crate) fn is_limit_unasked(&self, topic: &str) -> bool {
        let age = self.cluster.settings().metadata_max_age;
        !self.accumulator.sizes.is_asked(topic, now(), age)
    }

    /// Asks a broker what the topic takes; not to be told, or not to be allowed to ask, is an answer as well.
    pub(crate) async fn ask_limits(&self, topic: &TopicName) {
        let told = match tokio::time::timeout(PATIENCE, self.describe(topic)).await {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => {
                debug!(%topic, %error, "cannot ask for a topic's limits");
                TopicLimits::default()
            }
            Err(_) => TopicLimits::default(),
        };
        let mut all = self.accumulator.sizes.lock();
        let size = all.entry(Arc::clone(topic));
        let size = size.or_insert_with(|| Size::new(self.accumulator.limits.batch_size));
        size.limits = told;
        size.asked = Some(now());
    }

    async fn describe(&self, topic: &TopicName) -> Result<TopicLimits> {
        let resource = Resource {
            kind: Resource::TOPIC,
            name: Arc::clone(topic),
        };
        let call = DescribeConfigs {
            resources: vec![resource],
        };
        let connection = self.cluster.any().await?;
        let limit = self.cluster.settings().request_timeout;
        let answer = connection.call(&call, limit).await?;
        let told = answer.resources.first().filter(|told| told.code.is_none());
        let number = |name: &str| {
            let config = told?.configs.iter().find(|config| &*config.name == name)?;
            config.value.as_ref()?.parse().ok()
        };
        Ok(TopicLimits {
            message: number("max.message.bytes"),
            segment: number("segment.bytes"),
        })
    }

    /// Notes that a batch of so many bytes, before and after its compression, was too large for the topic; tells the size
    /// that its batches are closed at from now on.
    pub(crate) fn too_large(
        self: &Arc<Self>,
        topic: &TopicName,
        code: ErrorCode,
        plain: usize,
        wire: usize,
    ) -> usize {
        let (size, before) = {
            let mut all = self.accumulator.sizes.lock();
            let size = all.entry(Arc::clone(topic));
            let size = size.or_insert_with(|| Size::new(self.accumulator.limits.batch_size));
            let (before, limit) = (size.fit.size(), size.limits.of(code));
            let again = after(now(), self.cluster.settings().metadata_max_age);
            (size.fit.refused(plain, wire, limit, again), before)
        };
        if size != before {
            debug!(%topic, size, "batches of the topic are made smaller");
            self.fit_queues(topic, size);
        }
        size
    }

    /// Tries larger batches for topics that have refused none for a while.
    pub(crate) fn grow_batches(self: &Arc<Self>) {
        let again = after(now(), self.cluster.settings().metadata_max_age);
        let grown: Vec<_> = {
            let mut all = self.accumulator.sizes.lock();
            let grow = |(topic, size): (&TopicName, &mut Size)| {
                let grown = size.fit.grow(now(), again)?;
                Some((Arc::clone(topic), grown))
            };
            all.iter_mut().filter_map(grow).collect()
        };
        for (topic, size) in grown {
            self.fit_queues(&topic, size);
        }
    }

    fn fit_queues(self: &Arc<Self>, topic: &str, size: usize) {
        for queue in self
            .accumulator
            .topics
            .get(topic)
            .iter()
            .flat_map(|t| &t.queues)
        {
            let changed = queue.change(|locked, _| locked.queue.fit(size));
            self.carry_out(queue, changed);
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
