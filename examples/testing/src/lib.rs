//! What the applications' tests need beside Kafka: real Redis and MariaDB, and the applications as programs.

#![forbid(unsafe_code)]

mod mariadb;
mod place;
mod program;
mod redis;
mod suite;

use std::time::{Duration, Instant};

pub use kafka_cluster::ProducedRecord;
pub use mariadb::MariaDb;
pub use place::Folder;
pub use program::{Ended, Program, folder};
pub use redis::Redis;
pub use suite::{Outcome, Parts, Suite};

/// Longest wait for anything; nothing comes near it unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Waits for a condition.
///
/// # Panics
/// When it does not hold within `limit`.
pub async fn eventually(limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(limit, wait).await;
    held.expect("in time");
}

/// Looks until something is there, for at most [`LIMIT`].
///
/// # Errors
/// What was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("{what}: not after {LIMIT:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
