//! A consumer in the group: saves what it is handed, many payments at a time, then commits. What cannot be saved is set
//! aside, and holds nobody up.

use ottla::{Client, RecordRef, Records};
use ottla_app::{Done, Failure, Next, Saved, committed, in_group, next, saved};
use tokio_util::sync::CancellationToken;

use crate::service::TOPIC;
use crate::store::{Received, Store};

/// The group that saves payments.
pub const GROUP: &str = "payment-service";

/// Saves payments until `stop`; offsets are committed after their payments are in the table, never before.
///
/// # Errors
/// When the group, or the database for longer than six tries, is of no use.
pub async fn run(client: Client, store: Store, stop: CancellationToken) -> Result<Done, Failure> {
    in_group(&client, GROUP, TOPIC, async move |consumer| {
        let mut done = Done::default();
        loop {
            match next(&stop, consumer.poll()).await? {
                Next::Come(records) => {
                    save(&store, &records, &mut done).await?;
                    committed(consumer.commit_positions().await)?;
                }
                Next::Again => {}
                Next::End => return Ok(done),
            }
        }
    })
    .await
}

async fn save(store: &Store, records: &Records, done: &mut Done) -> Result<(), Failure> {
    let mut received = Vec::with_capacity(records.len());
    let mut places = Vec::with_capacity(records.len());
    for record in records {
        match record.json() {
            Ok(message) => {
                received.push(Received {
                    message,
                    partition: record.partition(),
                });
                places.push(record);
            }
            Err(error) => {
                set_aside(store, record, &error.to_string()).await?;
                done.unreadable += 1;
            }
        }
    }
    if let Saved::Done(new) = saved("payments", || store.save(&received)).await? {
        done.new += new as u64;
        done.again += (received.len() - new) as u64;
        return Ok(());
    }
    // One of them does not fit: each by itself, in the same order.
    for (one, record) in received.iter().zip(places) {
        match saved("a payment", || store.save(std::slice::from_ref(one))).await? {
            Saved::Done(0) => done.again += 1,
            Saved::Done(_) => done.new += 1,
            Saved::Unfit(reason) => {
                set_aside(store, record, &reason).await?;
                done.unfit += 1;
            }
        }
    }
    Ok(())
}

async fn set_aside(store: &Store, record: RecordRef<'_>, reason: &str) -> Result<(), Failure> {
    match saved("a record aside", || store.set_aside(record, reason)).await? {
        Saved::Done(()) => Ok(()),
        Saved::Unfit(why) => Err(Failure::of("the table set_aside")(why)),
    }
}
