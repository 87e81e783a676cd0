//! One pool for SQLite and MySQL, and the little in which their SQL differs.

use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::{AnyPoolOptions, install_default_drivers};

use crate::Failure;

/// A database of the application's own, in memory; gone with the process.
const IN_MEMORY: &str = "sqlite::memory:";

/// Connections to a server; SQLite has one writer anyway, and in memory a connection is a database.
const CONNECTIONS: u32 = 8;

/// How long to wait for a connection, also while the database is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What columns are called.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    /// A primary key that counts up.
    id: &'static str,
    /// A text whose every letter counts, also whether it is large.
    key: &'static str,
}

const SQLITE: Dialect = Dialect {
    id: "INTEGER PRIMARY KEY AUTOINCREMENT",
    key: "TEXT",
};

const MYSQL: Dialect = Dialect {
    id: "BIGINT AUTO_INCREMENT PRIMARY KEY",
    key: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
};

/// The application's tables.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    dialect: Dialect,
    place: String,
}

impl Database {
    /// Connects; without a URL to SQLite in memory.
    ///
    /// # Errors
    /// When the URL is neither MySQL's nor SQLite's, or the database cannot be reached.
    pub async fn open(url: Option<&str>) -> Result<Self, Failure> {
        install_default_drivers();
        let (connections, dialect) = match url.and_then(|url| url.split_once(':')) {
            None if url.is_some() => return Err(unknown()),
            None | Some(("sqlite", _)) => (1, SQLITE),
            Some(("mysql" | "mariadb", _)) => (CONNECTIONS, MYSQL),
            Some(_) => return Err(unknown()),
        };
        let place = url.map_or_else(|| "SQLite in memory".to_owned(), without_password);
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            // What is in memory ends with its connection.
            .idle_timeout(None)
            .max_lifetime(None)
            .connect(&url.map_or_else(|| IN_MEMORY.to_owned(), creating))
            .await
            .map_err(Failure::of(format!("database {place}")))?;
        Ok(Self {
            pool,
            dialect,
            place,
        })
    }

    /// Makes a table when it is missing. In `columns`, `{id}` is the type of a primary key that counts up, and `{key}`
    /// that of a text of up to 255 letters, compared byte by byte.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn create_table(&self, name: &str, columns: &str) -> Result<(), Failure> {
        let columns = columns
            .replace("{id}", self.dialect.id)
            .replace("{key}", self.dialect.key);
        let statement = format!("CREATE TABLE IF NOT EXISTS {name} ({columns})");
        // Made of the application's own names alone.
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Where it is, for people, without a password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Whether a row was refused because its key is there already.
#[must_use]
pub fn is_there_already(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

fn unknown() -> Failure {
    Failure::option("--database", "expected mysql://... or sqlite:FILE")
}

/// An SQLite file is made when it is missing.
fn creating(url: &str) -> String {
    match url {
        url if url.starts_with("sqlite:") && !url.contains('?') && url != IN_MEMORY => {
            format!("{url}?mode=rwc")
        }
        url => url.to_owned(),
    }
}

/// `mysql://user:secret@host/name` without user and password.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, _) = url.split_at(scheme + "://".len());
            let (_, host) = url.split_at(at + 1);
            format!("{scheme}{host}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("mysql://root:p@ss@db:3306/x", "mysql://db:3306/x"),
            ("mysql://db/x", "mysql://db/x"),
            ("sqlite:file.db", "sqlite:file.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[tokio::test]
    async fn what_is_no_database_is_told_by_the_option() {
        for url in ["postgres://db/x", "file.db", ""] {
            let wrong = Database::open(Some(url)).await.unwrap_err();
            assert_eq!(wrong.status(), 2, "{url}");
            assert!(wrong.to_string().starts_with("--database: "), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_unique_key_decides_who_is_there_already() {
        let database = Database::open(None).await.unwrap();
        let columns = "id {id}, user_id BIGINT NOT NULL UNIQUE";
        database.create_table("t", columns).await.unwrap();
        let insert = |user: i64| {
            sqlx::query("INSERT INTO t (user_id) VALUES (?)")
                .bind(user)
                .execute(database.pool())
        };
        insert(1).await.unwrap();
        assert!(is_there_already(&insert(1).await.unwrap_err()));
        insert(2).await.unwrap();
    }
}
