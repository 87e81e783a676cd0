//! A group's broken promises.

use std::fmt;
use std::time::Duration;

use crate::faults::checker::{Read, Sent};

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A member was handed a record that is not the next one: records were skipped, or it went back.
    Moved {
        member: usize,
        partition: i32,
        expected: i64,
        offset: i64,
    },
    /// A member was handed a record of a partition that is not its own.
    Stale {
        member: usize,
        partition: i32,
        offset: i64,
    },
    /// A partition was given up by a member that did not have it.
    NotOwned { member: usize, partition: i32 },
    /// Two members had a partition at the same time, and the first was never told that it had lost it.
    Shared {
        partition: i32,
        first: usize,
        second: usize,
    },
    /// Records were handed out again though the first member had given them up properly.
    Repeated {
        partition: i32,
        from: i64,
        to: i64,
        first: usize,
        second: usize,
    },
    /// The group has committed an offset behind a record that nobody was handed.
    CommittedTooFar {
        partition: i32,
        offset: i64,
        handed: i64,
    },
    /// A partition that stayed where it was had no records for too long.
    Interrupted {
        member: usize,
        partition: i32,
        silence: Duration,
    },
    /// A partition was taken from a member only to be given back.
    TakenForNothing { member: usize, partition: i32 },
    /// A record in the log that nobody was handed.
    Missed(Read),
    /// A record that was handed out with other bytes than the log's.
    Altered(Read, Option<u64>),
    /// An acknowledged record that nobody was handed.
    Lost(Sent),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved {
                member,
                partition,
                expected,
                offset,
            } => write!(
                f,
                "member {member} was handed {partition}@{offset} where {expected} was next"
            ),
            Self::Stale {
                member,
                partition,
                offset,
            } => write!(
                f,
                "member {member} was handed {partition}@{offset}, which is not its partition"
            ),
            Self::NotOwned { member, partition } => {
                write!(f, "member {member} gave up {partition}, which it had not")
            }
            Self::Shared {
                partition,
                first,
                second,
            } => write!(
                f,
                "partition {partition} was given to member {second} while member {first} had it"
            ),
            Self::Repeated {
                partition,
                from,
                to,
                first,
                second,
            } => write!(
                f,
                "{partition}@{from}..{to} went to member {second} though member {first} was done with it"
            ),
            Self::CommittedTooFar {
                partition,
                offset,
                handed,
            } => write!(
                f,
                "{partition}@{offset} was committed, handed out up to {handed}"
            ),
            Self::Interrupted {
                member,
                partition,
                silence,
            } => write!(
                f,
                "partition {partition} stayed with member {member} and had nothing for {silence:.1?}"
            ),
            Self::TakenForNothing { member, partition } => write!(
                f,
                "partition {partition} was taken from member {member} and given back"
            ),
            Self::Missed(read) => write!(f, "nobody was handed {read:?}"),
            Self::Altered(read, id) => write!(f, "{read:?} was handed out as {id:?}"),
            Self::Lost(sent) => write!(f, "LOST: nobody was handed {sent:?}"),
        }
    }
}
