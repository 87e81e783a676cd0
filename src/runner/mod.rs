//! Handlers instead of a loop: an application gives an async function, and a [`Runner`] does the rest.
//!
//! It reads as a member of a group, calls the handler with many records at a time in the order that was asked for, tries
//! again what fails, sends what fails for good to a dead-letter topic, and commits what is finished.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::runner::Runner;
//! use ottla::{Client, ConsumerRecord};
//!
//! # async fn save(_: &str) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let client = Client::connect("localhost:9092,localhost:9102").await?;
//! let producer = client.producer().build()?;
//! let runner = Runner::builder(client.consumer("payment-service").subscribe(["payment-topic"]))
//!     .dead_letters(&producer)
//!     .start(|record: ConsumerRecord, _context| async move {
//!         let payment: &str = record.value_as()?;
//!         save(payment).await?;
//!         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//!     })
//!     .await?;
//!
//! let error = runner.failed().await; // beside Ctrl-C, in a `select!`
//! let account = runner.shutdown(Duration::from_secs(10)).await;
//! println!("{error}: {} handled, {} left", account.handled, account.left);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - Each record is handled at least once. What is repeated, after a crash or by another member, is what was unfinished,
//!   or finished since the last commit (`auto.commit.interval.ms`, 5 s): handle a record so that doing it twice does no
//!   harm.
//! - Records of one key, or of one partition, are handled one after another in the order of the log, retries in place
//!   included ([`Order`]).
//! - The committed offset never passes a record that is not finished. What is finished above it is told in the commit's
//!   metadata, in at most 4096 bytes and with the topic's id; other clients of the group, which take that for a note,
//!   repeat it. What does not fit is left out, and nothing waits for that.
//! - A partition that goes to another member is first finished with: handlers in flight have
//!   [`rebalance_wait`](RunnerBuilder::rebalance_wait), then what they have done is committed. One that is lost without
//!   notice is told to them by their [`Context`].
//! - A member is alive for as long as handlers come to an end: when none does for `max.poll.interval.ms`, while some are
//!   in flight, the group gives its partitions to others.
//! - A panic of a handler is a failure like any other.

mod builder;
mod context;
mod ending;
mod failure;
mod handle;
mod letters;
mod metrics;
mod order;
mod partition;
mod reader;
mod shared;
mod start;
mod state;
mod tracker;
mod worker;

pub use crate::machine::runner::{OnFailure, Pace};
pub use builder::RunnerBuilder;
pub use context::Context;
pub use ending::Runner;
pub use failure::{Failure, HandlerError, Panicked};
pub use handle::RunnerHandle;
pub use metrics::{Account, OldestUnfinished, RunnerMetrics};
pub use order::Order;
