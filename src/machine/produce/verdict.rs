//! What the answer for one batch means: the one place that decides it.

use std::sync::Arc;

use super::knowledge::Knowledge;
use crate::error::ErrorCode;

/// A broker's answer for one batch.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    /// The first record's offset, -1 when the broker does not tell.
    pub(crate) base_offset: i64,
    /// The broker's time when the topic uses LogAppendTime, else -1.
    pub(crate) log_append_time: i64,
    /// The records the broker objects to (KIP-467): index in the batch, and why.
    pub(crate) rejected: Vec<(u32, Option<Arc<str>>)>,
}

/// What the queue knows about the batch when its answer comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Whether sequences are in use.
    pub(crate) idempotent: bool,
    /// Whether the batch is one of a transaction.
    pub(crate) transactional: bool,
    /// Whether no batch with an earlier sequence is unresolved.
    pub(crate) head: bool,
    /// Whether the broker has it, as far as is known.
    pub(crate) knowledge: Knowledge,
}

/// What to do with the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProduceVerdict {
    /// It is in the log.
    Ack {
        base_offset: i64,
        log_append_time: i64,
    },
    /// Send it again, same identity and sequence, after the backoff.
    Retry {
        /// The metadata is out of date.
        refresh: bool,
        /// The attempt may have written it.
        unknown: bool,
    },
    /// Send it in smaller batches, for which no retry is charged; a single record fails.
    Split,
    /// Set it aside: what the broker says of the batches after it shows whether it is in the log.
    Doubt,
    /// Restart the partition's sequences under a new epoch, then send it again (KIP-360).
    Restamp,
    /// The records named are refused, the others are sent again without them.
    Drop(Vec<(u32, Option<Arc<str>>)>),
    /// Give it up.
    Fail {
        /// The attempt may have written it.
        unknown: bool,
        /// No later record of this producer can succeed either.
        fatal: bool,
    },
}

/// Decides what an answer means.
pub(crate) fn verdict(answer: &Answer, situation: Situation) -> ProduceVerdict {
    use ErrorCode as E;
    match answer.code {
        E::NONE | E::DUPLICATE_SEQUENCE_NUMBER => ProduceVerdict::Ack {
            base_offset: answer.base_offset,
            log_append_time: answer.log_append_time,
        },

        // Also told of a batch that is in the log, when its partition ceases to be led by the broker
        // while the followers are being waited for.
        E::NOT_LEADER_OR_FOLLOWER | E::UNKNOWN_TOPIC_OR_PARTITION | E::KAFKA_STORAGE_ERROR => {
            ProduceVerdict::Retry {
                refresh: true,
                unknown: true,
            }
        }

        E::FENCED_LEADER_EPOCH
        | E::UNKNOWN_LEADER_EPOCH
        | E::LEADER_NOT_AVAILABLE
        | E::REPLICA_NOT_AVAILABLE
        | E::UNKNOWN_TOPIC_ID
        | E::INCONSISTENT_TOPIC_ID
        | E::BROKER_NOT_AVAILABLE => ProduceVerdict::Retry {
            refresh: true,
            unknown: false,
        },

        // The broker gave up waiting, or the leader has it and too few followers do.
        E::NETWORK_EXCEPTION | E::REQUEST_TIMED_OUT => ProduceVerdict::Retry {
            refresh: true,
            unknown: true,
        },
        E::NOT_ENOUGH_REPLICAS_AFTER_APPEND => ProduceVerdict::Retry {
            refresh: false,
            unknown: true,
        },

        E::MESSAGE_TOO_LARGE | E::RECORD_LIST_TOO_LARGE => ProduceVerdict::Split,

        // The coordinator is still ending the transaction before.
        E::CONCURRENT_TRANSACTIONS if situation.transactional => ProduceVerdict::Retry {
            refresh: false,
            unknown: false,
        },
        E::PRODUCER_FENCED | E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            if situation.transactional =>
        {
            ProduceVerdict::Fail {
                unknown: false,
                fatal: true,
            }
        }
        // Within a transaction no sequence is given out anew: the transaction is lost.
        E::UNKNOWN_PRODUCER_ID | E::INVALID_PRODUCER_EPOCH | E::INVALID_PRODUCER_ID_MAPPING
            if situation.transactional =>
        {
            ProduceVerdict::Fail {
                unknown: false,
                fatal: false,
            }
        }
        E::OUT_OF_ORDER_SEQUENCE_NUMBER
            if situation.transactional
                && situation.head
                && !situation.knowledge.may_be_written() =>
        {
            ProduceVerdict::Fail {
                unknown: false,
                fatal: false,
            }
        }

        // Sequences are restarted only from the head: what stands behind an unresolved batch is out
        // of order merely because that one is not there yet.
        E::OUT_OF_ORDER_SEQUENCE_NUMBER if situation.idempotent && !situation.head => {
            ProduceVerdict::Retry {
                refresh: false,
                unknown: false,
            }
        }
        // What was certainly refused is not in the log, whatever came after it: a broker that forgot the
        // producer meanwhile takes any sequence.
        E::OUT_OF_ORDER_SEQUENCE_NUMBER
            if situation.idempotent && situation.knowledge == Knowledge::Written =>
        {
            ProduceVerdict::Ack {
                base_offset: -1,
                log_append_time: -1,
            }
        }
        // A broker may know no more that it has the batch: one that was restarted remembers each
        // producer's last batch alone, and finds every earlier one out of order.
        E::OUT_OF_ORDER_SEQUENCE_NUMBER
            if situation.idempotent && situation.knowledge.may_be_written() =>
        {
            ProduceVerdict::Doubt
        }
        E::OUT_OF_ORDER_SEQUENCE_NUMBER
        | E::UNKNOWN_PRODUCER_ID
        | E::INVALID_PRODUCER_EPOCH
        | E::PRODUCER_FENCED
        | E::INVALID_PRODUCER_ID_MAPPING
            if situation.idempotent =>
        {
            // Under another sequence a batch that is in the log would be written again.
            if situation.knowledge.may_be_written() {
                ProduceVerdict::Fail {
                    unknown: true,
                    fatal: false,
                }
            } else {
                ProduceVerdict::Restamp
            }
        }

        E::INVALID_RECORD | E::INVALID_TIMESTAMP if !answer.rejected.is_empty() => {
            ProduceVerdict::Drop(answer.rejected.clone())
        }

        E::CLUSTER_AUTHORIZATION_FAILED => ProduceVerdict::Fail {
            unknown: false,
            fatal: true,
        },
        // The broker failed in a way it has no name for: perhaps after the append.
        E::UNKNOWN_SERVER_ERROR => ProduceVerdict::Fail {
            unknown: true,
            fatal: false,
        },

        code if code.is_retriable() => ProduceVerdict::Retry {
            refresh: false,
            unknown: false,
        },
        _ => ProduceVerdict::Fail {
            unknown: false,
            fatal: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(code: ErrorCode, situation: Situation) -> ProduceVerdict {
        let answer = Answer {
            code,
            message: None,
            base_offset: 7,
            log_append_time: -1,
            rejected: vec![],
        };
        verdict(&answer, situation)
    }

    const HEAD: Situation = Situation {
        idempotent: true,
        transactional: false,
        head: true,
        knowledge: Knowledge::NotWritten,
    };
    const UNKNOWN: Situation = Situation {
        knowledge: Knowledge::MaybeWritten,
        ..HEAD
    };
    const WRITTEN: Situation = Situation {
        knowledge: Knowledge::Written,
        ..HEAD
    };
    const REFUSED: Situation = Situation {
        knowledge: Knowledge::PassedOver,
        ..HEAD
    };
    const BEHIND: Situation = Situation {
        head: false,
        ..HEAD
    };
    const PLAIN: Situation = Situation {
        idempotent: false,
        ..HEAD
    };
    const RETRY: ProduceVerdict = ProduceVerdict::Retry {
        refresh: false,
        unknown: false,
    };
    const UNSURE: ProduceVerdict = ProduceVerdict::Retry {
        refresh: true,
        unknown: true,
    };
    const REFRESH: ProduceVerdict = ProduceVerdict::Retry {
        refresh: true,
        unknown: false,
    };
    const FAIL: ProduceVerdict = ProduceVerdict::Fail {
        unknown: false,
        fatal: false,
    };
    const FAIL_UNSURE: ProduceVerdict = ProduceVerdict::Fail {
        unknown: true,
        fatal: false,
    };

    #[test]
    fn every_error_code_has_the_verdict_of_the_table() {
        use ErrorCode as E;
        let ack = ProduceVerdict::Ack {
            base_offset: 7,
            log_append_time: -1,
        };
        let table = [
            (E::NONE, HEAD, ack.clone()),
            (E::DUPLICATE_SEQUENCE_NUMBER, HEAD, ack),
            (E::NOT_LEADER_OR_FOLLOWER, HEAD, UNSURE),
            (E::FENCED_LEADER_EPOCH, HEAD, REFRESH),
            (E::UNKNOWN_LEADER_EPOCH, HEAD, REFRESH),
            (E::LEADER_NOT_AVAILABLE, HEAD, REFRESH),
            (E::UNKNOWN_TOPIC_OR_PARTITION, HEAD, UNSURE),
            (E::UNKNOWN_TOPIC_ID, HEAD, REFRESH),
            (E::KAFKA_STORAGE_ERROR, HEAD, UNSURE),
            (
                E::NETWORK_EXCEPTION,
                HEAD,
                ProduceVerdict::Retry {
                    refresh: true,
                    unknown: true,
                },
            ),
            (
                E::REQUEST_TIMED_OUT,
                HEAD,
                ProduceVerdict::Retry {
                    refresh: true,
                    unknown: true,
                },
            ),
            (
                E::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                HEAD,
                ProduceVerdict::Retry {
                    refresh: false,
                    unknown: true,
                },
            ),
            (E::NOT_ENOUGH_REPLICAS, HEAD, RETRY),
            (E::CORRUPT_MESSAGE, HEAD, RETRY),
            (E::THROTTLING_QUOTA_EXCEEDED, HEAD, RETRY),
            (E::MESSAGE_TOO_LARGE, HEAD, ProduceVerdict::Split),
            (E::RECORD_LIST_TOO_LARGE, PLAIN, ProduceVerdict::Split),
            (E::OUT_OF_ORDER_SEQUENCE_NUMBER, BEHIND, RETRY),
            (
                E::OUT_OF_ORDER_SEQUENCE_NUMBER,
                HEAD,
                ProduceVerdict::Restamp,
            ),
            (
                E::OUT_OF_ORDER_SEQUENCE_NUMBER,
                UNKNOWN,
                ProduceVerdict::Doubt,
            ),
            (
                E::OUT_OF_ORDER_SEQUENCE_NUMBER,
                WRITTEN,
                ProduceVerdict::Ack {
                    base_offset: -1,
                    log_append_time: -1,
                },
            ),
            (E::NOT_ENOUGH_REPLICAS, WRITTEN, RETRY),
            (
                E::OUT_OF_ORDER_SEQUENCE_NUMBER,
                REFUSED,
                ProduceVerdict::Restamp,
            ),
            (E::OUT_OF_ORDER_SEQUENCE_NUMBER, PLAIN, FAIL),
            (E::UNKNOWN_PRODUCER_ID, HEAD, ProduceVerdict::Restamp),
            (E::UNKNOWN_PRODUCER_ID, UNKNOWN, FAIL_UNSURE),
            (E::INVALID_PRODUCER_EPOCH, HEAD, ProduceVerdict::Restamp),
            (E::INVALID_PRODUCER_EPOCH, UNKNOWN, FAIL_UNSURE),
            (E::PRODUCER_FENCED, HEAD, ProduceVerdict::Restamp),
            (E::TOPIC_AUTHORIZATION_FAILED, HEAD, FAIL),
            (E::INVALID_TOPIC_EXCEPTION, HEAD, FAIL),
            (E::UNSUPPORTED_COMPRESSION_TYPE, HEAD, FAIL),
            (E::INVALID_RECORD, HEAD, FAIL),
            (E::INVALID_REQUIRED_ACKS, HEAD, FAIL),
            (
                E::CLUSTER_AUTHORIZATION_FAILED,
                HEAD,
                ProduceVerdict::Fail {
                    unknown: false,
                    fatal: true,
                },
            ),
            (E::UNKNOWN_SERVER_ERROR, HEAD, FAIL_UNSURE),
            (E::new(9999), HEAD, FAIL),
        ];
        for (code, situation, expected) in table {
            assert_eq!(decide(code, situation), expected, "{code} {situation:?}");
        }
    }

    #[test]
    fn in_a_transaction_a_refused_sequence_loses_it_and_a_fenced_producer_ends() {
        use ErrorCode as E;
        let of = |situation| Situation {
            transactional: true,
            ..situation
        };
        let fatal = ProduceVerdict::Fail {
            unknown: false,
            fatal: true,
        };
        let table = [
            (E::CONCURRENT_TRANSACTIONS, HEAD, RETRY),
            (E::PRODUCER_FENCED, HEAD, fatal.clone()),
            (E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, HEAD, fatal),
            (E::INVALID_PRODUCER_EPOCH, HEAD, FAIL),
            (E::INVALID_PRODUCER_EPOCH, UNKNOWN, FAIL),
            (E::UNKNOWN_PRODUCER_ID, HEAD, FAIL),
            (E::INVALID_PRODUCER_ID_MAPPING, HEAD, FAIL),
            (E::INVALID_TXN_STATE, HEAD, FAIL),
            (E::TRANSACTION_ABORTABLE, HEAD, FAIL),
            (E::TOPIC_AUTHORIZATION_FAILED, HEAD, FAIL),
            (E::OUT_OF_ORDER_SEQUENCE_NUMBER, HEAD, FAIL),
            (E::OUT_OF_ORDER_SEQUENCE_NUMBER, REFUSED, FAIL),
            (E::OUT_OF_ORDER_SEQUENCE_NUMBER, BEHIND, RETRY),
            (
                E::OUT_OF_ORDER_SEQUENCE_NUMBER,
                UNKNOWN,
                ProduceVerdict::Doubt,
            ),
            (E::NOT_LEADER_OR_FOLLOWER, HEAD, UNSURE),
        ];
        for (code, situation, expected) in table {
            assert_eq!(
                decide(code, of(situation)),
                expected,
                "{code} {situation:?}"
            );
        }
    }

    #[test]
    fn no_answer_of_any_code_is_an_acknowledgement_but_success_and_duplicate() {
        for code in -1..=200 {
            let code = ErrorCode::new(code);
            for situation in [HEAD, BEHIND, UNKNOWN, PLAIN] {
                let acked = matches!(decide(code, situation), ProduceVerdict::Ack { .. });
                let expected =
                    matches!(code, ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
                assert_eq!(acked, expected, "{code}");
            }
        }
    }

    #[test]
    fn rejected_records_are_dropped_and_the_others_kept() {
        let answer = Answer {
            code: ErrorCode::INVALID_RECORD,
            message: None,
            base_offset: -1,
            log_append_time: -1,
            rejected: vec![(3, Some("no key".into()))],
        };
        let expected = ProduceVerdict::Drop(vec![(3, Some("no key".into()))]);
        assert_eq!(verdict(&answer, HEAD), expected);
    }
}
