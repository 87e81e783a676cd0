//! What the group has committed.

use hashbrown::HashMap;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::verdict::{CommitVerdict, verdict};
use super::{Offsets, is_passing};
use crate::cluster::by_topic;
use crate::error::{Error, ErrorCode, Result};
use crate::types::{OffsetAndMetadata, TopicPartition};
use crate::wire::{FetchedOffset, OffsetFetch};

/// A partition with what is committed for it, if anything is.
pub(in crate::consumer) type Committed = (TopicPartition, Option<OffsetAndMetadata>);

/// What is committed for one partition, if it could be told.
pub(in crate::consumer) type CommittedOffset = Result<Option<OffsetAndMetadata>>;

impl Offsets {
    /// What is committed for these partitions, in their order, with retries for up to `default.api.timeout.ms`.
    ///
    /// An offset that an open transaction may replace is waited for (KIP-447).
    ///
    /// # Errors
    /// The broker's refusal; the last failure when the time is up.
    pub(in crate::consumer) async fn fetch_committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Committed>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let settings = &self.0.settings;
        let mut last = None;
        let trying = async {
            let mut failures = 0;
            loop {
                match self.ask(partitions).await.and_then(all) {
                    Err(error) if is_passing(&error) => {
                        debug!(%error, "committed offsets not known yet");
                        last = Some(error);
                        failures += 1;
                        sleep(settings.retry_backoff.delay(failures, fastrand::f64())).await;
                    }
                    done => return done,
                }
            }
        };
        match timeout(settings.api_timeout, trying).await {
            Ok(done) => done,
            Err(_) => Err(last.unwrap_or(Error::Deadline {
                what: "fetching committed offsets",
                limit: settings.api_timeout,
            })),
        }
    }

    /// Asks once; each partition has its own result.
    ///
    /// # Errors
    /// Why there was no answer, and what the coordinator says of the group.
    pub(in crate::consumer) async fn ask(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
        let numbers = partitions.iter().map(|named| (named, named.partition()));
        let call = OffsetFetch {
            group: self.0.group.clone(),
            topics: Some(by_topic(numbers)),
            require_stable: true,
        };
        let context = || format!("fetching committed offsets of group {}", self.0.group);
        let (broker, connection) = self.connection().await?;
        let answer = connection
            .call(&call, self.0.settings.request_timeout)
            .await;
        let answer = answer.inspect_err(|_| self.0.coordinator.forget(&broker))?;
        let judge = |code: ErrorCode| {
            if verdict(code) == CommitVerdict::Find {
                self.0.coordinator.forget(&broker);
            }
            code.ok()
                .map_err(|code| Error::broker(code, None, context()))
        };
        judge(answer.code)?;
        let mut found: HashMap<(&str, i32), &FetchedOffset> = HashMap::new();
        for (topic, offsets) in &answer.topics {
            for offset in offsets {
                found.insert((topic, offset.partition), offset);
            }
        }
        let one = |partition: &TopicPartition| {
            let found = found.get(&(partition.topic(), partition.partition()));
            let found = found.ok_or_else(|| {
                // No offset is not the same as none told: what is not known must not be reset.
                let address = connection.address().to_string();
                Error::protocol(address, format!("no answer for {partition} {}", context()))
            })?;
            judge(found.code)?;
            let committed = (found.offset >= 0).then(|| OffsetAndMetadata {
                offset: found.offset,
                leader_epoch: (found.leader_epoch >= 0).then_some(found.leader_epoch),
                metadata: found.metadata.clone().filter(|text| !text.is_empty()),
            });
            Ok(committed)
        };
        let named = |partition: &TopicPartition| (partition.clone(), one(partition));
        Ok(partitions.iter().map(named).collect())
    }
}

/// The first error, if there is any.
fn all(told: Vec<(TopicPartition, CommittedOffset)>) -> Result<Vec<Committed>> {
    let one = |(partition, told): (TopicPartition, CommittedOffset)| Ok((partition, told?));
    told.into_iter().map(one).collect()
}
