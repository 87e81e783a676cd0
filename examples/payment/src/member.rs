//! A consumer in the group: saves what it is handed, many payments at a time, then commits.

use ottla::{Client, Records};
use ottla_app::{Done, Failure, Next, committed, in_group, next, saved};
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
    for record in records {
        match record.json() {
            Ok(message) => received.push(Received {
                message,
                partition: record.partition(),
            }),
            Err(error) => {
                tracing::error!(%error, "left out");
                done.unreadable += 1;
            }
        }
    }
    let new = saved("payments", || store.save(&received)).await?;
    done.new += new as u64;
    done.again += (received.len() - new) as u64;
    Ok(())
}
