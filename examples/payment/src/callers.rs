//! Those who pay: one caller a ticket type, each payment after the answer to the one before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_app::{Failure, Progress};
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::messages::PaymentConfirmRequest;
use crate::stand_in::{DECLINED, SLOW};

/// Longer than the gateway and Kafka together may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Every so many payments one is declined, and one slow.
const DECLINED_EVERY: u64 = 7;
const SLOW_EVERY: u64 = 101;

/// What callers were told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// By ticket type: the keys of payments that were answered by 200, in order.
    pub approved: BTreeMap<i64, Vec<String>>,
    /// Declined payments.
    pub declined: u64,
    /// Payments with any other answer, and what it was.
    pub troubled: Vec<String>,
}

/// What each caller needs.
struct Calls {
    client: Client,
    url: String,
    /// Which every key of this run ends in.
    run: String,
    progress: Progress,
    interrupt: CancellationToken,
}

/// A text that no other run's keys end in.
pub(crate) fn new_run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!(
        "-{:x}-{:x}",
        std::process::id(),
        now.unwrap_or_default().as_micros()
    )
}

/// Makes payments, for tickets of types 1, 2, 3 ..., until `interrupt`.
///
/// # Errors
/// When the callers cannot begin.
pub(crate) async fn pay(
    server: &str,
    run: &str,
    (payments, ticket_types): (u64, usize),
    sync: bool,
    interrupt: &CancellationToken,
) -> Result<Told, Failure> {
    let client = Client::builder().timeout(PATIENCE).no_proxy().build();
    let calls = Arc::new(Calls {
        client: client.map_err(Failure::of("HTTP"))?,
        url: format!("{server}/payments/confirm?sync={sync}"),
        run: run.to_owned(),
        progress: Progress::new(payments, "payments"),
        interrupt: interrupt.clone(),
    });
    let mut callers = JoinSet::new();
    for ticket_type in 1..=ticket_types as u64 {
        let numbers = (ticket_type..=payments).step_by(ticket_types);
        callers.spawn(Arc::clone(&calls).pay_all(ticket_type.cast_signed(), numbers));
    }
    let mut told = Told::default();
    while let Some(one) = callers.join_next().await {
        let one = one.map_err(Failure::of("a caller"))?;
        told.approved.extend(one.approved);
        told.declined += one.declined;
        told.troubled.extend(one.troubled);
    }
    Ok(told)
}

impl Calls {
    async fn pay_all(
        self: Arc<Self>,
        ticket_type: i64,
        numbers: impl Iterator<Item = u64> + Send,
    ) -> Told {
        let mut told = Told::default();
        for number in numbers {
            if self.interrupt.is_cancelled() {
                break;
            }
            let request = self.payment(ticket_type, number);
            let sent = self.client.post(&self.url).json(&request).send().await;
            let key = request.payment_key;
            match sent.map(|answer| (answer.status(), answer)) {
                Ok((StatusCode::OK, _)) => {
                    told.approved.entry(ticket_type).or_default().push(key);
                }
                Ok((StatusCode::PAYMENT_REQUIRED, _)) => told.declined += 1,
                Ok((status, answer)) => {
                    let text = answer.text().await.unwrap_or_default();
                    told.troubled.push(format!("{key}: {status} {text}"));
                }
                Err(error) => told.troubled.push(format!("{key}: {error}")),
            }
            self.progress.step();
        }
        told
    }

    fn payment(&self, ticket_type: i64, number: u64) -> PaymentConfirmRequest {
        let what = match number {
            n if n % DECLINED_EVERY == 0 => DECLINED,
            n if n % SLOW_EVERY == 0 => SLOW,
            _ => "pay",
        };
        let id = number.cast_signed();
        PaymentConfirmRequest {
            payment_key: format!("{what}-{number}{}", self.run),
            order_id: format!("order-{number}"),
            amount: 1000 * (1 + id % 99),
            reservation_id: id,
            ticket_type_id: ticket_type,
            user_id: 1 + id % 997,
        }
    }
}
