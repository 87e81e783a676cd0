//! Listing, changing and deleting a group's committed offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::{Admin, OffsetSpec, PartitionOffset, refusal, retry_all};
use crate::cluster::{by_topic, unanswered};
use crate::config::IsolationLevel;
use crate::error::{ErrorCode, Result};
use crate::types::{OffsetAndMetadata, TopicId, TopicName, TopicPartition};
use crate::wire::{
    CommitPartition, FetchedOffset, OffsetCommit, OffsetDelete, OffsetFetch, commit_topics,
};

/// How far a group is in one partition; from [`Admin::group_lag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// The offset that the group has committed, where it has.
    pub committed: Option<i64>,
    /// The offset of the next record that is written.
    pub end: i64,
}

impl PartitionLag {
    /// How many offsets are left to read; `None` where nothing is committed. Below zero where the log was cut off,
    /// or offsets were set by hand. Offsets that are no records, such as transactions' markers, count.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        self.committed.map(|committed| self.end - committed)
    }
}

impl Admin {
    /// How far a group is in each partition that a member of it has, or that it has committed an offset for, by topic
    /// and partition; each has its own result. Kafka's tool: `kafka-consumer-groups --describe`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `GROUP_ID_NOT_FOUND` for a group that does not exist. A
    /// partition's own result has the broker's error, such as `UNKNOWN_TOPIC_OR_PARTITION` for one of a topic that was
    /// deleted.
    pub async fn group_lag(
        &self,
        group: impl AsRef<str>,
    ) -> Result<Vec<(TopicPartition, Result<PartitionLag>)>> {
        let group = group.as_ref();
        let described = self.describe_group(group).await?;
        let members = described.members.iter();
        let assigned = members.flat_map(|member| member.assignment.iter().flatten());
        let mut committed: BTreeMap<TopicPartition, Result<Option<i64>>> =
            assigned.map(|given| (given.clone(), Ok(None))).collect();
        for (partition, offset) in self.list_group_offsets(group).await? {
            committed.insert(partition, offset.map(|offset| Some(offset.offset)));
        }
        let asked: Vec<_> = committed
            .keys()
            .map(|partition| (partition.clone(), OffsetSpec::Latest))
            .collect();
        let ends = self
            .list_offsets(asked, IsolationLevel::ReadUncommitted)
            .await?;
        let lag = |((partition, committed), end): ((_, Result<_>), Result<PartitionOffset>)| {
            let lag = committed.and_then(|committed| {
                // A log always has an end.
                let end = end?.offset.unwrap_or(0);
                Ok(PartitionLag { committed, end })
            });
            (partition, lag)
        };
        Ok(committed.into_iter().zip(ends).map(lag).collect())
    }

    /// Lists what a group has committed, by topic and partition; each has its own result. Kafka: `OffsetFetch`.
    ///
    /// A group that does not exist has committed nothing.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused.
    pub async fn list_group_offsets(
        &self,
        group: impl AsRef<str>,
    ) -> Result<Vec<(TopicPartition, Result<OffsetAndMetadata>)>> {
        let group: Arc<str> = group.as_ref().into();
        let call = OffsetFetch {
            group: Arc::clone(&group),
            topics: None,
            require_stable: false,
        };
        let what = "list group offsets";
        let answer = self
            .at_coordinator(self.calls.deadline(), what, &group, &call, |answer| {
                refusal(answer.code, None, || {
                    format!("listing the offsets of group {group}")
                })
            })
            .await?;
        let mut offsets: Vec<_> = answer
            .topics
            .into_iter()
            .flat_map(|(topic, partitions)| {
                let told = move |told| committed(&topic, told);
                partitions.into_iter().filter_map(told)
            })
            .collect();
        offsets.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(offsets)
    }

    /// Commits offsets for a group that has no members; each has its own result, in order. Kafka: `OffsetCommit`.
    ///
    /// A group that does not exist is made. Only the group's coordinator keeps them: whether a topic exists, and an
    /// offset is in its log, is the caller's business.
    ///
    /// # Errors
    /// When no broker could be asked. A partition's own result has the broker's error: `UNKNOWN_MEMBER_ID` while the
    /// group has members.
    pub async fn alter_group_offsets(
        &self,
        group: impl AsRef<str>,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)>,
    ) -> Result<Vec<Result<()>>> {
        let group: Arc<str> = group.as_ref().into();
        let offsets: Vec<_> = offsets.into_iter().collect();
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        let lines = offsets.iter().map(|(partition, offset)| {
            let line = CommitPartition {
                partition: partition.partition(),
                offset: offset.offset,
                leader_epoch: offset.leader_epoch.unwrap_or(-1),
                metadata: offset.metadata.clone(),
            };
            (partition, TopicId::ZERO, line)
        });
        let call = OffsetCommit {
            group: Arc::clone(&group),
            generation: -1,
            member_id: "".into(),
            instance_id: None,
            topics: commit_topics(lines),
        };
        let what = "alter group offsets";
        let answer = self
            .at_coordinator(self.calls.deadline(), what, &group, &call, |answer| {
                let codes = answer.topics.iter().flat_map(|(_, codes)| codes);
                retry_all(codes.map(|(_, code)| *code), "changing a group's offsets")
            })
            .await?;
        let codes = answer.codes();
        let partitions = offsets.iter().map(|(partition, _)| partition);
        Ok(results("changing", &group, partitions, |partition| {
            codes.of(partition, TopicId::ZERO)
        }))
    }

    /// Makes a group forget offsets; each has its own result, in order. Kafka: `OffsetDelete`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `GROUP_ID_NOT_FOUND`. A partition's own result has the broker's
    /// error: `GROUP_SUBSCRIBED_TO_TOPIC` while a member subscribes to its topic.
    pub async fn delete_group_offsets(
        &self,
        group: impl AsRef<str>,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<Result<()>>> {
        let group: Arc<str> = group.as_ref().into();
        let partitions: Vec<_> = partitions.into_iter().collect();
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let call = OffsetDelete {
            group: Arc::clone(&group),
            topics: by_topic(partitions.iter().map(|p| (p, p.partition()))),
        };
        let what = "delete group offsets";
        let answer = self
            .at_coordinator(self.calls.deadline(), what, &group, &call, |answer| {
                refusal(answer.code, None, || {
                    format!("deleting offsets of group {group}")
                })?;
                let codes = answer.topics.iter().flat_map(|(_, codes)| codes);
                retry_all(codes.map(|(_, code)| *code), "deleting a group's offsets")
            })
            .await?;
        let codes: HashMap<(&str, i32), ErrorCode> = answer
            .topics
            .iter()
            .flat_map(|(name, codes)| codes.iter().map(move |(p, code)| ((&**name, *p), *code)))
            .collect();
        Ok(results("deleting", &group, &partitions, |partition| {
            let told = codes.get(&(partition.topic(), partition.partition()));
            told.copied()
        }))
    }
}

/// `None` for a partition without a committed offset.
fn committed(
    topic: &TopicName,
    told: FetchedOffset,
) -> Option<(TopicPartition, Result<OffsetAndMetadata>)> {
    let partition = TopicPartition::new(Arc::clone(topic), told.partition);
    let refused = refusal(told.code, None, || format!("the offset of {partition}"));
    if refused.is_ok() && told.offset < 0 {
        return None;
    }
    let offset = refused.map(|()| OffsetAndMetadata {
        offset: told.offset,
        leader_epoch: Some(told.leader_epoch).filter(|epoch| *epoch >= 0),
        metadata: told.metadata.filter(|text| !text.is_empty()),
    });
    Some((partition, offset))
}

/// Each partition's own result, in order.
fn results<'a>(
    verb: &str,
    group: &str,
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
    told: impl Fn(&TopicPartition) -> Option<ErrorCode>,
) -> Vec<Result<()>> {
    let result = |partition: &TopicPartition| {
        let context = || format!("{verb} the offset of {partition} in group {group}");
        let code = told(partition).ok_or_else(|| unanswered(context()))?;
        refusal(code, None, context)
    };
    partitions.into_iter().map(result).collect()
}
