//! Records kept on disk while the cluster is away, and sent when it is back. Only there with the feature `spill`.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::{Client, Record};
//! use ottla::spill::Sent;
//!
//! # async fn example() -> ottla::Result<()> {
//! // Starts without a cluster, too.
//! let client = Client::builder().bootstrap_servers("localhost:9092,localhost:9102").connect_lazily()?;
//! let producer = client
//!     .producer()
//!     .delivery_timeout(Duration::from_secs(35))
//!     .spill("/var/lib/chat/spill")
//!     .accept_second_copies(true)
//!     .open()
//!     .await?;
//! match producer.send(Record::to("chat").key("lobby").value("hello")).await? {
//!     Sent::Acknowledged(metadata) => println!("at offset {:?}", metadata.offset()),
//!     _ => println!("safe on disk until the cluster is back"),
//! }
//! producer.close(Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - A record that the application was told of as [`Sent::Spilled`] outlasts the end of the process, however it comes, and
//!   with [`SpillSync::EachBatch`] a loss of power. It is sent when the cluster is back, by this producer or by the next one
//!   that opens the directory; or it is set aside, and that is told ([`SetAside`]).
//! - A record is spilled when it was not acknowledged within `delivery.timeout.ms`, when it found the buffer full
//!   ([`FullBuffer`]), or at once when its topic is not known and no server answers. What the cluster refuses for other
//!   reasons is given back with the error.
//! - The records of one partition are in the log in the order in which they were handed over. For that, while a topic has
//!   records on disk, all of its later ones go there behind them: which partition a record belongs to is decided when it is
//!   sent, by what the topic is then. Topics do not wait for each other.
//! - What was told as spilled in time, was not in the log and is sent once; but see
//!   [`accept_second_copies`](SpillBuilder::accept_second_copies) for what may have been written.
//! - Memory stays within `buffer.memory`, and what is on disk within [`max_bytes`](SpillBuilder::max_bytes). All reading and
//!   writing is done by one thread, `ottla-spill`, which writes and syncs together whatever waits.
//!
//! # On disk
//!
//! `topics/<topic>/` has segments, files of Kafka record batches of up to 64 KiB, and the position up to which they are
//! delivered; `set-aside/<topic>/` what is not sent, records in the same format and damaged bytes as they were; `lock` is
//! held by the process that uses the directory. Each batch has a CRC-32C, its segment's mark and its records' numbers, so
//! that damage costs the batch that it is in, is told with the number of records that it cost, and is never taken for a
//! record. The reader is the one that reads what brokers answer, and is fuzzed.
//!
//! Why no database: `redb`, a B-tree in one file, verifies no checksum when it reads
//! ([cberner/redb#1334](https://github.com/cberner/redb/issues/1334): of 8,224 bytes that were changed one at a time, 4 were told
//! of, 57 ended the process, and the others went unnoticed), and a commit writes pages where an append writes its own bytes. `fjall`, an LSM tree, has checksums, but also a journal, tables
//! and a compaction, for what is only ever appended, read once in order, and dropped. Segments are no new dependency, need no
//! upkeep (a delivered file is removed; damage costs one batch and is always told), and take 61 bytes a batch and about ten a record beside the record's own; at start the
//! last segment of each topic is read.

mod aside;
mod builder;
mod delivery;
mod disk;
mod entry;
#[cfg(fuzzing)]
pub(crate) mod fuzzed;
mod give_up;
mod inner;
mod keeper;
mod lanes;
mod lock;
mod log;
#[cfg(any(test, fuzzing))]
mod memory;
mod metrics;
mod position;
mod producer;
mod replay;
mod segment;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::aside::{Reason, SetAside};
pub use self::builder::SpillBuilder;
pub use self::delivery::{NotSent, Sent, SpillDelivery};
pub use self::metrics::SpillMetrics;
pub use self::producer::SpillingProducer;
pub use self::settings::{FullBuffer, SpillSync};
