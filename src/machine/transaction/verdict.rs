//! What the answer to each call of a transaction means: the one place that decides it.

use crate::error::ErrorCode;

/// A call about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxnCall {
    /// FindCoordinator, for the transactional id.
    Find,
    /// FindCoordinator, for a group whose offsets are part of the transaction.
    FindGroup,
    InitProducerId,
    AddPartitions,
    AddOffsets,
    CommitOffsets,
    EndTxn,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxnVerdict {
    /// It was done.
    Done,
    /// Ask again: nothing was done.
    Retry,
    /// The same, after looking for the coordinator anew.
    Find,
    /// The same, soon: the transaction before is being ended.
    Concurrent,
    /// The transaction is lost; the producer goes on with the next one.
    Abort,
    /// The same, and the coordinator knows nothing of the producer: there is nothing to end, and another epoch to get.
    Forgotten,
    /// No transaction is open that could be ended so: none is to be aborted.
    NotOpen,
    /// Another producer has the transactional id, or the coordinator has ended the transaction by itself.
    Fenced,
    /// Nothing more can be done with this producer.
    Fatal,
}

impl TxnVerdict {
    /// How much it outweighs the verdicts on other parts of the same answer.
    fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Retry => 1,
            Self::Concurrent => 2,
            Self::Find => 3,
            Self::Abort => 4,
            Self::Forgotten => 5,
            Self::NotOpen => 6,
            Self::Fatal => 7,
            Self::Fenced => 8,
        }
    }

    /// The graver one.
    pub(crate) fn and(self, other: Self) -> Self {
        if other.weight() > self.weight() {
            other
        } else {
            self
        }
    }
}

/// Decides what a code means. Kafka: the `handleResponse` methods of `TransactionManager`.
pub(crate) fn verdict(call: TxnCall, code: ErrorCode) -> TxnVerdict {
    use ErrorCode as E;
    use TxnCall as C;
    match (code, call) {
        (E::NONE, _) => TxnVerdict::Done,

        (E::NOT_COORDINATOR | E::COORDINATOR_NOT_AVAILABLE, C::Find | C::FindGroup) => {
            TxnVerdict::Retry
        }
        (E::NOT_COORDINATOR | E::COORDINATOR_NOT_AVAILABLE, _)
        | (E::REQUEST_TIMED_OUT, C::CommitOffsets) => TxnVerdict::Find,
        (E::CONCURRENT_TRANSACTIONS, _) => TxnVerdict::Concurrent,
        // Told of partitions beside those that were refused.
        (E::OPERATION_NOT_ATTEMPTED, C::AddPartitions) => TxnVerdict::Retry,

        // A code of produce answers, where it aborts; a coordinator means by it what PRODUCER_FENCED says.
        (E::PRODUCER_FENCED | E::INVALID_PRODUCER_EPOCH, _) => TxnVerdict::Fenced,
        (E::UNKNOWN_PRODUCER_ID | E::INVALID_PRODUCER_ID_MAPPING, C::InitProducerId) => {
            TxnVerdict::Fatal
        }
        (E::INVALID_PRODUCER_ID_MAPPING, _) => TxnVerdict::Forgotten,
        (E::UNKNOWN_PRODUCER_ID | E::TRANSACTION_ABORTABLE, _) => TxnVerdict::Abort,
        (E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED | E::CLUSTER_AUTHORIZATION_FAILED, _) => {
            TxnVerdict::Fatal
        }
        (E::GROUP_AUTHORIZATION_FAILED, C::FindGroup | C::AddOffsets | C::CommitOffsets)
        | (E::TOPIC_AUTHORIZATION_FAILED, C::AddPartitions | C::CommitOffsets) => TxnVerdict::Abort,
        // The member is not what it was when its records were read: another one may have read them since.
        (
            E::UNKNOWN_MEMBER_ID
            | E::ILLEGAL_GENERATION
            | E::FENCED_INSTANCE_ID
            | E::STALE_MEMBER_EPOCH
            | E::REBALANCE_IN_PROGRESS,
            C::CommitOffsets,
        ) => TxnVerdict::Abort,
        // Of these offsets alone.
        (
            E::OFFSET_METADATA_TOO_LARGE | E::INVALID_COMMIT_OFFSET_SIZE | E::INVALID_GROUP_ID,
            C::AddOffsets | C::CommitOffsets,
        ) => TxnVerdict::Abort,

        (code, _) if code.is_retriable() => TxnVerdict::Retry,
        // Of these partitions alone, such as a topic that is gone.
        (E::INVALID_TXN_STATE, C::EndTxn) => TxnVerdict::NotOpen,
        (E::INVALID_TXN_STATE, _) => TxnVerdict::Fatal,
        (_, C::AddPartitions) => TxnVerdict::Abort,
        _ => TxnVerdict::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: [TxnCall; 7] = [
        TxnCall::Find,
        TxnCall::FindGroup,
        TxnCall::InitProducerId,
        TxnCall::AddPartitions,
        TxnCall::AddOffsets,
        TxnCall::CommitOffsets,
        TxnCall::EndTxn,
    ];

    #[test]
    fn every_code_of_every_call_has_the_verdict_of_the_table() {
        use ErrorCode as E;
        use TxnVerdict::{Abort, Concurrent, Done, Fatal, Fenced, Find, Forgotten, NotOpen, Retry};
        // In the order of `CALLS`.
        let table = [
            (E::NONE, [Done; 7]),
            (
                E::NOT_COORDINATOR,
                [Retry, Retry, Find, Find, Find, Find, Find],
            ),
            (
                E::COORDINATOR_NOT_AVAILABLE,
                [Retry, Retry, Find, Find, Find, Find, Find],
            ),
            (E::COORDINATOR_LOAD_IN_PROGRESS, [Retry; 7]),
            (
                E::REQUEST_TIMED_OUT,
                [Retry, Retry, Retry, Retry, Retry, Find, Retry],
            ),
            (E::NOT_ENOUGH_REPLICAS, [Retry; 7]),
            (E::UNKNOWN_TOPIC_OR_PARTITION, [Retry; 7]),
            (E::CONCURRENT_TRANSACTIONS, [Concurrent; 7]),
            (
                E::OPERATION_NOT_ATTEMPTED,
                [Fatal, Fatal, Fatal, Retry, Fatal, Fatal, Fatal],
            ),
            (E::PRODUCER_FENCED, [Fenced; 7]),
            (E::INVALID_PRODUCER_EPOCH, [Fenced; 7]),
            (
                E::INVALID_PRODUCER_ID_MAPPING,
                [
                    Forgotten, Forgotten, Fatal, Forgotten, Forgotten, Forgotten, Forgotten,
                ],
            ),
            (
                E::UNKNOWN_PRODUCER_ID,
                [Abort, Abort, Fatal, Abort, Abort, Abort, Abort],
            ),
            (E::TRANSACTION_ABORTABLE, [Abort; 7]),
            (E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, [Fatal; 7]),
            (E::CLUSTER_AUTHORIZATION_FAILED, [Fatal; 7]),
            (
                E::GROUP_AUTHORIZATION_FAILED,
                [Fatal, Abort, Fatal, Abort, Abort, Abort, Fatal],
            ),
            (
                E::TOPIC_AUTHORIZATION_FAILED,
                [Fatal, Fatal, Fatal, Abort, Fatal, Abort, Fatal],
            ),
            (
                E::ILLEGAL_GENERATION,
                [Fatal, Fatal, Fatal, Abort, Fatal, Abort, Fatal],
            ),
            (
                E::UNKNOWN_MEMBER_ID,
                [Fatal, Fatal, Fatal, Abort, Fatal, Abort, Fatal],
            ),
            (
                E::FENCED_INSTANCE_ID,
                [Fatal, Fatal, Fatal, Abort, Fatal, Abort, Fatal],
            ),
            (
                E::REBALANCE_IN_PROGRESS,
                [Fatal, Fatal, Fatal, Abort, Fatal, Abort, Fatal],
            ),
            (
                E::OFFSET_METADATA_TOO_LARGE,
                [Fatal, Fatal, Fatal, Abort, Abort, Abort, Fatal],
            ),
            (
                E::INVALID_TXN_STATE,
                [Fatal, Fatal, Fatal, Fatal, Fatal, Fatal, NotOpen],
            ),
            (
                E::INVALID_TOPIC_EXCEPTION,
                [Fatal, Fatal, Fatal, Abort, Fatal, Fatal, Fatal],
            ),
            (
                E::UNKNOWN_SERVER_ERROR,
                [Fatal, Fatal, Fatal, Abort, Fatal, Fatal, Fatal],
            ),
            (
                E::INVALID_TRANSACTION_TIMEOUT,
                [Fatal, Fatal, Fatal, Abort, Fatal, Fatal, Fatal],
            ),
        ];
        for (code, expected) in table {
            let decided = CALLS.map(|call| verdict(call, code));
            assert_eq!(decided, expected, "{code}");
        }
    }

    #[test]
    fn nothing_but_success_counts_as_done() {
        for code in (-1..=200).map(ErrorCode::new) {
            for call in CALLS {
                let is_done = verdict(call, code) == TxnVerdict::Done;
                assert_eq!(is_done, code.is_none(), "{call:?} {code}");
            }
        }
    }

    #[test]
    fn the_gravest_of_several_verdicts_counts_in_whatever_order_they_come() {
        let all = [
            TxnVerdict::Done,
            TxnVerdict::Retry,
            TxnVerdict::Concurrent,
            TxnVerdict::Find,
            TxnVerdict::Abort,
            TxnVerdict::Forgotten,
            TxnVerdict::NotOpen,
            TxnVerdict::Fatal,
            TxnVerdict::Fenced,
        ];
        for (n, graver) in all.iter().enumerate() {
            for lighter in &all[..=n] {
                assert_eq!(lighter.and(*graver), *graver);
                assert_eq!(graver.and(*lighter), *graver);
            }
        }
    }
}
