//! Who approves payments: a trait, and a gateway that is asked over HTTP as Toss Payments is.

use std::pin::Pin;
use std::time::Duration;

use ottla_app::Failure;
use reqwest::header::HeaderValue;
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::messages::{PaymentConfirmRequest, PaymentConfirmResponse};

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// By which the gateway knows a request that comes again, and answers it as the first time.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What it says of a payment that it has approved before, asked by something that it takes for another request.
pub(crate) const ALREADY_PROCESSED: &str = "ALREADY_PROCESSED_PAYMENT";

/// The gateway's words for a payment that was never made, and will not be.
const NOT_MADE: [&str; 4] = ["CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED"];

/// The gateway's pending answer.
pub type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<PaymentConfirmResponse, Refusal>> + Send + 'a>>;

/// Approves payments.
pub trait Gateway: Send + Sync + 'static {
    /// Confirms a payment; asked again for the same `payment_key`, it says the same.
    fn confirm<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a>;

    /// What has become of a payment that was to be confirmed, without confirming it: declined, if it never was.
    fn look_up<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a>;
}

/// Why there is no approval.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The gateway said no.
    #[error("{}: {}", .0.code, .0.message)]
    Declined(Declined),
    /// No answer, or one that does not tell: the payment may be approved or not, which asking again tells.
    #[error("the gateway's answer is not known: {0}")]
    Unknown(String),
}

/// The gateway's no.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Declined {
    /// Such as `REJECT_CARD_PAYMENT`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A gateway at a URL.
pub struct HttpGateway {
    client: Client,
    payments: Url,
}

/// A payment as the gateway tells it.
#[derive(Deserialize)]
struct Payment {
    status: String,
}

impl HttpGateway {
    /// The gateway whose calls are at `base`, such as `http://localhost:8081`.
    ///
    /// # Errors
    /// When the base is no URL.
    pub fn new(base: &str) -> Result<Self, Failure> {
        let url = format!("{}/v1/payments", base.trim_end_matches('/'));
        let payments = Url::parse(&url);
        let payments = payments.map_err(|error| Failure::option("--gateway", error))?;
        if payments.cannot_be_a_base() {
            return Err(Failure::option("--gateway", "expected http://HOST:PORT"));
        }
        let client = Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(Failure::of("HTTP"))?;
        Ok(Self { client, payments })
    }

    /// The call for one payment, or for the one of this name.
    fn url(&self, name: &str) -> Url {
        let mut url = self.payments.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(name);
        }
        url
    }

    async fn ask(&self, request: &PaymentConfirmRequest) -> Answered {
        let body = json!({
            "paymentKey": request.payment_key,
            "orderId": request.order_id,
            "amount": request.amount,
        });
        let key = HeaderValue::from_bytes(request.payment_key.as_bytes());
        let key = key.map_err(|error| Refusal::Unknown(error.to_string()))?;
        let call = self.client.post(self.url("confirm")).json(&body);
        answered(call.header(IDEMPOTENCY_KEY, key)).await
    }

    async fn find(&self, request: &PaymentConfirmRequest) -> Answered {
        answered(self.client.get(self.url(&request.payment_key))).await
    }
}

/// A payment's JSON, or why there is none.
type Answered = Result<Vec<u8>, Refusal>;

async fn answered(call: reqwest::RequestBuilder) -> Answered {
    let unknown = |error: reqwest::Error| Refusal::Unknown(error.to_string());
    let answer = call.send().await.map_err(unknown)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(unknown)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    Err(refusal(status, &body))
}

/// What an answer other than 200 means. Only a no to the payment itself is one; a gateway that knows us no more, has too
/// much to do, or is asked again too soon has not said what has become of the payment.
fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let declines = matches!(status.as_u16(), 400 | 402 | 403 | 404 | 422);
    let ours = |declined: &Declined| {
        let code = declined.code.as_str();
        code.contains("API_KEY") || code.contains("AUTH") || code.starts_with("FORBIDDEN")
    };
    match serde_json::from_slice::<Declined>(body) {
        Ok(declined) if declines && !ours(&declined) => Refusal::Declined(declined),
        Ok(told) => Refusal::Unknown(format!("{status}: {}: {}", told.code, told.message)),
        Err(_) => Refusal::Unknown(format!("{status}: no answer of a gateway's")),
    }
}

/// An approval, or why a payment that the gateway knows is none.
fn approval(payment: &[u8]) -> Result<PaymentConfirmResponse, Refusal> {
    let unreadable = |error| Refusal::Unknown(format!("no payment: {error}"));
    let Payment { status } = serde_json::from_slice(payment).map_err(unreadable)?;
    if status == "DONE" {
        return serde_json::from_slice(payment).map_err(unreadable);
    }
    if NOT_MADE.contains(&status.as_str()) {
        return Err(Refusal::Declined(Declined {
            message: format!("the payment is {status}"),
            code: status,
        }));
    }
    // It may still become one.
    Err(Refusal::Unknown(format!("the payment is {status}")))
}

impl Gateway for HttpGateway {
    fn confirm<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a> {
        Box::pin(async move {
            match self.ask(request).await {
                // Approved before, as when the answer got lost: what it was is to be asked for.
                Err(Refusal::Declined(told)) if told.code == ALREADY_PROCESSED => {
                    approval(&self.find(request).await.map_err(Refusal::into_unknown)?)
                }
                answer => approval(&answer?),
            }
        })
    }

    fn look_up<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a> {
        Box::pin(async move { approval(&self.find(request).await?) })
    }
}

impl Refusal {
    /// Of a payment that was said to be there.
    fn into_unknown(self) -> Self {
        Self::Unknown(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_no_to_the_payment_is_one() {
        let told = |status: u16, body: &str| {
            let refusal = refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            matches!(refusal, Refusal::Declined(_))
        };
        let of = |code: &str| format!(r#"{{"code":"{code}","message":"m"}}"#);
        for (status, code, declined) in [
            (403, "REJECT_CARD_PAYMENT", true),
            (400, "INVALID_CARD_EXPIRATION", true),
            (404, "NOT_FOUND_PAYMENT", true),
            (400, "INVALID_API_KEY", false),
            (401, "UNAUTHORIZED_KEY", false),
            (403, "FORBIDDEN_REQUEST", false),
            (408, "TIMEOUT", false),
            (409, "IDEMPOTENT_REQUEST_PROCESSING", false),
            (425, "TOO_EARLY", false),
            (429, "TOO_MANY_REQUESTS", false),
            (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", false),
            (503, "UNAVAILABLE", false),
        ] {
            assert_eq!(told(status, &of(code)), declined, "{status} {code}");
        }
        // Of something else on the way, or at a wrong address.
        assert!(!told(404, "<html>not found</html>"));
        assert!(!told(400, ""));
    }

    #[test]
    fn a_payment_is_approved_when_it_is_done_and_declined_when_it_never_will_be() {
        let told = |status: &str| {
            let payment = json!({
                "paymentKey": "k", "orderId": "o", "status": status, "totalAmount": 1,
                "method": "card", "approvedAt": "2026-11-27T00:00:00+09:00", "more": {},
            });
            approval(&serde_json::to_vec(&payment).unwrap())
        };
        assert_eq!(told("DONE").unwrap().payment_key, "k");
        for status in ["ABORTED", "EXPIRED", "CANCELED"] {
            assert!(
                matches!(told(status), Err(Refusal::Declined(_))),
                "{status}"
            );
        }
        for status in ["READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT"] {
            assert!(matches!(told(status), Err(Refusal::Unknown(_))), "{status}");
        }
        assert!(matches!(approval(b"{}"), Err(Refusal::Unknown(_))));
    }
}
