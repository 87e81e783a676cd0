//! What happens when a user applies.

use ottla::{Client, Delivery, Producer, Record};
use ottla_app::Failure;

use crate::gate::{Drawn, Gate};

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
    /// The user gets a coupon once this is delivered: see [`Coupons::delivered`].
    Won(Won),
    /// The user won before, and the record is delivered.
    Before,
    /// All coupons are gone.
    TooLate,
}

/// A winner, on the way to the topic.
pub struct Won {
    user_id: i64,
    delivery: Delivery,
    /// The user won before, and nobody knew that the record was delivered.
    pub again: bool,
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
    /// Who applies again, by a second click or because of an error, takes nobody's coupon: a winner is sent once more if the
    /// record may not have arrived, which makes no second coupon.
    ///
    /// # Errors
    /// When the gate cannot be asked, or the winner cannot be sent: applying again is all right.
    pub async fn apply(&self, user_id: i64) -> Result<Applied, Failure> {
        let again = match self.gate.draw(user_id).await? {
            Drawn::New(number) | Drawn::Before(number) if number > COUPONS => {
                return Ok(Applied::TooLate);
            }
            Drawn::Done => return Ok(Applied::Before),
            Drawn::New(_) => false,
            Drawn::Before(_) => true,
        };
        let record = Record::to(TOPIC).value(user_id);
        Ok(Applied::Won(Won {
            user_id,
            delivery: self.producer.enqueue(record).await?,
            again,
        }))
    }

    /// Waits until a winner is in the topic, and remembers it.
    ///
    /// # Errors
    /// When the record may not be there, and the user has to apply again.
    pub async fn delivered(&self, won: Won) -> Result<(), Failure> {
        won.delivery.await?;
        if let Err(failure) = self.gate.done(won.user_id).await {
            // Should the user apply again, the record is sent again, and finds the coupon saved.
            tracing::warn!(%failure, user_id = won.user_id, "not remembered as delivered");
        }
        Ok(())
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
