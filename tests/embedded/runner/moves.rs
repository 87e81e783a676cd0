//! Partitions that go from one runner to another, or to the same one after a restart.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::runner::{Order, Runner, RunnerBuilder};
use ottla::{Client, ConsumerRecord, Error, OffsetReset};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{cluster, committed, fill, place, runner, until};
use crate::SOON;

/// Partitions and offsets.
type Places = BTreeSet<(i32, i64)>;

/// A runner whose handler of the first record of each partition does not end before it is told.
async fn with_stuck(client: &Client, go: &Arc<Notify>, done: &Arc<Mutex<Places>>) -> Runner {
    let (go, done) = (go.clone(), done.clone());
    runner(client)
        .order(Order::None)
        .start(move |record: ConsumerRecord, context| {
            let (go, done) = (go.clone(), done.clone());
            async move {
                if record.offset() == 0 {
                    tokio::select! {
                        () = go.notified() => {}
                        () = context.cancelled() => return Err("another has it"),
                    }
                }
                assert!(done.lock().unwrap().insert(place(&record)), "handled twice");
                Ok(())
            }
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_restart_repeats_what_was_unfinished_and_nothing_else() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 200, 10).await;
    let (go, done) = (Arc::new(Notify::new()), Arc::<Mutex<Places>>::default());
    let running = with_stuck(&client, &go, &done).await;
    until("all but the first are done", || {
        done.lock().unwrap().len() == 199
    })
    .await;
    let metrics = running.metrics();
    assert_eq!(metrics.oldest.map(|oldest| oldest.offset), Some(0));
    let account = running.shutdown(Duration::ZERO).await;
    assert_eq!((account.handled, account.left), (199, 1));
    assert_eq!(committed(&client, 1).await, [Some(0)]);

    let again = with_stuck(&client, &go, &done).await;
    until("the first is repeated", || again.metrics().in_flight == 1).await;
    go.notify_waiters();
    until("and ends", || again.metrics().handled == 1).await;
    let account = again.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (1, 0));
    assert_eq!(committed(&client, 1).await, [Some(200)]);
}

#[tokio::test]
async fn a_partition_that_goes_to_another_member_is_finished_with_first() {
    let (_cluster, client) = cluster(4).await;
    fill(&client, 4000, 100).await;
    let done: Arc<Mutex<Places>> = Arc::default();
    let start = async || {
        let done = done.clone();
        runner(&client)
            .start(move |record: ConsumerRecord, _| {
                let done = done.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    assert!(done.lock().unwrap().insert(place(&record)), "handled twice");
                    Ok::<_, Error>(())
                }
            })
            .await
            .unwrap()
    };
    let one = start().await;
    until("it has begun", || one.metrics().handled > 100).await;
    let other = start().await;
    until("both have some", || {
        one.metrics().handled > 0 && other.metrics().handled > 0
    })
    .await;
    let account = one.shutdown(SOON).await;
    assert!(account.error.is_none(), "{account:?}");
    until("all are handled", || done.lock().unwrap().len() == 4000).await;
    let last = other.shutdown(SOON).await;
    assert_eq!(account.handled + last.handled, 4000);
    assert_eq!(
        (account.retries, last.retries),
        (0, 0),
        "no handler was called twice"
    );
}

#[tokio::test]
async fn a_member_whose_handlers_hang_loses_its_partitions_and_they_are_told() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 1, 1).await;
    let consumer = client
        .consumer("g")
        .subscribe(["t"])
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(50))
        .max_poll_interval(Duration::from_millis(400));
    let told = Arc::new(AtomicUsize::new(0));
    let tells = told.clone();
    let running = Runner::builder(consumer)
        .start(move |_, context| {
            let tells = tells.clone();
            async move {
                if tells.load(Ordering::SeqCst) == 0 {
                    context.cancelled().await;
                    assert!(context.is_cancelled());
                }
                tells.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            }
        })
        .await
        .unwrap();
    until("it is told, and the record comes again", || {
        told.load(Ordering::SeqCst) == 2
    })
    .await;
    let account = running.shutdown(SOON).await;
    assert!(account.error.is_none(), "{account:?}");
    assert_eq!(committed(&client, 1).await, [Some(1)]);
}

/// A runner of a member that is not alive when no handler ends for a short time.
fn impatient(client: &Client) -> RunnerBuilder {
    let consumer = client
        .consumer("g")
        .subscribe(["t"])
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(50))
        .max_poll_interval(Duration::from_millis(400));
    Runner::builder(consumer)
}

#[tokio::test]
async fn a_member_all_of_whose_handlers_hang_for_good_leaves_its_partitions_to_others() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 4, 4).await;
    let hung = impatient(&client)
        .max_handlers(1)
        .start(|_, _| std::future::pending::<Result<(), Error>>())
        .await
        .unwrap();
    until("it hangs", || hung.metrics().in_flight == 1).await;
    until("it has none", || hung.consumer().assignment().is_empty()).await;
    let other = runner(&client)
        .start(|_, _| async { Ok::<_, Error>(()) })
        .await
        .unwrap();
    until("another has all", || other.metrics().handled == 4).await;
    assert!(hung.consumer().assignment().is_empty());
    let account = other.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (4, 0));
    assert_eq!(committed(&client, 1).await, [Some(4)]);
}

#[tokio::test]
async fn a_runner_that_has_stopped_by_itself_leaves_its_partitions_to_others() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 4, 1).await;
    let stopped = impatient(&client)
        .max_attempts(1)
        .start(|_, _| async { Err::<(), _>("never") })
        .await
        .unwrap();
    timeout(SOON, stopped.failed()).await.unwrap();
    until("it has none", || stopped.consumer().assignment().is_empty()).await;
    let other = runner(&client)
        .start(|_, _| async { Ok::<_, Error>(()) })
        .await
        .unwrap();
    until("another has all", || other.metrics().handled == 4).await;
    let account = stopped.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (0, 4));
}
