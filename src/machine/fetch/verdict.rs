//! What a partition's error code means to the consumer: one table for fetches, one for lookups.

use crate::error::ErrorCode;

/// What to do about a partition of a fetch answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchVerdict {
    /// Take the records.
    Take,
    /// The offset is not in the log: at the leader, reset; at another replica, ask the leader first.
    OutOfRange,
    /// The cluster has changed: refresh the metadata, and ask again after a while.
    Refresh,
    /// Ask again after a while.
    Retry,
    /// As `Retry`; nobody expects it, so that it is logged, once for as long as it lasts.
    Log,
    /// Only the application, or who runs the cluster, can mend it: tell; ask again after a while in case that it changes.
    Tell,
}

/// Whether a broker's refusal lasts until the application, or who runs the cluster, does something about it.
pub(crate) fn is_refusal(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::SASL_AUTHENTICATION_FAILED
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::INVALID_GROUP_ID
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            // The broker cannot read its log: that does not pass by itself.
            | ErrorCode::CORRUPT_MESSAGE
    )
}

/// What to do about a fetched partition.
pub(crate) fn fetch_verdict(code: ErrorCode) -> FetchVerdict {
    match code {
        ErrorCode::NONE => FetchVerdict::Take,
        ErrorCode::OFFSET_OUT_OF_RANGE => FetchVerdict::OutOfRange,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::KAFKA_STORAGE_ERROR
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        // A topic made anew has another id, by which the session tells them apart.
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::INCONSISTENT_TOPIC_ID => FetchVerdict::Refresh,
        other if is_refusal(other) => FetchVerdict::Tell,
        // The broker is behind, or busy: it will catch up.
        other if other.is_retriable() => FetchVerdict::Retry,
        _ => FetchVerdict::Log,
    }
}

/// What to do about a partition of an answer to ListOffsets or OffsetForLeaderEpoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupVerdict {
    /// Take the offset.
    Take,
    /// Refresh the metadata, and ask again after a while.
    Refresh,
    /// As `Refresh`; nobody expects it, so that it is logged, once for as long as it lasts.
    Log,
    /// The application must know; nothing is assumed in place of the offset.
    Tell,
}

/// What to do about a partition whose offset was looked up.
pub(crate) fn lookup_verdict(code: ErrorCode) -> LookupVerdict {
    match fetch_verdict(code) {
        FetchVerdict::Take => LookupVerdict::Take,
        FetchVerdict::Refresh | FetchVerdict::Retry => LookupVerdict::Refresh,
        FetchVerdict::OutOfRange | FetchVerdict::Log => LookupVerdict::Log,
        FetchVerdict::Tell => LookupVerdict::Tell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_fetch_has_one_meaning() {
        for (code, expected) in [
            (ErrorCode::NONE, FetchVerdict::Take),
            (ErrorCode::OFFSET_OUT_OF_RANGE, FetchVerdict::OutOfRange),
            (ErrorCode::NOT_LEADER_OR_FOLLOWER, FetchVerdict::Refresh),
            (ErrorCode::FENCED_LEADER_EPOCH, FetchVerdict::Refresh),
            (ErrorCode::REPLICA_NOT_AVAILABLE, FetchVerdict::Refresh),
            (ErrorCode::KAFKA_STORAGE_ERROR, FetchVerdict::Refresh),
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, FetchVerdict::Refresh),
            (ErrorCode::UNKNOWN_TOPIC_ID, FetchVerdict::Refresh),
            (ErrorCode::INCONSISTENT_TOPIC_ID, FetchVerdict::Refresh),
            (ErrorCode::UNKNOWN_LEADER_EPOCH, FetchVerdict::Retry),
            (ErrorCode::OFFSET_NOT_AVAILABLE, FetchVerdict::Retry),
            (ErrorCode::REQUEST_TIMED_OUT, FetchVerdict::Retry),
            (ErrorCode::CORRUPT_MESSAGE, FetchVerdict::Tell),
            (ErrorCode::TOPIC_AUTHORIZATION_FAILED, FetchVerdict::Tell),
            (ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, FetchVerdict::Tell),
            (ErrorCode::UNSUPPORTED_VERSION, FetchVerdict::Tell),
            (ErrorCode::INVALID_TOPIC_EXCEPTION, FetchVerdict::Tell),
            (ErrorCode::UNKNOWN_SERVER_ERROR, FetchVerdict::Log),
            (ErrorCode::INVALID_REQUEST, FetchVerdict::Log),
            (ErrorCode::new(9999), FetchVerdict::Log),
        ] {
            assert_eq!(fetch_verdict(code), expected, "{code}");
            let of_a_lookup = match expected {
                FetchVerdict::Take => LookupVerdict::Take,
                FetchVerdict::Refresh | FetchVerdict::Retry => LookupVerdict::Refresh,
                FetchVerdict::OutOfRange | FetchVerdict::Log => LookupVerdict::Log,
                FetchVerdict::Tell => LookupVerdict::Tell,
            };
            assert_eq!(lookup_verdict(code), of_a_lookup, "{code}");
        }
    }

    #[test]
    fn an_application_is_told_of_no_code_that_it_can_do_nothing_about() {
        let told = (-1..200)
            .map(ErrorCode::new)
            .filter(|code| fetch_verdict(*code) == FetchVerdict::Tell);
        let told: Vec<_> = told.map(|code| code.to_string()).collect();
        assert_eq!(
            told,
            [
                "CORRUPT_MESSAGE",
                "INVALID_TOPIC_EXCEPTION",
                "INVALID_GROUP_ID",
                "TOPIC_AUTHORIZATION_FAILED",
                "GROUP_AUTHORIZATION_FAILED",
                "CLUSTER_AUTHORIZATION_FAILED",
                "UNSUPPORTED_VERSION",
                "UNSUPPORTED_FOR_MESSAGE_FORMAT",
                "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
                "SASL_AUTHENTICATION_FAILED",
                "UNSUPPORTED_COMPRESSION_TYPE",
            ]
        );
    }
}
