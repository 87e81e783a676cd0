//! Describing groups of every kind.

use std::sync::Arc;

use tokio::time::Instant;

use super::acl::authorized;
use super::groups::{GroupDescription, GroupKind, GroupState, MemberDescription};
use super::{Admin, refusal};
use crate::cluster::{each, unanswered, unless_nobody_answered};
use crate::error::{Error, ErrorCode, Result};
use crate::machine::group::protocol::{Assignment, Subscription};
use crate::types::TopicPartition;
use crate::wire::{
    Call, ConsumerGroupDescribe, DescribeGroups, DescribedGroup, DescribedMember, ModernGroup,
    ModernGroups, ModernMember, ShareGroupDescribe,
};

/// The protocol type of consumers.
const CONSUMERS: &str = "consumer";
/// What members of share groups are called.
const SHARERS: &str = "share";
const WHAT: &str = "describe groups";

impl Admin {
    /// Describes groups: classic ones, those of the newer protocol (KIP-848), and share groups (KIP-932) where the
    /// broker has them; each has its own result, in order. Kafka: `DescribeGroups`, `ConsumerGroupDescribe`,
    /// `ShareGroupDescribe`.
    ///
    /// # Errors
    /// When no broker could be asked. A group's own result has the broker's error: `GROUP_ID_NOT_FOUND` for one that
    /// does not exist or is of yet another kind.
    pub async fn describe_groups<N: AsRef<str>>(
        &self,
        groups: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<GroupDescription>>> {
        let groups = groups.into_iter().map(|group| group.as_ref().into());
        let deadline = self.calls.deadline();
        let outcomes = each(groups.collect(), |group: Arc<str>| {
            let admin = self.clone();
            async move { admin.describe_until(deadline, &group).await }
        })
        .await;
        unless_nobody_answered(outcomes)
    }

    /// Describes one group: see [`describe_groups`](Self::describe_groups).
    ///
    /// # Errors
    /// When no broker could be asked, or it refused, such as with `GROUP_ID_NOT_FOUND`.
    pub async fn describe_group(&self, group: impl AsRef<str>) -> Result<GroupDescription> {
        let group = group.as_ref().into();
        self.describe_until(self.calls.deadline(), &group).await
    }

    async fn describe_until(
        &self,
        deadline: Instant,
        group: &Arc<str>,
    ) -> Result<GroupDescription> {
        let groups = || vec![Arc::clone(group)];
        let absent = match self.describe_classic(deadline, group).await {
            Err(error) if is_absent(&error) => error,
            described => return described,
        };
        let operations = self.operations;
        let call = ConsumerGroupDescribe {
            groups: groups(),
            operations,
        };
        let kind = GroupKind::Consumer;
        match self.describe_by(deadline, group, &call, kind).await {
            Err(error) if is_absent(&error) => {}
            described => return described,
        }
        let call = ShareGroupDescribe {
            groups: groups(),
            operations,
        };
        let kind = GroupKind::Share;
        match self.describe_by(deadline, group, &call, kind).await {
            Err(error) if is_absent(&error) => Err(absent),
            described => described,
        }
    }

    async fn describe_classic(
        &self,
        deadline: Instant,
        group: &Arc<str>,
    ) -> Result<GroupDescription> {
        let context = || format!("describing group {group}");
        let call = DescribeGroups {
            groups: vec![Arc::clone(group)],
            operations: self.operations,
        };
        let mut answer = self
            .at_coordinator(deadline, WHAT, group, &call, |answer| {
                let told = answer.groups.first();
                told.map_or(Ok(()), |told| {
                    refusal(told.code, told.message.as_ref(), context)
                })
            })
            .await?;
        let told = answer.groups.pop().ok_or_else(|| unanswered(context()))?;
        describe(told).ok_or_else(|| Error::broker(ErrorCode::GROUP_ID_NOT_FOUND, None, context()))
    }

    async fn describe_by<C: Call<Response = ModernGroups>>(
        &self,
        deadline: Instant,
        group: &Arc<str>,
        call: &C,
        kind: GroupKind,
    ) -> Result<GroupDescription> {
        let context = || format!("describing group {group}");
        let mut answer = self
            .at_coordinator(deadline, WHAT, group, call, |answer| {
                let told = answer.groups.first();
                told.map_or(Ok(()), |told| {
                    refusal(told.code, told.message.as_ref(), context)
                })
            })
            .await?;
        let told = answer.groups.pop().ok_or_else(|| unanswered(context()))?;
        Ok(describe_modern(told, kind))
    }
}

/// Whether the broker has no such group of the kind that was asked for, or no such kind.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::Unsupported { .. } => true,
        error => matches!(
            error.broker_code(),
            Some(ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION)
        ),
    }
}

fn describe_modern(told: ModernGroup, kind: GroupKind) -> GroupDescription {
    let is_share = kind == GroupKind::Share;
    let mut members: Vec<_> = told.members.into_iter().map(modern_member).collect();
    sort(&mut members);
    GroupDescription {
        group: told.group,
        kind,
        state: GroupState::of(&told.state),
        protocol_type: if is_share { SHARERS } else { CONSUMERS }.into(),
        assignor: Some(told.assignor).filter(|name| !name.is_empty()),
        members,
        authorized_operations: authorized(told.operations),
    }
}

fn modern_member(member: ModernMember) -> MemberDescription {
    let mut topics = member.topics;
    topics.sort();
    let partitions = member.assignment.into_iter().flat_map(|(topic, numbers)| {
        let of = move |number| TopicPartition::new(Arc::clone(&topic), number);
        numbers.into_iter().map(of)
    });
    let mut assignment: Vec<_> = partitions.collect();
    assignment.sort();
    MemberDescription {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.host,
        topics: Some(topics),
        topic_regex: member.regex.filter(|regex| !regex.is_empty()),
        assignment: Some(assignment),
    }
}

fn sort(members: &mut [MemberDescription]) {
    members.sort_by(|a, b| (&a.client_id, &a.member_id).cmp(&(&b.client_id, &b.member_id)));
}

/// `None` for a group that does not exist, which brokers before Kafka 4.0 describe as a dead one.
fn describe(told: DescribedGroup) -> Option<GroupDescription> {
    let state = GroupState::of(&told.state);
    if state == GroupState::Dead && told.members.is_empty() {
        return None;
    }
    let consumers = &*told.protocol_type == CONSUMERS;
    let mut members: Vec<_> = told
        .members
        .into_iter()
        .map(|member| describe_member(member, consumers))
        .collect();
    sort(&mut members);
    Some(GroupDescription {
        group: told.group,
        kind: GroupKind::Classic,
        state,
        protocol_type: told.protocol_type,
        assignor: Some(told.protocol).filter(|name| !name.is_empty()),
        members,
        authorized_operations: authorized(told.operations),
    })
}

fn describe_member(member: DescribedMember, consumers: bool) -> MemberDescription {
    let topics = || {
        let read = Subscription::decode(member.subscription).ok()?;
        Some(read.topics)
    };
    let assignment = || {
        // Until the leader has shared the partitions out there are no bytes.
        if member.assignment.is_empty() {
            return Some(Vec::new());
        }
        Some(Assignment::decode(member.assignment).ok()?.partitions)
    };
    MemberDescription {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.host,
        topics: consumers.then(topics).flatten(),
        topic_regex: None,
        assignment: consumers.then(assignment).flatten(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::admin::AclOperation;

    fn member(id: &str, subscription: Bytes, assignment: Bytes) -> DescribedMember {
        DescribedMember {
            member_id: id.into(),
            instance_id: None,
            client_id: "c".into(),
            host: "/h".into(),
            subscription,
            assignment,
        }
    }

    fn group(state: &str, protocol_type: &str, members: Vec<DescribedMember>) -> DescribedGroup {
        DescribedGroup {
            code: ErrorCode::NONE,
            message: None,
            group: "g".into(),
            state: state.into(),
            protocol_type: protocol_type.into(),
            protocol: "range".into(),
            members,
            operations: i32::MIN,
        }
    }

    #[test]
    fn what_a_member_wrote_that_cannot_be_read_costs_nothing_else() {
        let partitions = vec![TopicPartition::new("t", 0), TopicPartition::new("t", 2)];
        let subscription = Subscription {
            topics: vec!["t".into()],
            ..Subscription::default()
        };
        let assignment = Assignment {
            partitions: partitions.clone(),
        };
        let garbage = Bytes::from_static(b"\x00\x01garbage");
        let members = vec![
            member("b", subscription.encode(), garbage.clone()),
            member("a", subscription.encode(), assignment.encode()),
            member("c", garbage, Bytes::new()),
        ];
        let described = describe(group("Stable", "consumer", members.clone())).unwrap();
        assert_eq!(described.state, GroupState::Stable);
        let told: Vec<_> = described
            .members
            .iter()
            .map(|m| (&*m.member_id, m.topics.clone(), m.assignment.clone()))
            .collect();
        let topics = Some(vec!["t".into()]);
        let expected = [
            ("a", topics.clone(), Some(partitions)),
            ("b", topics, None),
            ("c", None, Some(vec![])),
        ];
        assert_eq!(told, expected);
        // Others' bytes are not tried.
        let described = describe(group("Stable", "connect", members)).unwrap();
        assert!(described.members.iter().all(|m| m.assignment.is_none()));
    }

    #[test]
    fn a_dead_group_is_none_and_a_state_that_is_not_known_is_shown_as_that() {
        assert_eq!(describe(group("Dead", "", vec![])), None);
        let described = describe(group("Sleeping", "consumer", vec![])).unwrap();
        assert_eq!(described.state, GroupState::Other);
    }

    #[test]
    fn a_group_of_the_newer_protocol_tells_its_members_by_name_and_their_partitions_in_order() {
        let member = |id: &str, assignment| ModernMember {
            member_id: id.into(),
            instance_id: None,
            client_id: "c".into(),
            host: "/h".into(),
            topics: vec!["u".into(), "t".into()],
            regex: Some("t.*".into()),
            assignment,
        };
        let assignment = vec![("u".into(), vec![1]), ("t".into(), vec![2, 0])];
        let told = ModernGroup {
            code: ErrorCode::NONE,
            message: None,
            group: "g".into(),
            state: "Reconciling".into(),
            assignor: "uniform".into(),
            members: vec![member("b", assignment), member("a", vec![])],
            operations: 1 << 3,
        };
        let described = describe_modern(told, GroupKind::Consumer);
        assert_eq!(described.kind, GroupKind::Consumer);
        let may = Some(vec![AclOperation::Read]);
        assert_eq!(described.authorized_operations, may);
        assert_eq!(described.state, GroupState::Reconciling);
        assert_eq!(&*described.protocol_type, "consumer");
        let [a, b] = &described.members[..] else {
            panic!("{described:?}");
        };
        assert_eq!((&*a.member_id, &a.assignment), ("a", &Some(vec![])));
        assert_eq!(a.topics, Some(vec!["t".into(), "u".into()]));
        let of = TopicPartition::new;
        assert_eq!(b.assignment, Some(vec![of("t", 0), of("t", 2), of("u", 1)]));
    }
}
