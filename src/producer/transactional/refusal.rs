//! What a refused call of a transaction is told as, with what to change where that is known.

use crate::error::{Error, ErrorCode};
use crate::machine::transaction::TxnCall;
use crate::types::TopicPartition;

/// The refusal of a call, or of its part about a partition.
pub(super) fn refused(
    call: TxnCall,
    code: ErrorCode,
    of: Option<&TopicPartition>,
    transactional_id: &str,
) -> Error {
    let what = match call {
        TxnCall::Find => "finding the coordinator",
        TxnCall::FindGroup => "finding the group's coordinator",
        TxnCall::InitProducerId => "beginning as the producer",
        TxnCall::AddPartitions => "adding partitions to the transaction",
        TxnCall::AddOffsets => "adding a group to the transaction",
        TxnCall::CommitOffsets => "adding offsets to the transaction",
        TxnCall::EndTxn => "ending the transaction",
    };
    let context = match of {
        Some(partition) => format!("{what} of transactional.id {transactional_id}: {partition}"),
        None => format!("{what} of transactional.id {transactional_id}"),
    };
    let error = Error::broker(code, None, context);
    match advice(call, code, of, transactional_id) {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

fn advice(
    call: TxnCall,
    code: ErrorCode,
    of: Option<&TopicPartition>,
    transactional_id: &str,
) -> Option<String> {
    use ErrorCode as E;
    Some(match code {
        E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => format!(
            "grant this client's principal the operation Write on the transactional id {transactional_id}"
        ),
        E::INVALID_TRANSACTION_TIMEOUT => {
            "lower transaction.timeout.ms, or raise the brokers' transaction.max.timeout.ms"
                .to_owned()
        }
        E::GROUP_AUTHORIZATION_FAILED => {
            "grant this client's principal the operation Read on the group".to_owned()
        }
        E::TOPIC_AUTHORIZATION_FAILED => {
            let operation = if call == TxnCall::CommitOffsets { "Read" } else { "Write" };
            let topic = of.map_or_else(String::new, |of| format!(" {}", of.topic()));
            format!("grant this client's principal the operation {operation} on the topic{topic}")
        }
        E::UNKNOWN_MEMBER_ID | E::ILLEGAL_GENERATION | E::FENCED_INSTANCE_ID
        | E::STALE_MEMBER_EPOCH | E::REBALANCE_IN_PROGRESS => {
            "the group has gone on without the member: abort, and read again from the committed offsets"
                .to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_asked_of_which_id_and_what_to_change() {
        let topic = TopicPartition::new("t", 3);
        let table = [
            (
                TxnCall::InitProducerId,
                ErrorCode::INVALID_TRANSACTION_TIMEOUT,
                None,
                "beginning as the producer of transactional.id p: INVALID_TRANSACTION_TIMEOUT: lower transaction.timeout.ms, \
                 or raise the brokers' transaction.max.timeout.ms",
            ),
            (
                TxnCall::AddPartitions,
                ErrorCode::TOPIC_AUTHORIZATION_FAILED,
                Some(&topic),
                "adding partitions to the transaction of transactional.id p: t-3: TOPIC_AUTHORIZATION_FAILED: grant this \
                 client's principal the operation Write on the topic t",
            ),
            (
                TxnCall::EndTxn,
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                None,
                "ending the transaction of transactional.id p: TRANSACTIONAL_ID_AUTHORIZATION_FAILED: grant this client's \
                 principal the operation Write on the transactional id p",
            ),
            (
                TxnCall::EndTxn,
                ErrorCode::NOT_COORDINATOR,
                None,
                "ending the transaction of transactional.id p: NOT_COORDINATOR",
            ),
        ];
        for (call, code, of, expected) in table {
            assert_eq!(refused(call, code, of, "p").to_string(), expected);
        }
    }
}
