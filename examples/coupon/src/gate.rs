//! Who is among the first: a counter that hands each number to one applicant alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_app::Failure;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};

/// The counter's name in Redis.
const COUNT: &str = "coupon_count";

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a connection is tried again, each time after a longer while.
const RETRIES: usize = 3;

/// The counter.
pub enum Gate {
    /// For applicants of this process.
    Process(AtomicU64),
    /// For applicants of every process.
    Redis(ConnectionManager),
}

impl Gate {
    /// Connects to Redis, where there is a URL.
    ///
    /// # Errors
    /// When the URL is no Redis', or Redis does not answer.
    pub async fn open(url: Option<&str>) -> Result<Self, Failure> {
        let Some(url) = url else {
            return Ok(Self::Process(AtomicU64::new(0)));
        };
        let client = Client::open(url).map_err(|error| Failure::option("--redis", error))?;
        // A count whose answer is given up on may be lost to everybody: it is worth waiting for.
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(RETRIES);
        let manager = client.get_connection_manager_with_config(config).await;
        manager.map(Self::Redis).map_err(Failure::of("Redis"))
    }

    /// The applicant's number, from 1; nobody else has or gets it.
    ///
    /// # Errors
    /// When Redis does not answer: nobody can tell then whether a number was drawn.
    pub async fn draw(&self) -> Result<u64, Failure> {
        match self {
            Self::Process(count) => Ok(count.fetch_add(1, Ordering::Relaxed) + 1),
            Self::Redis(redis) => {
                let drawn = redis.clone().incr(COUNT, 1).await;
                drawn.map_err(Failure::of("Redis, INCR coupon_count"))
            }
        }
    }

    /// How many numbers were drawn.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn drawn(&self) -> Result<u64, Failure> {
        match self {
            Self::Process(count) => Ok(count.load(Ordering::Relaxed)),
            Self::Redis(redis) => {
                let count: Result<Option<u64>, _> = redis.clone().get(COUNT).await;
                Ok(count.map_err(Failure::of("Redis"))?.unwrap_or(0))
            }
        }
    }

    /// Begins anew.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn reset(&self) -> Result<(), Failure> {
        match self {
            Self::Process(count) => count.store(0, Ordering::Relaxed),
            Self::Redis(redis) => {
                let deleted: Result<(), _> = redis.clone().del(COUNT).await;
                deleted.map_err(Failure::of("Redis"))?;
            }
        }
        Ok(())
    }

    /// What it is, for people.
    #[must_use]
    pub fn place(&self) -> &'static str {
        match self {
            Self::Process(_) => "a counter in this process",
            Self::Redis(_) => "Redis",
        }
    }
}
