//! What happens when a user applies.

use ottla::{Client, Delivery, Producer, Record};
use ottla_app::Failure;

use crate::gate::Gate;

/// Where winners go: no key, the user's id as Java's `LongSerializer` writes it.
pub const TOPIC: &str = "coupon_create";

/// How many coupons there are.
pub const COUPONS: u64 = 100;

/// Takes applications.
pub struct Coupons {
    gate: Gate,
    producer: Producer,
}

/// What became of an application.
pub enum Applied {
    /// The user gets a coupon once this is delivered.
    Won(Delivery),
    /// All coupons are gone.
    TooLate,
}

impl Coupons {
    /// Lets applicants in by this gate.
    ///
    /// # Errors
    /// When the producer's settings are refused.
    pub fn new(gate: Gate, client: &Client) -> Result<Self, Failure> {
        let producer = client.producer().build()?;
        Ok(Self { gate, producer })
    }

    /// A user wants a coupon; the first 100 who do are sent to the topic.
    ///
    /// # Errors
    /// When the gate cannot be asked, or the winner cannot be sent.
    pub async fn apply(&self, user_id: i64) -> Result<Applied, Failure> {
        if self.gate.draw().await? > COUPONS {
            return Ok(Applied::TooLate);
        }
        let record = Record::to(TOPIC).value(user_id);
        Ok(Applied::Won(self.producer.enqueue(record).await?))
    }

    /// The counter.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Delivers what was sent.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }
}
