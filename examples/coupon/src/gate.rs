//! Who is among the first: a counter that hands each number to one user alone, and each user one number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_app::Failure;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};

/// The counter's name in Redis.
const COUNT: &str = "coupon_count";

/// A hash in Redis: each user's number, or [`DONE`].
const USERS: &str = "coupon_users";

/// Instead of a number, once the user's record is delivered.
const DONE: u64 = 0;

/// Draws a number, unless the user has one: whether it is new, and which. In one step, whoever else asks.
const DRAW: &str = "local known = redis.call('HGET', KEYS[2], ARGV[1]) \
     if known then return {0, tonumber(known)} end \
     local drawn = redis.call('INCR', KEYS[1]) \
     redis.call('HSET', KEYS[2], ARGV[1], drawn) \
     return {1, drawn}";

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a connection is tried again, each time after a longer while.
const RETRIES: usize = 3;

/// The counter.
pub enum Gate {
    /// For applicants of this process: each user's number, or 0 once the user's record is delivered.
    Process(Mutex<HashMap<i64, u64>>),
    /// For applicants of every process.
    Redis(ConnectionManager),
}

/// A user's number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// The next one.
    New(u64),
    /// The one that the user has drawn before; nobody knows that the record is delivered.
    Before(u64),
    /// The user's record is delivered.
    Done,
}

impl Gate {
    /// Connects to Redis, where there is a URL.
    ///
    /// # Errors
    /// When the URL is no Redis', or Redis does not answer.
    pub async fn open(url: Option<&str>) -> Result<Self, Failure> {
        let Some(url) = url else {
            return Ok(Self::Process(Mutex::default()));
        };
        let client = Client::open(url).map_err(|error| Failure::option("--redis", error))?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(RETRIES);
        let manager = client.get_connection_manager_with_config(config).await;
        manager.map(Self::Redis).map_err(Failure::of("Redis"))
    }

    /// The user's number; asked again, as when the answer got lost, it is the same, and none is drawn.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn draw(&self, user_id: i64) -> Result<Drawn, Failure> {
        let (new, number) = match self {
            Self::Process(users) => {
                let mut users = lock(users);
                let next = users.len() as u64 + 1;
                match users.insert(user_id, next) {
                    None => (1, next),
                    Some(known) => {
                        users.insert(user_id, known);
                        (0, known)
                    }
                }
            }
            Self::Redis(redis) => {
                let mut eval = redis::cmd("EVAL");
                eval.arg(DRAW).arg(2).arg(COUNT).arg(USERS).arg(user_id);
                let drawn: Result<(u8, u64), RedisError> =
                    eval.query_async(&mut redis.clone()).await;
                drawn.map_err(Failure::of("Redis, drawing a number"))?
            }
        };
        Ok(match (new, number) {
            (1, number) => Drawn::New(number),
            (_, DONE) => Drawn::Done,
            (_, number) => Drawn::Before(number),
        })
    }

    /// The user's record is delivered: when the user asks again, it is not sent again.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn done(&self, user_id: i64) -> Result<(), Failure> {
        match self {
            Self::Process(users) => {
                lock(users).insert(user_id, DONE);
            }
            Self::Redis(redis) => {
                let set: Result<(), _> = redis.clone().hset(USERS, user_id, DONE).await;
                set.map_err(Failure::of("Redis"))?;
            }
        }
        Ok(())
    }

    /// How many numbers were drawn.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn drawn(&self) -> Result<u64, Failure> {
        match self {
            Self::Process(users) => Ok(lock(users).len() as u64),
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
            Self::Process(users) => lock(users).clear(),
            Self::Redis(redis) => {
                let deleted: Result<(), _> = redis.clone().del(&[COUNT, USERS]).await;
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

fn lock(users: &Mutex<HashMap<i64, u64>>) -> MutexGuard<'_, HashMap<i64, u64>> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}
