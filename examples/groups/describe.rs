//! A group's partitions, as `kafka-consumer-groups --describe` tells them.

use std::collections::BTreeMap;

use ottla::{
    Admin, Error, ErrorCode, GroupDescription, GroupKind, GroupState, IsolationLevel, OffsetSpec,
    Result, TopicPartition,
};

use crate::table::{Table, or_dash};

const TITLES: [&str; 9] = [
    "GROUP",
    "TOPIC",
    "PARTITION",
    "CURRENT-OFFSET",
    "LOG-END-OFFSET",
    "LAG",
    "CONSUMER-ID",
    "HOST",
    "CLIENT-ID",
];

/// What was found out about a group.
pub(crate) struct Described {
    group: GroupDescription,
    /// Every partition that a member has, or that something was committed for.
    partitions: BTreeMap<TopicPartition, Progress>,
    /// What could not be found out.
    failures: Vec<Error>,
}

/// How far the group is in a partition.
#[derive(Default)]
struct Progress {
    committed: Option<i64>,
    end: Option<i64>,
    /// The member that has it, by its place in the group's description.
    member: Option<usize>,
}

impl Progress {
    /// Below zero where the log was cut off, or offsets were set by hand.
    fn lag(&self) -> Option<i64> {
        Some(self.end? - self.committed?)
    }
}

impl Described {
    pub(crate) async fn ask(admin: &Admin, group: &str) -> Result<Self> {
        let mut described = Self {
            group: admin.describe_group(group).await?,
            partitions: BTreeMap::new(),
            failures: Vec::new(),
        };
        for (place, member) in described.group.members.iter().enumerate() {
            for partition in member.assignment.iter().flatten() {
                let progress = described.partitions.entry(partition.clone());
                progress.or_default().member = Some(place);
            }
        }
        let has_offsets = described.group.kind != GroupKind::Share;
        let committed = if has_offsets {
            admin.list_group_offsets(group).await?
        } else {
            Vec::new()
        };
        for (partition, committed) in committed {
            let progress = described.partitions.entry(partition).or_default();
            match committed {
                Ok(committed) => progress.committed = Some(committed.offset),
                Err(error) => described.failures.push(error),
            }
        }
        described.ask_ends(admin).await?;
        Ok(described)
    }

    async fn ask_ends(&mut self, admin: &Admin) -> Result<()> {
        let ends = self.partitions.keys();
        let ends = ends.map(|partition| (partition.clone(), OffsetSpec::Latest));
        let ends = admin
            .list_offsets(ends.collect::<Vec<_>>(), IsolationLevel::ReadUncommitted)
            .await?;
        for (progress, end) in self.partitions.values_mut().zip(ends) {
            match end {
                Ok(end) => progress.end = end.offset,
                // Of a topic that was deleted, what was committed is left.
                Err(error)
                    if error.broker_code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {}
                Err(error) => self.failures.push(error),
            }
        }
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// What the table does not tell.
    pub(crate) fn notes(&self) -> Vec<String> {
        let name = &self.group.group;
        let state = match self.group.state {
            GroupState::Stable => None,
            GroupState::Empty => Some(format!("group {name} has no members")),
            state => Some(format!("group {name} is on the move: {state}")),
        };
        let members = self.group.members.iter();
        let idle = members.filter(|member| member.assignment.as_ref().is_some_and(Vec::is_empty));
        let idle = idle.map(|idle| format!("member {} has no partition", idle.member_id));
        let share = (self.group.kind == GroupKind::Share).then(|| {
            format!("group {name} shares records: it acknowledges them one by one, and commits no offsets")
        });
        let failures = self.failures.iter().map(Error::to_string);
        let notes = state.into_iter().chain(share).chain(idle);
        notes.chain(failures).collect()
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(TITLES);
        for (partition, progress) in &self.partitions {
            let place = progress.member;
            let member = place.and_then(|place| self.group.members.get(place));
            table.row([
                self.group.group.to_string(),
                partition.topic().to_owned(),
                partition.partition().to_string(),
                or_dash(progress.committed),
                or_dash(progress.end),
                or_dash(progress.lag()),
                or_dash(member.map(|member| &member.member_id)),
                or_dash(member.map(|member| &member.host)),
                or_dash(member.map(|member| &member.client_id)),
            ]);
        }
        table
    }
}
