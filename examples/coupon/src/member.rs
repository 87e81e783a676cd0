//! A consumer in the group: saves each winner's coupon, then commits.

use ottla::{Client, ConsumerRecord};
use ottla_app::{Done, Failure, Next, committed, in_group, next, saved};
use tokio_util::sync::CancellationToken;

use crate::service::TOPIC;
use crate::store::Store;

/// The group that saves coupons.
pub const GROUP: &str = "group_1";

/// Saves coupons until `stop`; every record is committed after its coupon is in the table, never before.
///
/// # Errors
/// When the group, or the database for longer than six tries, is of no use.
pub async fn run(client: Client, store: Store, stop: CancellationToken) -> Result<Done, Failure> {
    in_group(&client, GROUP, TOPIC, async move |consumer| {
        let mut done = Done::default();
        loop {
            match next(&stop, consumer.recv()).await? {
                Next::Come(record) => {
                    save(&store, &record, &mut done).await?;
                    committed(consumer.commit(&record).await)?;
                }
                Next::Again => {}
                Next::End => return Ok(done),
            }
        }
    })
    .await
}

async fn save(store: &Store, record: &ConsumerRecord, done: &mut Done) -> Result<(), Failure> {
    let user_id = match record.value_as::<i64>() {
        Ok(user_id) => user_id,
        Err(error) => {
            tracing::error!(%error, "left out");
            done.unreadable += 1;
            return Ok(());
        }
    };
    if saved(user_id, || store.save(user_id)).await? {
        done.new += 1;
    } else {
        done.again += 1;
    }
    Ok(())
}
