//! A consumer in the group: saves each winner's coupon, then commits. What cannot be saved is set aside, and holds nobody
//! up.

use ottla::{Client, ConsumerRecord};
use ottla_app::{Done, Failure, Next, Saved, committed, in_group, next, saved};
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
            done.unreadable += 1;
            return set_aside(store, record, &error.to_string()).await;
        }
    };
    match saved(user_id, || store.save(user_id)).await? {
        Saved::Done(true) => done.new += 1,
        Saved::Done(false) => done.again += 1,
        Saved::Unfit(reason) => {
            done.unfit += 1;
            set_aside(store, record, &reason).await?;
        }
    }
    Ok(())
}

async fn set_aside(store: &Store, record: &ConsumerRecord, reason: &str) -> Result<(), Failure> {
    let put = || store.set_aside(record.as_ref(), reason);
    match saved("a record aside", put).await? {
        Saved::Done(()) => Ok(()),
        Saved::Unfit(why) => Err(Failure::of("the table set_aside")(why)),
    }
}
