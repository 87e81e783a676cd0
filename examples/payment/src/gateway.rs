//! Who approves payments: a trait, and a gateway that is asked over HTTP as Toss Payments is.

use std::pin::Pin;
use std::time::Duration;

use ottla_app::Failure;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::messages::{PaymentConfirmRequest, PaymentConfirmResponse};

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The gateway's pending answer.
pub type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<PaymentConfirmResponse, Refusal>> + Send + 'a>>;

/// Approves payments.
pub trait Gateway: Send + Sync + 'static {
    /// Confirms a payment; asked again for the same `payment_key`, it says the same.
    fn confirm<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a>;
}

/// Why there is no approval.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The gateway said no.
    #[error("{}: {}", .0.code, .0.message)]
    Declined(Declined),
    /// No answer: the payment may be approved or not, which asking again tells.
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
    url: String,
}

impl HttpGateway {
    /// The gateway whose calls are at `base`, such as `http://localhost:8081`.
    ///
    /// # Errors
    /// When the base is no URL.
    pub fn new(base: &str) -> Result<Self, Failure> {
        let url = format!("{}/v1/payments/confirm", base.trim_end_matches('/'));
        let parsed = reqwest::Url::parse(&url);
        parsed.map_err(|error| Failure::option("--gateway", error))?;
        let client = Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(Failure::of("HTTP"))?;
        Ok(Self { client, url })
    }

    async fn ask(
        &self,
        request: &PaymentConfirmRequest,
    ) -> Result<Result<PaymentConfirmResponse, Declined>, reqwest::Error> {
        let body = json!({
            "paymentKey": request.payment_key,
            "orderId": request.order_id,
            "amount": request.amount,
        });
        let answer = self.client.post(&self.url).json(&body).send().await?;
        if answer.status().is_client_error() {
            return Ok(Err(answer.json().await?));
        }
        Ok(Ok(answer.error_for_status()?.json().await?))
    }
}

impl Gateway for HttpGateway {
    fn confirm<'a>(&'a self, request: &'a PaymentConfirmRequest) -> Answer<'a> {
        Box::pin(async move {
            match self.ask(request).await {
                Ok(answer) => answer.map_err(Refusal::Declined),
                Err(error) => Err(Refusal::Unknown(error.to_string())),
            }
        })
    }
}
