//! Payments that the gateway is asked for: written down before, and crossed out when they have come to their end.
//!
//! A process that dies between the two leaves them open; the next one looks them up, so that no approved payment is lost.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_app::{Database, Failure, is_there_already};

use crate::messages::PaymentConfirmRequest;

const COLUMNS: &str = "id {id}, payment_key {key} NOT NULL UNIQUE, request {text} NOT NULL, \
     begun BIGINT NOT NULL";

const INSERT: &str = "INSERT INTO payment_intent (payment_key, request, begun) VALUES (?, ?, ?)";

/// An open payment.
pub struct Open {
    /// What was asked.
    pub request: PaymentConfirmRequest,
    /// How long ago.
    pub age: Duration,
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// The table of open payments.
pub struct Intents {
    database: Database,
    /// Those that this process is at.
    ours: Mutex<HashSet<String>>,
}

impl Intents {
    /// The table, made when it is missing.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn open(database: Database) -> Result<Self, Failure> {
        database.create_table("payment_intent", COLUMNS).await?;
        Ok(Self {
            database,
            ours: Mutex::default(),
        })
    }

    /// Writes a payment down; one that is open already stays so.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn begin(&self, request: &PaymentConfirmRequest) -> Result<(), Failure> {
        self.ours().insert(request.payment_key.clone());
        let text = serde_json::to_string(request).map_err(Failure::of("JSON"))?;
        let insert = sqlx::query(INSERT)
            .bind(&request.payment_key)
            .bind(text)
            .bind(now());
        match insert.execute(self.database.pool()).await {
            Err(error) if !is_there_already(&error, "payment_key") => {
                self.ours().remove(&request.payment_key);
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Crosses out a payment that is delivered, or was never made.
    ///
    /// One that cannot be crossed out now is looked up once more after the next start, which does no harm.
    pub async fn end(&self, payment_key: &str) {
        let delete = sqlx::query("DELETE FROM payment_intent WHERE payment_key = ?");
        let deleted = delete.bind(payment_key).execute(self.database.pool()).await;
        if let Err(error) = deleted {
            tracing::warn!(%error, payment_key, "a payment that is done is still open");
        }
        self.ours().remove(payment_key);
    }

    /// A payment of which nothing is known stays open, to be looked up.
    pub fn leave(&self, payment_key: &str) {
        self.ours().remove(payment_key);
    }

    /// The open payments that this process is not at, the oldest first; from now on it is at them.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn take_open(&self) -> Result<Vec<Open>, Failure> {
        // What comes to its end while the database answers is not open any more.
        let before = self.ours().clone();
        let select = sqlx::query_as("SELECT request, begun FROM payment_intent ORDER BY id");
        let all: Vec<(String, i64)> = select.fetch_all(self.database.pool()).await?;
        let mut ours = self.ours();
        let open = all.iter().filter_map(|(text, begun)| {
            let request: PaymentConfirmRequest = serde_json::from_str(text).ok()?;
            let key = &request.payment_key;
            let new = !before.contains(key) && ours.insert(key.clone());
            let age = u64::try_from(now() - begun).unwrap_or(0);
            let age = Duration::from_millis(age);
            new.then_some(Open { request, age })
        });
        Ok(open.collect())
    }

    /// How many are open.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn count(&self) -> Result<u64, Failure> {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM payment_intent");
        let count: i64 = count.fetch_one(self.database.pool()).await?;
        Ok(count.unsigned_abs())
    }

    fn ours(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
