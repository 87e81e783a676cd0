//! The table of payments, in which a payment can be but once.

use ottla::RecordRef;
use ottla_app::{Database, Failure, SetAside, is_there_already};

use crate::messages::PaymentMessage;

/// The unique key makes saving again harmless.
const COLUMNS: &str = "id {id}, payment_key {key} NOT NULL UNIQUE, order_id {key} NOT NULL, \
     reservation_id BIGINT NOT NULL, ticket_type_id BIGINT NOT NULL, user_id BIGINT NOT NULL, \
     amount BIGINT NOT NULL, status {key} NOT NULL, method {key} NOT NULL, \
     approved_at {key} NOT NULL, topic_partition BIGINT NOT NULL";

const INSERT: &str = "INSERT INTO payment (payment_key, order_id, reservation_id, ticket_type_id, \
     user_id, amount, status, method, approved_at, topic_partition) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Payments that were received.
#[derive(Clone)]
pub struct Store {
    database: Database,
    aside: SetAside,
}

/// A payment and the partition that it came from.
pub struct Received {
    /// What was in the record.
    pub message: PaymentMessage,
    /// Where the record was.
    pub partition: i32,
}

/// A row of the table, as far as it is compared with what was sent.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Saved {
    /// The gateway's name of the payment.
    pub payment_key: String,
    /// What it is a ticket for.
    pub ticket_type_id: i64,
    /// Where its record was.
    pub topic_partition: i64,
}

impl Store {
    /// The table, and the one of records that it does not take, made when they are missing.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn open(database: Database) -> Result<Self, Failure> {
        database.create_table("payment", COLUMNS).await?;
        let aside = SetAside::open(database.clone()).await?;
        Ok(Self { database, aside })
    }

    /// Keeps a record that is no payment, or none that the table takes, with the reason.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn set_aside(&self, record: RecordRef<'_>, reason: &str) -> Result<(), sqlx::Error> {
        self.aside.put(record, reason).await
    }

    /// Saves payments in their order, all or none; gives the number of those that were not there before.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn save(&self, payments: &[Received]) -> Result<usize, sqlx::Error> {
        let mut transaction = self.database.pool().begin().await?;
        let mut new = 0;
        for Received { message, partition } in payments {
            let (request, response) = (&message.request, &message.response);
            let insert = sqlx::query(INSERT)
                .bind(&request.payment_key)
                .bind(&request.order_id)
                .bind(message.reservation_id)
                .bind(request.ticket_type_id)
                .bind(request.user_id)
                .bind(response.total_amount)
                .bind(&response.status)
                .bind(&response.method)
                .bind(&response.approved_at)
                .bind(i64::from(*partition));
            match insert.execute(&mut *transaction).await {
                Ok(_) => new += 1,
                // The record came before; only this statement is undone.
                Err(error) if is_there_already(&error, "payment_key") => {}
                Err(error) => return Err(error),
            }
        }
        transaction.commit().await?;
        Ok(new)
    }

    /// All payments whose key ends so, in the order in which they were saved.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn ending_in(&self, suffix: &str) -> Result<Vec<Saved>, Failure> {
        let select = "SELECT payment_key, ticket_type_id, topic_partition FROM payment \
             WHERE payment_key LIKE ? ORDER BY id";
        let saved = sqlx::query_as(select).bind(format!("%{suffix}"));
        Ok(saved.fetch_all(self.database.pool()).await?)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        self.database.place()
    }
}
