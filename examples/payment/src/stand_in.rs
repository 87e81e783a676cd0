//! A payment gateway for tests and trials: what it says depends on how the payment's key begins.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ottla_app::Failure;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::gateway::{ALREADY_PROCESSED, Declined, IDEMPOTENCY_KEY};
use crate::messages::PaymentConfirmResponse;

/// A key that begins so is declined.
pub(crate) const DECLINED: &str = "decline";

/// A key that begins so is approved after a while.
pub(crate) const SLOW: &str = "slow";

/// How long that is.
const WHILE: Duration = Duration::from_millis(200);

/// A key that begins so is approved, and the first answer to each request gets lost: the connection's other end sees a 500.
const LOST: &str = "lost";

/// As many approvals are remembered.
const REMEMBERED: usize = 100_000;

/// Payments that were approved.
#[derive(Default)]
struct Book(Mutex<Approved>);

#[derive(Default)]
struct Approved {
    /// With the idempotency key of the request, where it had one.
    by_key: HashMap<String, (PaymentConfirmResponse, Option<Vec<u8>>)>,
    oldest: VecDeque<String>,
}

impl Book {
    fn open(&self) -> MutexGuard<'_, Approved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approved {
    fn enter(&mut self, payment: PaymentConfirmResponse, idempotency: Option<Vec<u8>>) {
        if self.oldest.len() == REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        self.oldest.push_back(payment.payment_key.clone());
        let key = payment.payment_key.clone();
        self.by_key.insert(key, (payment, idempotency));
    }
}

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
        let router = Router::new()
            .route("/v1/payments/confirm", post(confirm))
            .route("/v1/payments/{payment_key}", get(find))
            .with_state(Arc::new(Book::default()));
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

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let declined = Declined {
        code: code.to_owned(),
        message: message.to_owned(),
    };
    (status, Json(declined)).into_response()
}

async fn find(State(book): State<Arc<Book>>, Path(payment_key): Path<String>) -> Response {
    match book.open().by_key.get(&payment_key) {
        Some((payment, _)) => Json(payment.clone()).into_response(),
        None => refused(StatusCode::NOT_FOUND, "NOT_FOUND_PAYMENT", "there is none"),
    }
}

async fn confirm(
    State(book): State<Arc<Book>>,
    headers: HeaderMap,
    Json(confirm): Json<Confirm>,
) -> Response {
    if confirm.payment_key.starts_with(DECLINED) {
        let why = "the card's limit is reached";
        return refused(StatusCode::FORBIDDEN, "REJECT_CARD_PAYMENT", why);
    }
    if confirm.payment_key.starts_with(SLOW) {
        sleep(WHILE).await;
    }
    let idempotency = headers.get(IDEMPOTENCY_KEY);
    let idempotency = idempotency.map(|key| key.as_bytes().to_vec());
    let mut book = book.open();
    if let Some((payment, before)) = book.by_key.get(&confirm.payment_key) {
        // The same request again, or another one.
        if idempotency.is_some() && *before == idempotency {
            return Json(payment.clone()).into_response();
        }
        let why = "the payment was approved before";
        return refused(StatusCode::BAD_REQUEST, ALREADY_PROCESSED, why);
    }
    let loses = confirm.payment_key.starts_with(LOST);
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let payment = PaymentConfirmResponse {
        payment_key: confirm.payment_key,
        order_id: confirm.order_id,
        status: "DONE".to_owned(),
        total_amount: confirm.amount,
        method: "\u{ce74}\u{b4dc}".to_owned(),
        approved_at: now.to_string(),
    };
    book.enter(payment.clone(), idempotency);
    if loses {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(payment).into_response()
}
