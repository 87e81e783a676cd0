//! A payment's way: written down as open, approved by the gateway, sent to the topic, and crossed out; nobody's hanging up
//! stops it on its way, and the process' end only delays it to the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla::{Client, Delivery, Error, Producer, Record};
use ottla_app::Failure;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::gateway::{Gateway, Refusal};
use crate::intents::{Intents, Open};
use crate::messages::{PaymentConfirmRequest, PaymentConfirmResponse, PaymentMessage, TYPE_ID};

/// Where approved payments go.
pub const TOPIC: &str = "payment-topic";

/// The topic's partitions, when it is made here.
pub const PARTITIONS: i32 = 3;

/// Enough, as nothing is open any more when the producer is closed.
const CLOSE: Duration = Duration::from_secs(10);

/// How often open payments are looked up.
const LOOK_UP: Duration = Duration::from_secs(30);

/// The gateway's no to a younger one may come before the question: another process may be at it.
const SETTLED: Duration = Duration::from_secs(30);

/// Confirms payments.
pub struct Payments {
    gateway: Arc<dyn Gateway>,
    producer: Producer,
    intents: Intents,
    /// Calls that have come whole and are not answered.
    calls: TaskTracker,
    /// Nothing is looked up any more.
    ending: CancellationToken,
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
    taken_up: AtomicU64,
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
    /// Approved and not acknowledged: the log was told the whole message, and who waited for it, too. They stay open, and
    /// are sent after the next start.
    pub undelivered: u64,
    /// Those among all of these that were open before, and were looked up at the gateway.
    pub taken_up: u64,
}

/// Why a payment is not confirmed, or not in the topic.
#[derive(Debug)]
pub enum NotConfirmed {
    /// It could not be written down, and the gateway was not asked.
    NotBegun(Failure),
    /// The application is ending, and the gateway was not asked.
    Ending,
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
    pub fn new(
        gateway: Arc<dyn Gateway>,
        client: &Client,
        intents: Intents,
    ) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self {
            gateway,
            producer: client.producer().build()?,
            intents,
            calls: TaskTracker::new(),
            ending: CancellationToken::new(),
            open: TaskTracker::new(),
            counts: Counts::default(),
        }))
    }

    /// Looks open payments up, now and every 30 seconds: those of an earlier process, and those that the gateway gave no
    /// answer to. Approved ones are sent.
    pub fn take_up_open(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.open.spawn(async move {
            while !this.ending.is_cancelled() {
                if let Err(failure) = this.look_up_open().await {
                    tracing::warn!(%failure, "open payments are looked up later");
                }
                tokio::select! {
                    () = sleep(LOOK_UP) => {}
                    () = this.ending.cancelled() => {}
                }
            }
        });
    }

    async fn look_up_open(self: &Arc<Self>) -> Result<(), Failure> {
        for Open { request, age } in self.intents.take_open().await? {
            if self.ending.is_cancelled() {
                return Ok(());
            }
            let payment_key = &request.payment_key;
            let answer = match self.gateway.look_up(&request).await {
                Err(Refusal::Unknown(why)) => {
                    tracing::warn!(payment_key, why, "an open payment stays open");
                    self.intents.leave(payment_key);
                    continue;
                }
                Err(Refusal::Declined(_)) if age < SETTLED => {
                    self.intents.leave(payment_key);
                    continue;
                }
                answer => answer,
            };
            count(&self.counts.taken_up);
            tracing::info!(payment_key, "an open payment is taken up");
            // What becomes of it is counted and logged; one after the other, so that their order stays.
            let _ = Arc::clone(self).go_on(request, answer, true).await;
        }
        Ok(())
    }

    /// A call that has come whole: while this is held, it is waited for.
    pub fn call(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// Waits until every call that has come whole is answered.
    pub async fn calls_answered(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    /// How many payments are open: on their way, or to be looked up after the next start.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn count_open(&self) -> Result<u64, Failure> {
        self.intents.count().await
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
        if self.open.is_closed() {
            return Err(NotConfirmed::Ending);
        }
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
        let begun = self.intents.begin(&request).await;
        begun.map_err(NotConfirmed::NotBegun)?;
        let answer = self.gateway.confirm(&request).await;
        self.go_on(request, answer, sync).await
    }

    /// With what the gateway has said.
    async fn go_on(
        self: Arc<Self>,
        request: PaymentConfirmRequest,
        answer: Result<PaymentConfirmResponse, Refusal>,
        sync: bool,
    ) -> Result<PaymentConfirmResponse, NotConfirmed> {
        let response = match answer {
            Ok(response) => response,
            Err(refusal) => {
                match &refusal {
                    Refusal::Declined(_) => {
                        count(&self.counts.declined);
                        self.intents.end(&request.payment_key).await;
                    }
                    Refusal::Unknown(_) => {
                        count(&self.counts.unknown);
                        self.intents.leave(&request.payment_key);
                    }
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
                self.intents.end(&message.request.payment_key).await;
                Ok(())
            }
            Err(error) => Err(self.not_delivered(message, error)),
        }
    }

    /// The log gets the whole message; the payment stays open, and is sent after the next start.
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
        self.ending.cancel();
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
            taken_up: of(&self.taken_up),
        }
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
