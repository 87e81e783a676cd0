//! Payments by HTTP, as callers make them.

mod post;

use reqwest::StatusCode;
use serde_json::{Value, json};

use post::post;

/// The answer to a payment with this key.
pub(crate) async fn pay(url: &str, key: &str) -> Result<(StatusCode, Value), reqwest::Error> {
    let body = json!({
        "paymentKey": key, "orderId": "o", "amount": 1, "reservationId": 7, "ticketTypeId": 4,
        "userId": 3,
    });
    post(url, &body).await
}
