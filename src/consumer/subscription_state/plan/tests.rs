use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::config::Compression;
use crate::consumer::testing::fetched::{answer_fetch, batch, consumer};
use crate::consumer::testing::{consumer_settings, partitions};
use crate::consumer::{Consumer, ConsumerInner};

const LEADER: BrokerId = BrokerId(0);

fn bytes_of(number: i64) -> Vec<u8> {
    batch(number, 1, 1000, Compression::None)
}

/// A consumer of two partitions whose first has so many completed fetches.
async fn buffered(fetches: i64, settings: ConsumerSettings) -> (Consumer, Arc<Notify>) {
    let consumer = consumer(2, settings).await;
    for number in 0..fetches {
        answer_fetch(&consumer, 0, &[bytes_of(number)]);
    }
    let node = NodeFetch::default();
    let wake = node.wake.clone();
    consumer.inner().lock().nodes.insert(LEADER, node);
    (consumer, wake)
}

fn plan(inner: &ConsumerInner) -> Plan {
    let now = Instant::now();
    let session = &mut Session::default();
    let mut state = inner.lock();
    state.plan(LEADER, session, &inner.settings, false, now)
}

async fn is_woken(wake: &Notify) -> bool {
    timeout(Duration::ZERO, wake.notified()).await.is_ok()
}

/// Takes a record, which is all there is in a completed fetch, and comes back for the next.
async fn use_up(consumer: &mut Consumer) {
    consumer.recv().await.unwrap().unwrap();
    assert!(consumer.collector.take_one().unwrap().is_none());
}

#[tokio::test]
async fn a_loop_that_waits_for_a_full_partition_is_woken_when_that_is_not_full_any_more() {
    let size = bytes_of(0).len();
    let settings = ConsumerSettings {
        partition_fetch_bytes: size * 2,
        ..consumer_settings()
    };
    let (mut consumer, wake) = buffered(4, settings).await;
    use_up(&mut consumer).await;
    assert!(!is_woken(&wake).await, "it is not waiting");
    assert!(matches!(plan(consumer.inner()), Plan::Full));
    use_up(&mut consumer).await;
    assert!(!is_woken(&wake).await, "two are left");
    use_up(&mut consumer).await;
    assert!(is_woken(&wake).await);
    assert!(matches!(plan(consumer.inner()), Plan::Fetch { .. }));
}

#[tokio::test]
async fn a_loop_that_waits_for_room_is_woken_when_there_is_as_much_as_it_needs() {
    let size = bytes_of(0).len();
    let settings = ConsumerSettings {
        partition_fetch_bytes: size * 5,
        buffer_memory: size * 7,
        ..consumer_settings()
    };
    let (mut consumer, wake) = buffered(4, settings).await;
    assert!(matches!(plan(consumer.inner()), Plan::Wait(None)));
    use_up(&mut consumer).await;
    assert!(!is_woken(&wake).await, "one more is needed");
    use_up(&mut consumer).await;
    assert!(is_woken(&wake).await);
    assert!(matches!(plan(consumer.inner()), Plan::Fetch { .. }));
}

#[tokio::test]
async fn with_no_bytes_of_a_partition_a_batch_is_asked_for_at_a_time() {
    let settings = ConsumerSettings {
        partition_fetch_bytes: 0,
        ..consumer_settings()
    };
    let (mut consumer, wake) = buffered(0, settings).await;
    assert!(matches!(plan(consumer.inner()), Plan::Fetch { .. }));
    for index in [0, 1] {
        answer_fetch(&consumer, index, &[bytes_of(0)]);
    }
    assert!(matches!(plan(consumer.inner()), Plan::Wait(None)));
    use_up(&mut consumer).await;
    assert!(is_woken(&wake).await);
    assert!(matches!(plan(consumer.inner()), Plan::Full));
}

#[tokio::test]
async fn what_is_given_up_makes_room_for_others_at_once() {
    let (consumer, wake) = buffered(1, consumer_settings()).await;
    consumer.inner().stop(&partitions([0]));
    assert!(is_woken(&wake).await);
    consumer.inner().remove(&partitions([0]));
    assert!(is_woken(&wake).await);
}

#[tokio::test]
async fn pausing_disturbs_nobody_but_the_partitions_loop() {
    let (consumer, wake) = buffered(1, consumer_settings()).await;
    let inner = consumer.inner();
    consumer.pause(&partitions([0])[0]).unwrap();
    assert!(is_woken(&wake).await);
    assert!(!is_woken(&inner.work).await);
    consumer.seek_to_end(&partitions([0])[0]).unwrap();
    assert!(is_woken(&inner.work).await);
}

/// What is asked for beside a request for `main`, whose answer may have so many bytes: partitions and bytes.
fn beside(inner: &ConsumerInner, main: &Session, pending: usize) -> Option<(Vec<i32>, usize)> {
    let now = Instant::now();
    let mut once = Session::default();
    let mut state = inner.lock();
    let plan = state.plan_beside(LEADER, (main, pending), &mut once, &inner.settings, now);
    let Plan::Fetch { asked, max_bytes } = plan else {
        assert!(matches!(plan, Plan::Wait(_)));
        return None;
    };
    assert_eq!((asked.session_id, asked.session_epoch), (0, -1));
    let topics = asked.topics.into_iter();
    let partitions = topics.flat_map(|topic| topic.partitions);
    Some((partitions.map(|one| one.partition).collect(), max_bytes))
}

/// A consumer of so many partitions, and the session of a request for all that can be fetched but the paused.
async fn waiting(count: i32, paused: &[i32], settings: ConsumerSettings) -> (Consumer, Session) {
    let consumer = consumer(count, settings).await;
    for name in partitions(paused.iter().copied()) {
        consumer.pause(&name).unwrap();
    }
    let inner = consumer.inner();
    let mut state = inner.lock();
    state.nodes.insert(LEADER, NodeFetch::default());
    let mut main = Session::default();
    let plan = state.plan(LEADER, &mut main, &inner.settings, false, Instant::now());
    assert!(matches!(plan, Plan::Fetch { .. }));
    drop(state);
    (consumer, main)
}

#[tokio::test]
async fn beside_a_request_only_what_it_does_not_ask_for_is_fetched() {
    let (consumer, main) = waiting(6, &[1, 4], consumer_settings()).await;
    let inner = consumer.inner();
    let asked = |n: i32| beside(inner, &main, n as usize).map(|(asked, _)| asked);
    assert_eq!(asked(0), None, "all is asked for");
    let all = partitions(0..6);
    // What was asked for and comes back is asked for still.
    consumer.pause(&all[0]).unwrap();
    assert_eq!(asked(0), None);
    consumer.resume(&all[0]).unwrap();
    assert_eq!(asked(0), None);
    consumer.resume(&all[1]).unwrap();
    assert_eq!(asked(0), Some(vec![1]));
    consumer.seek(&all[2], 100).unwrap();
    assert_eq!(asked(0), Some(vec![1, 2]));
    // Where it was asked for: but what comes of that is void.
    consumer.seek(&all[3], 0).unwrap();
    assert_eq!(asked(0), Some(vec![1, 2, 3]));
    // Its offset is to be looked up first.
    consumer.seek_to_end(&all[5]).unwrap();
    assert_eq!(asked(0), Some(vec![1, 2, 3]));
    // One that was fetched so far goes on.
    answer_fetch(&consumer, 1, &[bytes_of(0)]);
    assert_eq!(asked(0), Some(vec![1, 2, 3]));
    consumer.inner().remove(&all[1..2]);
    assert_eq!(asked(0), Some(vec![2, 3]));
}

#[tokio::test]
async fn both_answers_together_have_room() {
    let size = bytes_of(0).len();
    let settings = ConsumerSettings {
        partition_fetch_bytes: size * 2,
        buffer_memory: size * 5,
        fetch_max_wait: LONG_WAIT * 2,
        ..consumer_settings()
    };
    let (mut consumer, _) = waiting(3, &[2], settings).await;
    let mut main = Session::default();
    let inner = consumer.inner().clone();
    let all = partitions(0..3);
    let now = Instant::now();
    let plan = inner
        .lock()
        .plan(LEADER, &mut main, &inner.settings, false, now);
    let Plan::Fetch { max_bytes, .. } = plan else {
        panic!("nothing to fetch");
    };
    assert_eq!(max_bytes, size * 3, "another partition has room");
    consumer.resume(&all[2]).unwrap();
    let wake = inner.lock().nodes[&LEADER].wake.clone();
    assert!(is_woken(&wake).await);
    assert_eq!(beside(&inner, &main, max_bytes), Some((vec![2], size * 2)));
    answer_fetch(&consumer, 2, &[bytes_of(0)]);
    assert_eq!(beside(&inner, &main, max_bytes), None, "no room");
    assert!(!is_woken(&wake).await);
    use_up(&mut consumer).await;
    assert!(is_woken(&wake).await);
    assert_eq!(beside(&inner, &main, max_bytes), Some((vec![2], size * 2)));
}

#[tokio::test]
async fn a_request_that_does_not_wait_long_has_all_the_room() {
    let size = bytes_of(0).len();
    let settings = ConsumerSettings {
        partition_fetch_bytes: size * 4,
        buffer_memory: size * 5,
        fetch_max_wait: LONG_WAIT,
        ..consumer_settings()
    };
    let (consumer, _) = buffered(0, settings).await;
    let Plan::Fetch { max_bytes, .. } = plan(consumer.inner()) else {
        panic!("nothing to fetch");
    };
    assert_eq!(max_bytes, size * 5);
}
