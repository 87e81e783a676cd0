//! A consumer in the group: saves what it is handed, many payments at a time, then commits.

use std::time::Duration;

use ottla::{Client, Consumer, Error, OffsetReset, Records};
use ottla_app::Failure;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::TOPIC;
use crate::store::{Received, Store};

/// The group that saves payments.
pub const GROUP: &str = "payment-service";

/// How long leaving the group, with the last commit, may take.
const LEAVE: Duration = Duration::from_secs(10);

/// How often saving is tried while the database fails, each time waiting longer.
const TRIES: u32 = 6;

/// What a member did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Payments saved.
    pub new: u64,
    /// Records whose payment was saved before: they came again.
    pub again: u64,
    /// Records that are no payment; they are in the log, and left out.
    pub unreadable: u64,
}

/// Saves payments until `stop`; offsets are committed after their payments are in the table, never before.
///
/// # Errors
/// When the group, or the database for longer than six tries, is of no use.
pub async fn run(client: Client, store: Store, stop: CancellationToken) -> Result<Work, Failure> {
    let mut consumer = client
        .consumer(GROUP)
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(false)
        .subscribe([TOPIC])
        .build()
        .await?;
    let mut work = Work::default();
    let ended = save_all(&mut consumer, &store, &stop, &mut work).await;
    let left = consumer.close(LEAVE).await;
    ended?;
    left?;
    Ok(work)
}

async fn save_all(
    consumer: &mut Consumer,
    store: &Store,
    stop: &CancellationToken,
    work: &mut Work,
) -> Result<(), Failure> {
    loop {
        let polled = tokio::select! {
            polled = consumer.poll() => polled,
            () = stop.cancelled() => return Ok(()),
        };
        let records = match polled {
            Ok(Some(records)) => records,
            Ok(None) => return Ok(()),
            // Told once; the next call goes on.
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, "receiving");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        save(store, &records, work).await?;
        match consumer.commit_positions().await {
            Ok(()) => {}
            // Partitions went to another member, which sees the records again and finds the payments saved.
            Err(error @ (Error::Commit { .. } | Error::NotAssigned { .. })) => {
                tracing::warn!(%error, "records may come again");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn save(store: &Store, records: &Records, work: &mut Work) -> Result<(), Failure> {
    let mut received = Vec::with_capacity(records.len());
    for record in records {
        match record.json() {
            Ok(message) => received.push(Received {
                message,
                partition: record.partition(),
            }),
            Err(error) => {
                tracing::error!(%error, "left out");
                work.unreadable += 1;
            }
        }
    }
    let mut pause = Duration::from_millis(100);
    let mut tries = 1;
    let new = loop {
        match store.save(&received).await {
            Ok(new) => break new,
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "saving again in {pause:?}"),
        }
        sleep(pause).await;
        (tries, pause) = (tries + 1, pause * 2);
    };
    work.new += new as u64;
    work.again += (received.len() - new) as u64;
    Ok(())
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.again += other.again;
        self.unreadable += other.unreadable;
    }
}
