//! The offsets that a commit names, and how each is answered, inside of a transaction and outside.

use super::At;
use super::groups::code;
use crate::state::groups::Committed;
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// Topics with their partitions' offsets.
pub(super) struct CommittedTopics(Vec<(Name, Vec<(i32, Committed)>)>);

impl CommittedTopics {
    /// `epochs_since` is the call's first version with leader epochs.
    pub(super) fn read(r: &mut Reader, epochs_since: i16) -> Result<Self, Malformed> {
        let topics = r.array(|r| {
            let name = r.string()?;
            let partitions = r.array(|r| {
                let partition = r.i32()?;
                let committed = Committed {
                    offset: r.i64()?,
                    leader_epoch: if r.version >= epochs_since {
                        r.i32()?
                    } else {
                        -1
                    },
                    metadata: r.nullable_string()?.unwrap_or_else(|| "".into()),
                };
                r.tagged((partition, committed))
            })?;
            r.tagged((name, partitions))
        })?;
        Ok(Self(topics))
    }

    /// What the call is about.
    pub(super) fn partitions(&self) -> Vec<(Name, Option<i32>)> {
        let topics = self.0.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |(partition, _)| (name.clone(), Some(*partition)))
        });
        topics.collect()
    }

    /// Commits each, unless the call as a whole is not `allowed`, and writes what became of it.
    pub(super) fn answer(
        &self,
        at: &mut At<'_>,
        out: &mut Writer,
        allowed: Result<(), ErrorCode>,
        commit: impl Fn(&mut At<'_>, &Name, i32, Committed) -> Result<(), ErrorCode>,
    ) {
        out.array(&self.0, |out, (name, partitions)| {
            out.string(name);
            out.array(partitions, |out, (partition, committed)| {
                let result = at.part(Some(name), Some(*partition), |at| {
                    allowed?;
                    at.state.topics.partition(name, *partition)?;
                    commit(at, name, *partition, committed.clone())
                });
                out.i32(*partition);
                out.code(code(&result));
                out.tags();
            });
            out.tags();
        });
        out.tags();
    }
}
