//! Records that cannot be saved: kept in a table, with the reason, so that those behind them go on.

use ottla::RecordRef;

use crate::{Database, Failure, is_there_already};

/// The unique key makes setting aside again harmless. A topic that is made anew has another id.
const COLUMNS: &str = "id {id}, topic_id {key} NOT NULL, topic {key} NOT NULL, \
     topic_partition BIGINT NOT NULL, record_offset BIGINT NOT NULL, record_key {bytes}, \
     record_value {bytes}, reason {text} NOT NULL, \
     UNIQUE (topic_id, topic, topic_partition, record_offset)";

const INSERT: &str = "INSERT INTO set_aside (topic_id, topic, topic_partition, record_offset, \
     record_key, record_value, reason) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// The table `set_aside`.
#[derive(Clone, Debug)]
pub struct SetAside {
    database: Database,
}

impl SetAside {
    /// The table, made when it is missing.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn open(database: Database) -> Result<Self, Failure> {
        database.create_table("set_aside", COLUMNS).await?;
        Ok(Self { database })
    }

    /// Keeps a record, and tells the log.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn put(&self, record: RecordRef<'_>, reason: &str) -> Result<(), sqlx::Error> {
        let (partition, offset) = (record.topic_partition(), record.offset());
        tracing::error!(%partition, offset, reason, "set aside: see the table set_aside");
        let insert = sqlx::query(INSERT)
            .bind(record.topic_id().to_string())
            .bind(record.topic())
            .bind(i64::from(record.partition()))
            .bind(offset)
            .bind(record.key())
            .bind(record.value())
            .bind(reason);
        match insert.execute(self.database.pool()).await {
            Err(error) if !is_there_already(&error, "topic_id") => Err(error),
            _ => Ok(()),
        }
    }
}
