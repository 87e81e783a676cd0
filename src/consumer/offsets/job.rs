//! A commit that is being made: what is left of it after each answer.

use tracing::debug;

use super::commits::{Commit, Commits, Manner};
use super::turns::UnderWay;
use super::verdict::{CommitVerdict, verdict};
use crate::error::{Error, ErrorCode};
use crate::machine::topology::Topology;
use crate::types::{TopicId, TopicPartition};
use crate::wire::{CommitPartition, OffsetCommitAnswer};

/// A commit that is being made.
pub(super) struct Job<'a> {
    pub(super) under_way: UnderWay<'a>,
    pub(super) left: Commits,
    pub(super) committed: Commits,
    /// The error of one that is of a topic which is gone.
    pub(super) outdated: Option<Error>,
    pub(super) manner: Manner,
}

impl Job<'_> {
    /// Leaves out what a later commit has made needless, and what is of a topic whose name another one has by now.
    pub(super) fn leave_out(&mut self, topology: &Topology) {
        self.under_way.leave_out_overtaken(&mut self.left);
        let outdated = &mut self.outdated;
        self.left.retain(|(partition, commit)| {
            let is_outdated = is_outdated(topology, partition, commit);
            if is_outdated {
                debug!(%partition, "its topic was made anew: the offset is not committed");
                outdated.get_or_insert_with(|| recreated(partition));
            }
            !is_outdated
        });
    }

    /// What is left of topics with or without an id.
    pub(super) fn part(&self, has_id: bool) -> Commits {
        let part = self.left.iter();
        let part = part.filter(|(_, commit)| commit.topic_id.is_zero() != has_id);
        part.cloned().collect()
    }

    /// Takes an answer in; the code that decides of those that are still left.
    pub(super) fn take_in(
        &mut self,
        part: &Commits,
        answer: &OffsetCommitAnswer,
    ) -> Option<ErrorCode> {
        let codes = answer.codes();
        let code_of = |partition: &TopicPartition, commit: &Commit| {
            let told = codes.of(partition, commit.topic_id);
            told.unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)
        };
        let (committed, under_way) = (&mut self.committed, &self.under_way);
        let has_id = part
            .first()
            .is_some_and(|(_, commit)| !commit.topic_id.is_zero());
        let mut worst = None;
        self.left.retain(|(partition, commit)| {
            if commit.topic_id.is_zero() == has_id {
                return true;
            }
            let code = code_of(partition, commit);
            match verdict(code) {
                CommitVerdict::Done => {
                    under_way.made(partition);
                    committed.push((partition.clone(), commit.clone()));
                    false
                }
                CommitVerdict::Absent if self.manner != Manner::Asked => {
                    debug!(%partition, %code, "the offset is not committed");
                    false
                }
                verdict => {
                    worst = worst.filter(|other| weight(self::verdict(*other)) >= weight(verdict));
                    worst.get_or_insert(code);
                    true
                }
            }
        });
        worst
    }
}

/// Whether the topic that was read is another one than the one that has its name.
pub(super) fn is_outdated(
    topology: &Topology,
    partition: &TopicPartition,
    commit: &Commit,
) -> bool {
    let known = topology.topics.get(partition.topic());
    let known = known.map_or(TopicId::ZERO, |topic| topic.id);
    known.is_other(commit.topic_id)
}

pub(super) fn recreated(partition: &TopicPartition) -> Error {
    Error::TopicRecreated {
        partition: partition.clone(),
    }
}

/// Of several partitions' codes the one that decides.
pub(super) fn weight(verdict: CommitVerdict) -> u8 {
    match verdict {
        CommitVerdict::Done => 0,
        CommitVerdict::Absent => 1,
        CommitVerdict::Retry => 2,
        CommitVerdict::Find => 3,
        CommitVerdict::Fail => 4,
        CommitVerdict::Rebalancing => 5,
        CommitVerdict::Fenced => 6,
    }
}

/// By topic and partition.
pub(super) fn lines(
    offsets: &Commits,
) -> impl Iterator<Item = (&TopicPartition, TopicId, CommitPartition)> {
    let mut sorted: Vec<_> = offsets.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.into_iter().map(|(partition, commit)| {
        let line = CommitPartition {
            partition: partition.partition(),
            offset: commit.offset.offset,
            leader_epoch: commit.offset.leader_epoch.unwrap_or(-1),
            metadata: commit.offset.metadata.clone(),
        };
        (partition, commit.topic_id, line)
    })
}
