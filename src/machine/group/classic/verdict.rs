//! What an error code means to a member: the one place that decides it.

use crate::error::{Error, ErrorCode};

/// Which request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupCall {
    Find,
    Join,
    Sync,
    /// Or a commit, which the coordinator takes for one.
    Heartbeat,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MembershipVerdict {
    Accept,
    /// Join again with the id that the coordinator chose (KIP-394).
    TakeId,
    /// Join again, as the member of the generation that one is.
    Rejoin,
    /// Not a member of any generation any more: what was owned is lost, and the id too where it is to be forgotten.
    Lost {
        forget: bool,
    },
    /// Another broker is the coordinator: find it, and try again after the backoff.
    Find,
    /// The same again, after the backoff.
    Retry,
    /// The application must know; another try is made when it asks for records again.
    Tell,
    /// The application must know, and no other try can succeed.
    Stop,
}

pub(crate) fn verdict(call: GroupCall, code: ErrorCode) -> MembershipVerdict {
    use ErrorCode as E;
    match code {
        E::NONE => MembershipVerdict::Accept,
        E::NOT_COORDINATOR
        | E::COORDINATOR_NOT_AVAILABLE
        | E::NETWORK_EXCEPTION
        | E::BROKER_NOT_AVAILABLE => MembershipVerdict::Find,
        E::COORDINATOR_LOAD_IN_PROGRESS => MembershipVerdict::Retry,
        E::FENCED_INSTANCE_ID => MembershipVerdict::Stop,
        _ if call == GroupCall::Find && code.is_retriable() => MembershipVerdict::Find,
        _ if call == GroupCall::Find => MembershipVerdict::Tell,
        E::MEMBER_ID_REQUIRED if call == GroupCall::Join => MembershipVerdict::TakeId,
        E::REBALANCE_IN_PROGRESS => MembershipVerdict::Rejoin,
        E::UNKNOWN_MEMBER_ID => MembershipVerdict::Lost { forget: true },
        // The id may still be good, and joining with it spares the group the wait for a member that is gone.
        E::ILLEGAL_GENERATION => MembershipVerdict::Lost { forget: false },
        // The next one may do better, and until the session ends nothing is lost.
        E::UNKNOWN_SERVER_ERROR if call == GroupCall::Heartbeat => MembershipVerdict::Retry,
        _ if code.is_retriable() => MembershipVerdict::Retry,
        _ => MembershipVerdict::Tell,
    }
}

/// What it means that a request was not answered.
pub(crate) fn unanswered(call: GroupCall, error: &Error) -> MembershipVerdict {
    match error {
        Error::Broker { code, .. } => match verdict(call, *code) {
            MembershipVerdict::Accept => MembershipVerdict::Retry,
            verdict => verdict,
        },
        Error::Protocol { .. } => MembershipVerdict::Find,
        Error::Closed { .. } | Error::RuntimeEnded { .. } => MembershipVerdict::Stop,
        error if error.is_retriable() => MembershipVerdict::Find,
        _ => MembershipVerdict::Tell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use MembershipVerdict as V;

    const FORGET: MembershipVerdict = V::Lost { forget: true };
    const KEEP: MembershipVerdict = V::Lost { forget: false };

    #[test]
    fn every_error_code_has_the_verdict_of_the_table() {
        use ErrorCode as E;
        // Find, Join, Sync, Heartbeat.
        let table = [
            (E::NONE, [V::Accept; 4]),
            (E::NOT_COORDINATOR, [V::Find; 4]),
            (E::COORDINATOR_NOT_AVAILABLE, [V::Find; 4]),
            (E::NETWORK_EXCEPTION, [V::Find; 4]),
            (E::BROKER_NOT_AVAILABLE, [V::Find; 4]),
            (E::COORDINATOR_LOAD_IN_PROGRESS, [V::Retry; 4]),
            (E::FENCED_INSTANCE_ID, [V::Stop; 4]),
            (
                E::MEMBER_ID_REQUIRED,
                [V::Tell, V::TakeId, V::Tell, V::Tell],
            ),
            (
                E::REBALANCE_IN_PROGRESS,
                [V::Tell, V::Rejoin, V::Rejoin, V::Rejoin],
            ),
            (E::UNKNOWN_MEMBER_ID, [V::Tell, FORGET, FORGET, FORGET]),
            (E::ILLEGAL_GENERATION, [V::Tell, KEEP, KEEP, KEEP]),
            (
                E::REQUEST_TIMED_OUT,
                [V::Find, V::Retry, V::Retry, V::Retry],
            ),
            (
                E::UNKNOWN_TOPIC_OR_PARTITION,
                [V::Find, V::Retry, V::Retry, V::Retry],
            ),
            (
                E::UNKNOWN_SERVER_ERROR,
                [V::Tell, V::Tell, V::Tell, V::Retry],
            ),
            (E::GROUP_AUTHORIZATION_FAILED, [V::Tell; 4]),
            (E::GROUP_MAX_SIZE_REACHED, [V::Tell; 4]),
            (E::INCONSISTENT_GROUP_PROTOCOL, [V::Tell; 4]),
            (E::INVALID_SESSION_TIMEOUT, [V::Tell; 4]),
            (E::INVALID_GROUP_ID, [V::Tell; 4]),
            (E::UNSUPPORTED_VERSION, [V::Tell; 4]),
            (E::new(9999), [V::Tell; 4]),
        ];
        let calls = [
            GroupCall::Find,
            GroupCall::Join,
            GroupCall::Sync,
            GroupCall::Heartbeat,
        ];
        for (code, expected) in table {
            for (call, expected) in calls.into_iter().zip(expected) {
                assert_eq!(verdict(call, code), expected, "{call:?} {code}");
            }
        }
        let listed: Vec<_> = table.iter().map(|(code, _)| *code).collect();
        for code in (-1..=200).map(ErrorCode::new) {
            if listed.contains(&code) {
                continue;
            }
            let expected = match (code.is_retriable(), GroupCall::Join) {
                (true, _) => V::Retry,
                (false, _) => V::Tell,
            };
            assert_eq!(verdict(GroupCall::Join, code), expected, "{code}");
            assert_eq!(verdict(GroupCall::Sync, code), expected, "{code}");
            assert_eq!(verdict(GroupCall::Heartbeat, code), expected, "{code}");
        }
    }

    #[test]
    fn a_request_without_an_answer_looks_for_the_coordinator_again() {
        let timeout = Error::RequestTimeout {
            address: "a:1".into(),
            request: "Heartbeat",
            timeout: Duration::from_secs(1),
        };
        let unsupported = Error::Unsupported {
            feature: "JoinGroup",
            address: "a:1".into(),
            reason: "too old".into(),
        };
        let closed = Error::Closed { what: "the client" };
        for (error, expected) in [
            (timeout, V::Find),
            (Error::protocol("a:1", "?"), V::Find),
            (unsupported, V::Tell),
            (closed, V::Stop),
            (
                Error::broker(ErrorCode::GROUP_AUTHORIZATION_FAILED, None, "x"),
                V::Tell,
            ),
        ] {
            assert_eq!(unanswered(GroupCall::Join, &error), expected, "{error}");
        }
    }
}
