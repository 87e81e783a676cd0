//! What the code of a committed or fetched offset means: the one place that decides it.

use crate::error::ErrorCode;

/// What to do about one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitVerdict {
    Done,
    /// The same again, after a while.
    Retry,
    /// As `Retry`; of a topic that may be deleted, which is no reason to wait when nobody asked for the commit.
    Absent,
    /// Another broker is the coordinator: find it, then the same again.
    Find,
    /// The group is between two generations: the member joins again and may then commit.
    Rebalancing,
    /// The member is none of the generation that it commits for.
    Fenced,
    Fail,
}

pub(super) fn verdict(code: ErrorCode) -> CommitVerdict {
    use ErrorCode as E;
    match code {
        E::NONE => CommitVerdict::Done,
        E::NOT_COORDINATOR
        | E::COORDINATOR_NOT_AVAILABLE
        | E::REQUEST_TIMED_OUT
        | E::NETWORK_EXCEPTION
        | E::BROKER_NOT_AVAILABLE => CommitVerdict::Find,
        E::UNKNOWN_TOPIC_OR_PARTITION | E::UNKNOWN_TOPIC_ID => CommitVerdict::Absent,
        E::REBALANCE_IN_PROGRESS => CommitVerdict::Rebalancing,
        E::UNKNOWN_MEMBER_ID | E::ILLEGAL_GENERATION | E::FENCED_INSTANCE_ID => {
            CommitVerdict::Fenced
        }
        code if code.is_retriable() => CommitVerdict::Retry,
        _ => CommitVerdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_the_verdict_of_the_table() {
        use CommitVerdict as V;
        use ErrorCode as E;
        let table = [
            (E::NONE, V::Done),
            (E::NOT_COORDINATOR, V::Find),
            (E::COORDINATOR_NOT_AVAILABLE, V::Find),
            (E::REQUEST_TIMED_OUT, V::Find),
            (E::NETWORK_EXCEPTION, V::Find),
            (E::BROKER_NOT_AVAILABLE, V::Find),
            (E::COORDINATOR_LOAD_IN_PROGRESS, V::Retry),
            (E::UNSTABLE_OFFSET_COMMIT, V::Retry),
            (E::NOT_ENOUGH_REPLICAS, V::Retry),
            (E::UNKNOWN_TOPIC_OR_PARTITION, V::Absent),
            (E::UNKNOWN_TOPIC_ID, V::Absent),
            (E::REBALANCE_IN_PROGRESS, V::Rebalancing),
            (E::UNKNOWN_MEMBER_ID, V::Fenced),
            (E::ILLEGAL_GENERATION, V::Fenced),
            (E::FENCED_INSTANCE_ID, V::Fenced),
            (E::OFFSET_METADATA_TOO_LARGE, V::Fail),
            (E::INVALID_COMMIT_OFFSET_SIZE, V::Fail),
            (E::GROUP_AUTHORIZATION_FAILED, V::Fail),
            (E::TOPIC_AUTHORIZATION_FAILED, V::Fail),
            (E::INVALID_GROUP_ID, V::Fail),
            (E::UNKNOWN_SERVER_ERROR, V::Fail),
            (E::new(9999), V::Fail),
        ];
        for (code, expected) in table {
            assert_eq!(verdict(code), expected, "{code}");
        }
        for code in (-1..=200).map(ErrorCode::new) {
            if table.iter().all(|(listed, _)| *listed != code) {
                let expected = if code.is_retriable() {
                    V::Retry
                } else {
                    V::Fail
                };
                assert_eq!(verdict(code), expected, "{code}");
            }
        }
    }
}
