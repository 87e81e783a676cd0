//! Listing and deleting groups, and what is told of them.

use std::fmt;
use std::sync::Arc;

use super::acl::AclOperation;
use super::{Admin, refusal};
use crate::cluster::{Purpose, each, unanswered, unless_nobody_answered};
use crate::error::Result;
use crate::types::{BrokerId, TopicPartition};
use crate::wire::{DeleteGroups, ListGroups, ListedGroup};

/// A group that the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Its name.
    pub group: Arc<str>,
    /// What its members are: `consumer` for consumers, `connect` for Kafka Connect's workers; empty for a group
    /// that only keeps offsets.
    pub protocol_type: Arc<str>,
    /// What it is doing; `None` on a broker older than Kafka 2.6.
    pub state: Option<GroupState>,
    /// How its members are kept; `None` on a broker older than Kafka 3.8.
    pub kind: Option<GroupKind>,
}

/// How the members of a group are kept. Kafka: `group.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// One of the members shares the partitions out.
    Classic,
    /// The coordinator shares the partitions out (KIP-848).
    Consumer,
    /// Members share records, not partitions (KIP-932).
    Share,
    /// Kafka Streams' (KIP-1071).
    Streams,
    /// Something else, which this version of the library does not know.
    Other,
}

impl GroupKind {
    fn of(word: &str) -> Self {
        // Brokers write it with or without capitals.
        match word.to_ascii_lowercase().as_str() {
            "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            "share" => Self::Share,
            "streams" => Self::Streams,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for GroupKind {
    /// Kafka's word for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Classic => "Classic",
            Self::Consumer => "Consumer",
            Self::Share => "Share",
            Self::Streams => "Streams",
            Self::Other => "Unknown",
        })
    }
}

/// What a group is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// It has no members, and perhaps offsets.
    Empty,
    /// Its members are called to join again.
    PreparingRebalance,
    /// Its members have joined, and wait to be told their partitions.
    CompletingRebalance,
    /// Every member has its partitions.
    Stable,
    /// It is being removed.
    Dead,
    /// Its coordinator is working out a new assignment (KIP-848).
    Assigning,
    /// Its members are moving to the new assignment (KIP-848).
    Reconciling,
    /// Something else, which this version of the library does not know.
    Other,
}

impl GroupState {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "Empty" => Self::Empty,
            "PreparingRebalance" => Self::PreparingRebalance,
            "CompletingRebalance" => Self::CompletingRebalance,
            "Stable" => Self::Stable,
            "Dead" => Self::Dead,
            "Assigning" => Self::Assigning,
            "Reconciling" => Self::Reconciling,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for GroupState {
    /// Kafka's word for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Other => "Unknown",
        })
    }
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name.
    pub group: Arc<str>,
    /// How its members are kept.
    pub kind: GroupKind,
    /// What it is doing.
    pub state: GroupState,
    /// What its members are: `consumer` for consumers, `share` for those of a share group; empty for a group that
    /// only keeps offsets.
    pub protocol_type: Arc<str>,
    /// The assignor that its members agreed on, such as `range`, or that its coordinator uses, such as `uniform`;
    /// `None` for a classic group without members.
    pub assignor: Option<Arc<str>>,
    /// Its members, by client id and member id.
    pub members: Vec<MemberDescription>,
    /// What this client may do with it; `None` unless
    /// [`include_authorized_operations`](crate::Admin::include_authorized_operations) asked for it, and where the broker
    /// does not tell.
    pub authorized_operations: Option<Vec<AclOperation>>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// The id that the coordinator gave it. Kafka shows it as consumer id.
    pub member_id: Arc<str>,
    /// Its `group.instance.id`, for a static member.
    pub instance_id: Option<Arc<str>>,
    /// Its `client.id`.
    pub client_id: Arc<str>,
    /// The address it connects from, as the broker writes it: `/10.0.0.7`.
    pub host: Arc<str>,
    /// The topics that it subscribed to, sorted; `None` for one that is no consumer, or whose bytes cannot be read.
    pub topics: Option<Vec<Arc<str>>>,
    /// The pattern of topics that it subscribed to, where it did (KIP-848).
    pub topic_regex: Option<Arc<str>>,
    /// The partitions that it was given, sorted; `None` for one that is no consumer, or whose bytes cannot be read.
    /// Empty while its group rebalances.
    pub assignment: Option<Vec<TopicPartition>>,
}

impl Admin {
    /// Lists the groups of every kind, by name, after asking each broker. Kafka: `ListGroups`.
    ///
    /// # Errors
    /// When a broker could not be asked: a list that may lack groups is none.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>> {
        let listed = self
            .of_every_broker("list groups", |admin, id| async move {
                admin.groups_of(id).await
            })
            .await?;
        let mut groups: Vec<_> = listed.into_iter().map(list).collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        // A group that moved meanwhile was told of twice.
        groups.dedup_by(|a, b| a.group == b.group);
        Ok(groups)
    }

    async fn groups_of(&self, id: BrokerId) -> Result<Vec<ListedGroup>> {
        let connection = self.calls.cluster.broker(id, Purpose::Control).await?;
        let answer = connection
            .call(&ListGroups, self.calls.request_timeout())
            .await?;
        refusal(answer.code, None, || {
            format!("listing the groups of broker {}", id.0)
        })?;
        Ok(answer.groups)
    }

    /// Deletes groups with their offsets; each has its own result, in order. Kafka: `DeleteGroups`.
    ///
    /// # Errors
    /// When no broker could be asked. A group's own result has the broker's error: `NON_EMPTY_GROUP` while it has
    /// members, `GROUP_ID_NOT_FOUND`.
    pub async fn delete_groups<N: AsRef<str>>(
        &self,
        groups: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<()>>> {
        let groups = groups.into_iter().map(|group| group.as_ref().into());
        let deadline = self.calls.deadline();
        let outcomes = each(groups.collect(), |group: Arc<str>| {
            let admin = self.clone();
            async move {
                let context = || format!("deleting group {group}");
                let call = DeleteGroups {
                    groups: vec![Arc::clone(&group)],
                };
                admin
                    .at_coordinator(deadline, "delete groups", &group, &call, |answer| {
                        let told = answer.groups.first();
                        let (_, code) = told.ok_or_else(|| unanswered(context()))?;
                        refusal(*code, None, context)
                    })
                    .await?;
                Ok(())
            }
        })
        .await;
        unless_nobody_answered(outcomes)
    }
}

fn list(group: ListedGroup) -> GroupListing {
    GroupListing {
        group: group.group,
        protocol_type: group.protocol_type,
        state: group.state.as_deref().map(GroupState::of),
        kind: group.kind.as_deref().map(GroupKind::of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_known_are_shown_as_that() {
        assert_eq!(GroupState::of("Sleeping"), GroupState::Other);
        for word in [
            "Empty",
            "PreparingRebalance",
            "CompletingRebalance",
            "Stable",
            "Dead",
            "Assigning",
            "Reconciling",
        ] {
            assert_eq!(GroupState::of(word).to_string(), word);
        }
        assert_eq!(GroupKind::of("Classic"), GroupKind::Classic);
        assert_eq!(GroupKind::of("consumer"), GroupKind::Consumer);
        assert_eq!(GroupKind::of("new"), GroupKind::Other);
    }
}
