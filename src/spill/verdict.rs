//! What a failure means: whether a record is to be spilled, and what becomes of one that was.

use crate::error::{Error, ErrorCode};

/// What becomes of a record that could not be delivered, or not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is kept on disk and sent later.
    Spill,
    /// It is given back with the error.
    GiveBack,
}

/// Decides about a record that was not spilled before.
pub(crate) fn of_new(error: &Error, second_copies: bool) -> Fate {
    if is_for_want_of_cluster(error) && (second_copies || !error.possibly_written()) {
        Fate::Spill
    } else {
        Fate::GiveBack
    }
}

/// Whether the same record would have been taken, were the cluster all there.
fn is_for_want_of_cluster(error: &Error) -> bool {
    match error {
        // The cluster is there, and says that the topic is not.
        Error::UnknownTopic {
            last: Some(last), ..
        } => last.broker_code().is_none(),
        Error::Broker { code, .. } => {
            code.is_retriable() && *code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        }
        Error::Delivery { cause, .. } => is_for_want_of_cluster(cause),
        error => error.is_retriable(),
    }
}

/// What becomes of a spilled record that could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// It is sent again, later.
    Again,
    /// It is set aside: it may be in the log.
    PossiblyWritten,
    /// It is set aside: something is wrong with the record itself.
    Refused,
    /// Nothing more is sent by this producer.
    Stop,
}

/// Decides about a record that was spilled.
pub(crate) fn of_spilled(error: &Error, second_copies: bool) -> Replay {
    if error.is_fatal() {
        Replay::Stop
    } else if is_of_the_record(error) {
        Replay::Refused
    } else if error.possibly_written() && !second_copies {
        Replay::PossiblyWritten
    } else {
        Replay::Again
    }
}

/// Whether the cluster would refuse this record, and take another one.
fn is_of_the_record(error: &Error) -> bool {
    use ErrorCode as E;
    match error {
        Error::RecordTooLarge { .. } | Error::InvalidTopic { .. } | Error::Partitioner { .. } => {
            true
        }
        Error::Broker { code, .. } => matches!(
            *code,
            E::MESSAGE_TOO_LARGE
                | E::RECORD_LIST_TOO_LARGE
                | E::INVALID_RECORD
                | E::INVALID_TIMESTAMP
        ),
        Error::Delivery { cause, .. } => is_of_the_record(cause),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::types::TopicPartition;

    fn broker(code: ErrorCode) -> Error {
        Error::broker(code, None, "test")
    }

    fn delivery(cause: Error, possibly_written: bool) -> Error {
        Error::Delivery {
            target: TopicPartition::new("t", 0),
            possibly_written,
            attempts: 1,
            cause: Arc::new(cause),
        }
    }

    fn unknown(last: Option<Error>) -> Error {
        Error::UnknownTopic {
            what: "topic t".into(),
            waited: Duration::ZERO,
            last: last.map(Arc::new),
        }
    }

    fn timeout() -> Error {
        Error::DeliveryTimeout {
            timeout: Duration::ZERO,
            last: None,
        }
    }

    fn full() -> Error {
        Error::BufferFull {
            size: 1,
            limit: 1,
            waited: Duration::ZERO,
        }
    }

    fn nobody() -> Error {
        Error::Bootstrap {
            attempts: "none".into(),
        }
    }

    fn closed() -> Error {
        Error::Closed { what: "producer" }
    }

    fn too_large() -> Error {
        Error::RecordTooLarge {
            size: 2,
            limit: 1,
            setting: "max.request.size",
        }
    }

    #[test]
    fn a_record_is_spilled_for_want_of_a_cluster_alone_and_a_second_copy_is_asked_for() {
        use ErrorCode as E;
        use Fate::{GiveBack, Spill};
        // Whether second copies are accepted: not, and yes.
        let table = [
            (nobody(), [Spill, Spill]),
            (full(), [Spill, Spill]),
            (timeout(), [Spill, Spill]),
            (unknown(None), [Spill, Spill]),
            (unknown(Some(nobody())), [Spill, Spill]),
            (
                unknown(Some(broker(E::UNKNOWN_TOPIC_OR_PARTITION))),
                [GiveBack, GiveBack],
            ),
            (broker(E::UNKNOWN_TOPIC_OR_PARTITION), [GiveBack, GiveBack]),
            (broker(E::LEADER_NOT_AVAILABLE), [Spill, Spill]),
            (broker(E::TOPIC_AUTHORIZATION_FAILED), [GiveBack, GiveBack]),
            (delivery(timeout(), false), [Spill, Spill]),
            (delivery(timeout(), true), [GiveBack, Spill]),
            (
                delivery(broker(E::NOT_ENOUGH_REPLICAS), false),
                [Spill, Spill],
            ),
            (
                delivery(broker(E::MESSAGE_TOO_LARGE), false),
                [GiveBack, GiveBack],
            ),
            (
                delivery(broker(E::UNKNOWN_SERVER_ERROR), true),
                [GiveBack, GiveBack],
            ),
            (too_large(), [GiveBack, GiveBack]),
            (closed(), [GiveBack, GiveBack]),
        ];
        for (error, fates) in table {
            let decided = [false, true].map(|second_copies| of_new(&error, second_copies));
            assert_eq!(decided, fates, "{error}");
        }
    }

    #[test]
    fn a_spilled_record_is_sent_again_unless_it_is_refused_itself_or_a_second_copy_is_not_accepted()
    {
        use ErrorCode as E;
        use Replay::{Again, PossiblyWritten, Refused, Stop};
        let table = [
            (nobody(), [Again, Again]),
            (
                unknown(Some(broker(E::UNKNOWN_TOPIC_OR_PARTITION))),
                [Again, Again],
            ),
            (broker(E::TOPIC_AUTHORIZATION_FAILED), [Again, Again]),
            (
                delivery(broker(E::UNKNOWN_SERVER_ERROR), true),
                [PossiblyWritten, Again],
            ),
            (delivery(timeout(), false), [Again, Again]),
            (
                delivery(broker(E::MESSAGE_TOO_LARGE), false),
                [Refused, Refused],
            ),
            (
                delivery(broker(E::INVALID_RECORD), false),
                [Refused, Refused],
            ),
            (too_large(), [Refused, Refused]),
            (broker(E::CLUSTER_AUTHORIZATION_FAILED), [Stop, Stop]),
            (closed(), [Stop, Stop]),
        ];
        for (error, fates) in table {
            let decided = [false, true].map(|second_copies| of_spilled(&error, second_copies));
            assert_eq!(decided, fates, "{error}");
        }
    }
}
