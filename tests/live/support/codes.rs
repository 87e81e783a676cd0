//! What became of each part of an admin call, as Kafka's codes.

use ottla::{Error, ErrorCode};

/// The results' codes; 0 for success, -99 for an error that no broker told.
pub(crate) fn codes<T>(results: &[Result<T, Error>]) -> Vec<ErrorCode> {
    let code = |error: &Error| error.broker_code().unwrap_or(ErrorCode::new(-99));
    let results = results.iter();
    results
        .map(|result| result.as_ref().err().map_or(ErrorCode::NONE, code))
        .collect()
}
