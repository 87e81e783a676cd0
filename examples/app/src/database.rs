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

/// What the types of columns are called.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    /// A primary key that counts up.
    id: &'static str,
    /// A text of up to 255 letters, every one of which counts; `{name}` is its column.
    key: &'static str,
    /// A text of any length.
    text: &'static str,
    /// Bytes.
    bytes: &'static str,
}

/// SQLite keeps no length by itself.
const SQLITE: Dialect = Dialect {
    id: "INTEGER PRIMARY KEY AUTOINCREMENT",
    key: "TEXT CHECK (length({name}) <= 255)",
    text: "TEXT",
    bytes: "BLOB",
};

/// The collation compares letters by their numbers, and, unlike `utf8mb4_bin`, does not ignore blanks at the end.
const MYSQL: Dialect = Dialect {
    id: "BIGINT AUTO_INCREMENT PRIMARY KEY",
    key: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
    text: "LONGTEXT CHARACTER SET utf8mb4",
    bytes: "LONGBLOB",
};

/// MariaDB's name for the same.
const MARIADB: Dialect = Dialect {
    key: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
    ..MYSQL
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
        let is_server = connections > 1;
        Ok(Self {
            dialect: if is_server && is_mariadb(&pool).await? {
                MARIADB
            } else {
                dialect
            },
            pool,
            place,
        })
    }

    /// Makes a table when it is missing. In `columns`, which begin with their names and have a comma and a blank between
    /// them, `{id}` is the type of a primary key that counts up, `{key}` that of a text of up to 255 letters, compared byte
    /// by byte, `{text}` that of any text, and `{bytes}` that of bytes.
    ///
    /// # Errors
    /// The database's refusal.
    pub async fn create_table(&self, name: &str, columns: &str) -> Result<(), Failure> {
        let columns: Vec<_> = columns
            .split(", ")
            .map(|column| self.dialect.column(column.trim()))
            .collect();
        let columns = columns.join(", ");
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

impl Dialect {
    fn column(&self, column: &str) -> String {
        let name = column.split_whitespace().next().unwrap_or_default();
        column
            .replace("{id}", self.id)
            .replace("{key}", &self.key.replace("{name}", name))
            .replace("{text}", self.text)
            .replace("{bytes}", self.bytes)
    }
}

async fn is_mariadb(pool: &AnyPool) -> Result<bool, Failure> {
    let version: String = sqlx::query_scalar("SELECT VERSION()")
        .fetch_one(pool)
        .await?;
    Ok(version.contains("MariaDB"))
}

/// Whether a row was refused because it is there already, by the unique key that begins with this column.
///
/// Of another key it is no sign that the same row is there: see [`is_unfit`].
#[must_use]
pub fn is_there_already(error: &sqlx::Error, column: &str) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() && violated(error.message()) == Some(column)
    })
}

/// The first column of the unique key that a refusal names.
fn violated(message: &str) -> Option<&str> {
    // SQLite: "UNIQUE constraint failed: payment.payment_key, payment.other".
    let key = match message.rsplit_once("constraint failed: ") {
        Some((_, columns)) => columns.split(", ").next()?,
        // MySQL: "Duplicate entry 'x' for key 'payment.payment_key'"; MariaDB without the table.
        None => message.rsplit_once("for key '")?.1.strip_suffix('\'')?,
    };
    Some(key.rsplit_once('.').map_or(key, |(_, column)| column))
}

/// Whether a row will never be taken as it is: a value that is too long for its column, or that a constraint forbids.
#[must_use]
pub fn is_unfit(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        let constraint = error.is_unique_violation()
            || error.is_check_violation()
            || error.is_foreign_key_violation();
        // "Data exception", and what must not be null; SQLite's numbers of types and nulls.
        let code = error.code().unwrap_or_default();
        constraint || code.starts_with("22") || ["23000", "20", "1299"].contains(&&*code)
    })
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
        assert!(is_there_already(&insert(1).await.unwrap_err(), "user_id"));
        insert(2).await.unwrap();
    }

    #[test]
    fn a_refusal_names_the_key_that_is_there() {
        for (message, column) in [
            (
                "UNIQUE constraint failed: payment.payment_key",
                "payment_key",
            ),
            ("UNIQUE constraint failed: t.a, t.b", "a"),
            ("Duplicate entry 'k' for key 'payment_key'", "payment_key"),
            (
                "Duplicate entry 'k' for key 'payment.payment_key'",
                "payment_key",
            ),
            ("Duplicate entry '7' for key 'PRIMARY'", "PRIMARY"),
            ("Duplicate entry 'x for key 'a'' for key 't.b'", "b"),
        ] {
            assert_eq!(violated(message), Some(column), "{message}");
        }
        assert_eq!(violated("something else"), None);
    }

    #[tokio::test]
    async fn a_row_that_does_not_fit_is_told_from_one_that_is_there() {
        let database = Database::open(None).await.unwrap();
        let columns = "id {id}, name {key} NOT NULL UNIQUE, email {key} UNIQUE";
        database.create_table("t", columns).await.unwrap();
        let insert = async |name: Option<&str>, email: Option<&str>| {
            sqlx::query("INSERT INTO t (name, email) VALUES (?, ?)")
                .bind(name)
                .bind(email)
                .execute(database.pool())
                .await
        };
        insert(Some("ann"), Some("a@b")).await.unwrap();
        let (longest, long) = ("x".repeat(255), "x".repeat(256));
        insert(Some(&longest), None).await.unwrap();
        for (name, email, unfit, there) in [
            (Some("ann"), None, true, true),
            (Some("bob"), Some("a@b"), true, false),
            (Some(long.as_str()), None, true, false),
            (None, None, true, false),
        ] {
            let error = insert(name, email).await.unwrap_err();
            assert_eq!(is_unfit(&error), unfit, "{error}");
            assert_eq!(is_there_already(&error, "name"), there, "{error}");
        }
        let error = sqlx::query("INSERT INTO nowhere (a) VALUES (1)");
        let error = error.execute(database.pool()).await.unwrap_err();
        assert!(!is_unfit(&error), "{error}");
    }
}
