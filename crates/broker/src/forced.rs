//! Errors that a test wants instead of answers, and the parts of requests that they are for.

use crate::wire::{ErrorCode, Name};

/// An error that a test wants instead of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Forced {
    pub(crate) code: ErrorCode,
    /// Only for this topic's part of the request.
    pub(crate) topic: Option<Name>,
    /// Only for this partition's part of the request.
    pub(crate) partition: Option<i32>,
    /// Only for this group's part of the request.
    pub(crate) group: Option<Name>,
    /// Only for this transactional id's part of the request.
    pub(crate) transactional_id: Option<Name>,
    /// The request does its work all the same.
    pub(crate) takes_effect: bool,
}

/// A part of a request, as far as it has a name: what it leaves open is the whole request's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part<'a> {
    pub(crate) topic: Option<&'a str>,
    pub(crate) partition: Option<i32>,
    pub(crate) group: Option<&'a str>,
    pub(crate) transactional_id: Option<&'a str>,
}

impl Forced {
    pub(crate) fn is_about(&self, part: Part<'_>) -> bool {
        let same = |wanted: &Option<Name>, name: Option<&str>| match (wanted, name) {
            (Some(wanted), Some(name)) => **wanted == *name,
            _ => true,
        };
        let same_partition = match (self.partition, part.partition) {
            (Some(wanted), Some(partition)) => wanted == partition,
            _ => true,
        };
        same(&self.topic, part.topic)
            && same(&self.group, part.group)
            && same(&self.transactional_id, part.transactional_id)
            && same_partition
    }

    /// Whether it is for the request as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.topic.is_none()
            && self.partition.is_none()
            && self.group.is_none()
            && self.transactional_id.is_none()
    }

    /// Whether nothing is left for another one to happen to.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.topic.is_none() || self.topic == other.topic)
            && (self.partition.is_none() || self.partition == other.partition)
            && (self.group.is_none() || self.group == other.group)
            && (self.transactional_id.is_none() || self.transactional_id == other.transactional_id)
    }
}
