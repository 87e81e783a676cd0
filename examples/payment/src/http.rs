//! `POST /payments/confirm`, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Json, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use tokio::time::timeout;

use crate::gateway::Refusal;
use crate::input::{self, BadField};
use crate::messages::PaymentConfirmResponse;
use crate::service::{NotConfirmed, Payments};

/// No payment is as large.
const LARGEST_BODY: usize = 64 * 1024;

/// How long a caller may take to send it.
const SENDING: Duration = Duration::from_secs(10);

/// The application's calls.
pub fn router(payments: Arc<Payments>) -> Router {
    Router::new()
        .route("/payments/confirm", post(confirm))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(payments)
}

/// What an answer other than 200 says.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    code: String,
    message: String,
    /// Each field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<BadField>,
    /// Of a payment that is approved all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentConfirmResponse>,
    /// Whether the payment's message may be in the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    possibly_written: Option<bool>,
}

async fn confirm(
    State(payments): State<Arc<Payments>>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let body = match timeout(SENDING, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    // From here on it is answered, also when the application ends.
    let _call = payments.call();
    let (sync, request) = match (input::waits(&query), input::payment(&body)) {
        (Ok(sync), Ok(request)) => (sync, request),
        (sync, request) => {
            let errors = [sync.err(), request.err()].into_iter().flatten().flatten();
            return bad_request(errors.collect());
        }
    };
    match payments.confirm(request, sync).await {
        Ok(response) => Json(response).into_response(),
        Err(not) => not.into_response(),
    }
}

fn bad_request(errors: Vec<BadField>) -> Response {
    let told = errors.iter();
    let told = told.map(|bad| format!("{}: {}", bad.field, bad.message));
    let problem = Problem {
        code: "BAD_REQUEST".to_owned(),
        message: told.collect::<Vec<_>>().join("; "),
        errors,
        ..Problem::default()
    };
    (StatusCode::BAD_REQUEST, Json(problem)).into_response()
}

impl IntoResponse for NotConfirmed {
    fn into_response(self) -> Response {
        let (status, problem) = match self {
            Self::NotBegun(failure) => {
                let problem = Problem {
                    code: "NOT_BEGUN".to_owned(),
                    message: format!("the gateway was not asked: {failure}"),
                    ..Problem::default()
                };
                (StatusCode::SERVICE_UNAVAILABLE, problem)
            }
            Self::Ending => {
                let problem = Problem {
                    code: "ENDING".to_owned(),
                    message: "the gateway was not asked: the application is ending".to_owned(),
                    ..Problem::default()
                };
                (StatusCode::SERVICE_UNAVAILABLE, problem)
            }
            Self::Refused(Refusal::Declined(declined)) => {
                let problem = Problem {
                    code: declined.code,
                    message: declined.message,
                    ..Problem::default()
                };
                (StatusCode::PAYMENT_REQUIRED, problem)
            }
            Self::Refused(refusal @ Refusal::Unknown(_)) => {
                let problem = Problem {
                    code: "GATEWAY_UNKNOWN".to_owned(),
                    message: refusal.to_string(),
                    ..Problem::default()
                };
                (StatusCode::GATEWAY_TIMEOUT, problem)
            }
            Self::NotDelivered { response, error } => {
                let problem = Problem {
                    code: "NOT_DELIVERED".to_owned(),
                    message: format!("approved, but not delivered: {error}"),
                    payment: Some(*response),
                    possibly_written: Some(error.possibly_written()),
                    ..Problem::default()
                };
                (StatusCode::SERVICE_UNAVAILABLE, problem)
            }
            Self::Broken(reason) => {
                let problem = Problem {
                    code: "INTERNAL".to_owned(),
                    message: reason,
                    ..Problem::default()
                };
                (StatusCode::INTERNAL_SERVER_ERROR, problem)
            }
        };
        (status, Json(problem)).into_response()
    }
}
