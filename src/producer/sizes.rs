//! Learns how large each topic's batches may be: from refusals, and by asking a broker where that is allowed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use super::inner::ProducerInner;
use crate::error::{ErrorCode, Result};
use crate::machine::produce::TopicLimits;
use crate::types::{TopicName, after};
use crate::wire::{DescribeConfigs, Resource};

/// A broker that is silent for so long is not waited for: what was refused is halved without knowing the limit.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let batch_size = self.accumulator.limits.batch_size;
        self.accumulator.sizes.told(topic, batch_size, told, now());
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
        let again = after(now(), self.cluster.settings().metadata_max_age);
        let batch_size = self.accumulator.limits.batch_size;
        let sizes = &self.accumulator.sizes;
        let (size, before) = sizes.refused(topic, batch_size, code, (plain, wire), again);
        if size != before {
            debug!(%topic, size, "batches of the topic are made smaller");
            self.fit_queues(topic, size);
        }
        size
    }

    /// Tries larger batches for topics that have refused none for a while.
    pub(crate) fn grow_batches(self: &Arc<Self>) {
        let again = after(now(), self.cluster.settings().metadata_max_age);
        let grown = self.accumulator.sizes.grow(now(), again);
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
