//! A caller's words, taken only when every one of them makes sense; else each that does not is named.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::messages::PaymentConfirmRequest;

/// The gateway's longest payment key and order id.
const LONGEST_KEY: usize = 200;
const LONGEST_ORDER: usize = 64;

/// What is wrong with one part of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadField {
    /// Which: a field of the body, `body`, or a parameter of the query.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl BadField {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// The body's payment.
///
/// # Errors
/// Every field that is missing or wrong; others that the body has are ignored, as Spring does.
pub(crate) fn payment(body: &[u8]) -> Result<PaymentConfirmRequest, Vec<BadField>> {
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| vec![BadField::new("body", format!("no JSON object: {error}"))])?;
    let mut fields = Fields {
        object,
        bad: Vec::new(),
    };
    let request = PaymentConfirmRequest {
        payment_key: fields.word("paymentKey", LONGEST_KEY),
        order_id: fields.text("orderId", LONGEST_ORDER),
        amount: fields.number("amount"),
        reservation_id: fields.number("reservationId"),
        ticket_type_id: fields.number("ticketTypeId"),
        user_id: fields.number("userId"),
    };
    if fields.bad.is_empty() {
        Ok(request)
    } else {
        Err(fields.bad)
    }
}

/// Whether the query asks to wait for Kafka's acknowledgement.
///
/// # Errors
/// A parameter that is none, or has no such value: a mistyped one would be a promise not kept.
pub(crate) fn waits(query: &BTreeMap<String, String>) -> Result<bool, Vec<BadField>> {
    let mut waits = false;
    let mut bad = Vec::new();
    for (name, value) in query {
        match (name.as_str(), value.as_str()) {
            ("sync", "true") => waits = true,
            ("sync", "false") => waits = false,
            ("sync", _) => bad.push(BadField::new("sync", "expected true or false")),
            (other, _) => bad.push(BadField::new(other, "the only parameter is sync")),
        }
    }
    if bad.is_empty() { Ok(waits) } else { Err(bad) }
}

/// An object, and what was found wrong with it so far.
struct Fields {
    object: Map<String, Value>,
    bad: Vec<BadField>,
}

impl Fields {
    fn text(&mut self, name: &str, longest: usize) -> String {
        match self.object.get(name) {
            Some(Value::String(text)) if (1..=longest).contains(&text.len()) => text.clone(),
            found => {
                let wrong = refusal(found, &format!("a text of 1 to {longest} bytes"));
                self.bad.push(BadField::new(name, wrong));
                String::new()
            }
        }
    }

    /// A text that can be part of an address and a header as it is.
    fn word(&mut self, name: &str, longest: usize) -> String {
        let text = self.text(name, longest);
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let wrong = "expected a text without blanks and control characters";
            self.bad.push(BadField::new(name, wrong));
        }
        text
    }

    fn number(&mut self, name: &str) -> i64 {
        let found = self.object.get(name);
        match found.and_then(Value::as_i64) {
            Some(number) if number > 0 => number,
            _ => {
                let wrong = refusal(found, "a whole number above 0");
                self.bad.push(BadField::new(name, wrong));
                0
            }
        }
    }
}

fn refusal(found: Option<&Value>, expected: &str) -> String {
    let found = match found {
        None => return format!("missing: expected {expected}"),
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "a number that is none",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    };
    format!("expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"paymentKey":"k","orderId":"o","amount":100,"reservationId":1,
        "ticketTypeId":2,"userId":3,"note":"more than asked"}"#;

    fn bad(body: &str) -> Vec<String> {
        let bad = payment(body.as_bytes()).unwrap_err();
        bad.into_iter().map(|bad| bad.field).collect()
    }

    #[test]
    fn a_whole_request_is_taken() {
        let request = payment(GOOD.as_bytes()).unwrap();
        assert_eq!((request.amount, request.ticket_type_id), (100, 2));
        assert_eq!(request.payment_key, "k");
    }

    #[test]
    fn every_bad_field_is_named() {
        assert_eq!(bad(r#"{"paymentKey":1}"#).len(), 6);
        for (good, wrong, field) in [
            ("100", "-5", "amount"),
            ("100", "1.5", "amount"),
            ("100", "\"100\"", "amount"),
            ("100", "1e300", "amount"),
            ("100", "9223372036854775808", "amount"),
            ("\"k\"", "\"\"", "paymentKey"),
            ("\"k\"", "null", "paymentKey"),
            ("\"k\"", "\"k \"", "paymentKey"),
            ("\"k\"", "\"a\\nb\"", "paymentKey"),
            ("\"o\"", "[]", "orderId"),
            (":1,", ":0,", "reservationId"),
            (":2,", ":true,", "ticketTypeId"),
            (":3,", ":{},", "userId"),
        ] {
            assert_eq!(bad(&GOOD.replacen(good, wrong, 1)), [field], "{wrong}");
        }
        let long = "x".repeat(LONGEST_KEY + 1);
        assert_eq!(
            bad(&GOOD.replacen("\"k\"", &format!("{long:?}"), 1)),
            ["paymentKey"]
        );
        for body in ["", "[1]", "{", "nonsense", "7"] {
            assert_eq!(bad(body), ["body"], "{body}");
        }
    }

    #[test]
    fn a_mistyped_parameter_is_not_ignored() {
        let query =
            |name: &str, value: &str| waits(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(waits(&BTreeMap::new()), Ok(false));
        assert_eq!(query("sync", "true"), Ok(true));
        assert_eq!(query("sync", "false"), Ok(false));
        assert_eq!(query("sync", "yes").unwrap_err()[0].field, "sync");
        assert_eq!(query("snyc", "true").unwrap_err()[0].field, "snyc");
    }
}
