//! The table of coupons, in which a user can be but once.

use std::collections::HashSet;

use ottla::RecordRef;
use ottla_app::{Database, Failure, SetAside, is_there_already};

/// `Coupon { id, user_id }`; the unique key makes saving again harmless.
#[derive(Clone)]
pub struct Store {
    database: Database,
    aside: SetAside,
}

impl Store {
    /// The table, and the one of records that are no coupon, made when they are missing.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn open(database: Database) -> Result<Self, Failure> {
        let columns = "id {id}, user_id BIGINT NOT NULL UNIQUE";
        database.create_table("coupon", columns).await?;
        let aside = SetAside::open(database.clone()).await?;
        Ok(Self { database, aside })
    }

    /// Saves a user's coupon; `false` when it was saved before.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn save(&self, user_id: i64) -> Result<bool, sqlx::Error> {
        let insert = sqlx::query("INSERT INTO coupon (user_id) VALUES (?)").bind(user_id);
        match insert.execute(self.database.pool()).await {
            Ok(_) => Ok(true),
            Err(error) if is_there_already(&error, "user_id") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps a record that is no user's id, or none that the table takes, with the reason.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn set_aside(&self, record: RecordRef<'_>, reason: &str) -> Result<(), sqlx::Error> {
        self.aside.put(record, reason).await
    }

    /// How many coupons there are.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn count(&self) -> Result<u64, Failure> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM coupon")
            .fetch_one(self.database.pool())
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Who has one.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn users(&self) -> Result<HashSet<i64>, Failure> {
        let users: Vec<i64> = sqlx::query_scalar("SELECT user_id FROM coupon")
            .fetch_all(self.database.pool())
            .await?;
        Ok(users.into_iter().collect())
    }

    /// Forgets all coupons.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn reset(&self) -> Result<(), Failure> {
        let delete = sqlx::query("DELETE FROM coupon");
        delete.execute(self.database.pool()).await?;
        Ok(())
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        self.database.place()
    }
}
