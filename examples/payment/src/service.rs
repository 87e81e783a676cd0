//! A payment's way: the gateway approves, the topic gets it, and nobody's hanging up stops it between the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla::{Client, Delivery, Error, Producer, Record};
use ottla_app::Failure;
use tokio_util::task::TaskTracker;

use crate::gateway::{Gateway, Refusal};
use crate::messages::{PaymentConfirmRequest, PaymentConfirmResponse, PaymentMessage, TYPE_ID};

/// Where approved payments go.
pub const TOPIC: &str = "payment-topic";

/// The topic's partitions, when it is made here.
pub const PARTITIONS: i32 = 3;

/// Enough, as nothing is open any more when the producer is closed.
const CLOSE: Duration = Duration::from_secs(10);

/// Confirms payments.
pub struct Payments {
    gateway: Arc<dyn Gateway>,
    producer: Producer,
    /// Payments between the gateway and Kafka's acknowledgement.
    open: TaskTracker,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    approved: AtomicU64,
    declined: AtomicU64,
    unknown: AtomicU64,
    delivered: AtomicU64,
    undelivered: AtomicU64,
}

/// What became of payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The gateway said yes.
    pub approved: u64,
    /// The gateway said no.
    pub declined: u64,
    /// The gateway said nothing.
    pub unknown: u64,
    /// Approved and acknowledged by Kafka.
    pub delivered: u64,
    /// Approved and not acknowledged: the log was told the whole message, and who waited for it, too.
    pub undelivered: u64,
}

/// Why a payment is not confirmed, or not in the topic.
#[derive(Debug)]
pub enum NotConfirmed {
    /// There is no approval.
    Refused(Refusal),
    /// It is approved, and Kafka has not acknowledged it.
    NotDelivered {
        /// The approval.
        response: Box<PaymentConfirmResponse>,
        /// Why; it tells whether the message may be in the topic all the same.
        error: Error,
    },
    /// The work on it ended early, which is a fault of the program.
    Broken(String),
}

impl Payments {
    /// Sends what this gateway approves.
    ///
    /// # Errors
    /// When the producer's settings are refused.
    pub fn new(gateway: Arc<dyn Gateway>, client: &Client) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self {
            gateway,
            producer: client.producer().build()?,
            open: TaskTracker::new(),
            counts: Counts::default(),
        }))
    }

    /// Confirms a payment, and with `sync` waits until Kafka has it; else Kafka gets it in the background.
    ///
    /// Dropping the future does not stop what was begun: an approved payment is sent all the same.
    ///
    /// # Errors
    /// The gateway's refusal; or an approval that did not get to Kafka.
    pub async fn confirm(
        self: &Arc<Self>,
        request: PaymentConfirmRequest,
        sync: bool,
    ) -> Result<PaymentConfirmResponse, NotConfirmed> {
        let this = Arc::clone(self);
        let work = async move { this.approve_and_send(request, sync).await };
        match self.open.spawn(work).await {
            Ok(confirmed) => confirmed,
            Err(error) => Err(NotConfirmed::Broken(error.to_string())),
        }
    }

    async fn approve_and_send(
        self: Arc<Self>,
        request: PaymentConfirmRequest,
        sync: bool,
    ) -> Result<PaymentConfirmResponse, NotConfirmed> {
        let response = match self.gateway.confirm(&request).await {
            Ok(response) => response,
            Err(refusal) => {
                match &refusal {
                    Refusal::Declined(_) => count(&self.counts.declined),
                    Refusal::Unknown(_) => count(&self.counts.unknown),
                }
                return Err(NotConfirmed::Refused(refusal));
            }
        };
        count(&self.counts.approved);
        let message = PaymentMessage::new(request, response.clone());
        let delivery = match self.send(&message).await {
            Ok(delivery) => delivery,
            Err(error) => return Err(self.not_delivered(message, error)),
        };
        if sync {
            return self.delivered(message, delivery).await.map(|()| response);
        }
        let this = Arc::clone(&self);
        // What becomes of it is counted, and told to the log when it is no good.
        self.open
            .spawn(async move { this.delivered(message, delivery).await.is_ok() });
        Ok(response)
    }

    /// Hands a payment to the producer; payments of one ticket type go one after another into one partition.
    async fn send(&self, message: &PaymentMessage) -> Result<Delivery, Error> {
        let key = message.request.ticket_type_id.to_string();
        let record = Record::to(TOPIC).key(&key).json(message)?.type_id(TYPE_ID);
        self.producer.enqueue(record).await
    }

    async fn delivered(
        &self,
        message: PaymentMessage,
        delivery: Delivery,
    ) -> Result<(), NotConfirmed> {
        match delivery.await {
            Ok(_) => {
                count(&self.counts.delivered);
                Ok(())
            }
            Err(error) => Err(self.not_delivered(message, error)),
        }
    }

    /// The log gets the whole message: with it, and the gateway's records, the payment can be sent again.
    fn not_delivered(&self, message: PaymentMessage, error: Error) -> NotConfirmed {
        count(&self.counts.undelivered);
        let text = serde_json::to_string(&message).unwrap_or_else(|_| format!("{message:?}"));
        let possibly_written = error.possibly_written();
        tracing::error!(%error, possibly_written, message = %text, "an approved payment was not delivered");
        NotConfirmed::NotDelivered {
            response: Box::new(message.response),
            error,
        }
    }

    /// What became of payments so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.counts.totals()
    }

    /// Waits until every payment that was begun has come to its end, and is delivered or told of.
    ///
    /// # Errors
    /// When the producer was closed before.
    pub async fn finish(&self) -> Result<(), Failure> {
        self.open.close();
        self.producer.flush().await?;
        self.open.wait().await;
        self.producer.close(CLOSE).await?;
        Ok(())
    }
}

impl Counts {
    fn totals(&self) -> Totals {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            approved: of(&self.approved),
            declined: of(&self.declined),
            unknown: of(&self.unknown),
            delivered: of(&self.delivered),
            undelivered: of(&self.undelivered),
        }
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
