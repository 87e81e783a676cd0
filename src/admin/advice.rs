//! What to change so that brokers take calls about security.

use crate::error::{ErrorCode, Result};

/// The same, with what to change where the code tells that.
pub(super) fn advised<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error.broker_code().and_then(advice) {
        Some(told) => error.with_advice(told),
        None => error,
    })
}

fn advice(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::SECURITY_DISABLED => {
            "the brokers keep no ACLs: set authorizer.class.name in their settings"
        }
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "grant this client's principal Describe (to read) or Alter (to change) on the cluster"
        }
        ErrorCode::DELEGATION_TOKEN_AUTH_DISABLED => {
            "the brokers make no delegation tokens: set delegation.token.secret.key in their settings"
        }
        ErrorCode::DELEGATION_TOKEN_REQUEST_NOT_ALLOWED => {
            "log in by SASL or a certificate, and not by a delegation token, to ask for one"
        }
        ErrorCode::DELEGATION_TOKEN_OWNER_MISMATCH => {
            "only its owner and its renewers may renew or end a delegation token"
        }
        ErrorCode::UNACCEPTABLE_CREDENTIAL => "take from 4096 to 16384 iterations, and a user name",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn each_refusal_that_a_setting_or_a_grant_would_mend_says_which() {
        for (code, says) in [
            (ErrorCode::SECURITY_DISABLED, Some("authorizer.class.name")),
            (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, Some("Alter")),
            (
                ErrorCode::DELEGATION_TOKEN_AUTH_DISABLED,
                Some("delegation.token.secret.key"),
            ),
            (
                ErrorCode::DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
                Some("SASL"),
            ),
            (ErrorCode::DELEGATION_TOKEN_OWNER_MISMATCH, Some("renewers")),
            (ErrorCode::UNACCEPTABLE_CREDENTIAL, Some("4096")),
            (ErrorCode::INVALID_REQUEST, None),
        ] {
            let refused: Result<()> = Err(Error::broker(code, None, "x"));
            let text = advised(refused).unwrap_err().to_string();
            match says {
                Some(says) => assert!(text.contains(says), "{text}"),
                None => assert_eq!(text, Error::broker(code, None, "x").to_string()),
            }
        }
    }
}
