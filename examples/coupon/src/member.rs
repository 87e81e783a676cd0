//! A consumer in the group: saves each winner's coupon, then commits.

use std::time::Duration;

use ottla::{Client, Consumer, ConsumerRecord, Error, OffsetReset};
use ottla_app::Failure;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::TOPIC;
use crate::store::Store;

/// The group that saves coupons.
pub const GROUP: &str = "group_1";

/// How long leaving the group, with the last commit, may take.
const LEAVE: Duration = Duration::from_secs(10);

/// How often a coupon is tried to be saved while the database fails, each time waiting longer.
const TRIES: u32 = 6;

/// What a member did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    /// Coupons saved.
    pub new: u64,
    /// Records whose coupon was saved before: they came again.
    pub again: u64,
    /// Records that are no user's id; they are in the log, and left out.
    pub unreadable: u64,
}

/// Saves coupons until `stop`; every record is committed after its coupon is in the table, never before.
///
/// # Errors
/// When the group, or the database for longer than six tries, is of no use.
pub async fn run(client: Client, store: Store, stop: CancellationToken) -> Result<Saved, Failure> {
    let mut consumer = client
        .consumer(GROUP)
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(false)
        .subscribe([TOPIC])
        .build()
        .await?;
    let mut saved = Saved::default();
    let ended = save_all(&mut consumer, &store, &stop, &mut saved).await;
    let left = consumer.close(LEAVE).await;
    ended?;
    left?;
    Ok(saved)
}

async fn save_all(
    consumer: &mut Consumer,
    store: &Store,
    stop: &CancellationToken,
    saved: &mut Saved,
) -> Result<(), Failure> {
    loop {
        let received = tokio::select! {
            received = consumer.recv() => received,
            () = stop.cancelled() => return Ok(()),
        };
        let record = match received {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            // Told once; the next call goes on.
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, "receiving");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        save(store, &record, saved).await?;
        match consumer.commit(&record).await {
            Ok(()) => {}
            // The partition went to another member, which sees the record again and finds the coupon saved.
            Err(error @ (Error::Commit { .. } | Error::NotAssigned { .. })) => {
                tracing::warn!(%error, "the record may come again");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn save(store: &Store, record: &ConsumerRecord, saved: &mut Saved) -> Result<(), Failure> {
    let user_id = match record.value_as::<i64>() {
        Ok(user_id) => user_id,
        Err(error) => {
            tracing::error!(%error, "left out");
            saved.unreadable += 1;
            return Ok(());
        }
    };
    let mut pause = Duration::from_millis(100);
    let mut tries = 1;
    let new = loop {
        match store.save(user_id).await {
            Ok(new) => break new,
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(error) => tracing::warn!(%error, user_id, "saving again in {pause:?}"),
        }
        sleep(pause).await;
        (tries, pause) = (tries + 1, pause * 2);
    };
    saved.count(new);
    Ok(())
}

impl Saved {
    fn count(&mut self, new: bool) {
        if new {
            self.new += 1;
        } else {
            self.again += 1;
        }
    }
}

impl std::ops::AddAssign for Saved {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.again += other.again;
        self.unreadable += other.unreadable;
    }
}
