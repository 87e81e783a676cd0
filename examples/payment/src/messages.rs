//! What callers, the gateway and Kafka are told, as JSON.

use serde::{Deserialize, Serialize};

/// The Java class of a [`PaymentMessage`], as Spring's `JsonSerializer` names it in the header `__TypeId__`.
pub const TYPE_ID: &str = "com.example.payment.PaymentMessage";

/// Asks to confirm a payment.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentConfirmRequest {
    /// The gateway's name of the payment; it is confirmed once, however often it is asked to.
    pub payment_key: String,
    /// The shop's name of it.
    pub order_id: String,
    /// In won.
    pub amount: i64,
    /// What is paid for.
    pub reservation_id: i64,
    /// Payments of one ticket type stay in order.
    pub ticket_type_id: i64,
    /// Who pays.
    pub user_id: i64,
}

/// The gateway's approval.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentConfirmResponse {
    /// As asked.
    pub payment_key: String,
    /// As asked.
    pub order_id: String,
    /// `DONE`.
    pub status: String,
    /// In won.
    pub total_amount: i64,
    /// Such as a card.
    pub method: String,
    /// When, as ISO 8601 has it.
    pub approved_at: String,
}

/// An approved payment, as it goes to the topic.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMessage {
    /// What is paid for.
    pub reservation_id: i64,
    /// What was asked.
    pub request: PaymentConfirmRequest,
    /// What the gateway said.
    pub response: PaymentConfirmResponse,
}

impl PaymentMessage {
    /// An approval and what it is for.
    #[must_use]
    pub fn new(request: PaymentConfirmRequest, response: PaymentConfirmResponse) -> Self {
        Self {
            reservation_id: request.reservation_id,
            request,
            response,
        }
    }
}
