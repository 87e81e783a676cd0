//! One HTTP call with a body of JSON.

use reqwest::{Client, StatusCode};
use serde_json::Value;

/// The answer: its status, and its body.
pub(crate) async fn post(url: &str, body: &Value) -> Result<(StatusCode, Value), reqwest::Error> {
    let client = Client::builder().no_proxy().build()?;
    let answer = client.post(url).json(body).send().await?;
    Ok((answer.status(), answer.json().await?))
}
