//! A payment gateway for tests and trials: what it says depends on how the payment's key begins.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ottla_app::Failure;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::gateway::Declined;
use crate::messages::PaymentConfirmResponse;

/// A key that begins so is declined.
pub(crate) const DECLINED: &str = "decline";

/// A key that begins so is approved after a while.
pub(crate) const SLOW: &str = "slow";

/// How long that is.
const WHILE: Duration = Duration::from_millis(200);

/// The part of a request that the gateway gets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confirm {
    payment_key: String,
    order_id: String,
    amount: i64,
}

/// A running gateway; it ends when it is dropped.
pub struct StandIn {
    url: String,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(Failure::of("the gateway's stand-in"))?;
        let address = listener.local_addr();
        let address = address.map_err(Failure::of("the gateway's stand-in"))?;
        let router = Router::new().route("/v1/payments/confirm", post(confirm));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the gateway's stand-in has ended");
            }
        });
        Ok(Self {
            url: format!("http://{address}"),
            task,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn confirm(Json(confirm): Json<Confirm>) -> Response {
    if confirm.payment_key.starts_with(DECLINED) {
        let declined = Declined {
            code: "REJECT_CARD_PAYMENT".to_owned(),
            message: "the card's limit is reached".to_owned(),
        };
        return (StatusCode::FORBIDDEN, Json(declined)).into_response();
    }
    if confirm.payment_key.starts_with(SLOW) {
        sleep(WHILE).await;
    }
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    Json(PaymentConfirmResponse {
        payment_key: confirm.payment_key,
        order_id: confirm.order_id,
        status: "DONE".to_owned(),
        total_amount: confirm.amount,
        method: "\u{ce74}\u{b4dc}".to_owned(),
        approved_at: now.to_string(),
    })
    .into_response()
}
