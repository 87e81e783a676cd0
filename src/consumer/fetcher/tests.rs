use std::sync::atomic::{AtomicBool, Ordering};

use super::answer::{FetchFollowUp, PartitionAnswer, apply};
use super::*;
use crate::batch::span;
use crate::consumer::Consumer;
use crate::consumer::testing::consumer_settings;
use crate::consumer::testing::fetched::consumer;
use crate::error::ErrorCode;
use crate::wire::{FetchAnswer, FetchedPartition};

const LEADER: BrokerId = BrokerId(0);
const REPLICA: BrokerId = BrokerId(1);

/// Reads `t-0` from a replica, and `t-1` from the leader.
async fn near() -> Consumer {
    let consumer = consumer(2, consumer_settings()).await;
    let until = Instant::now() + Duration::from_secs(60);
    let mut state = consumer.inner().lock();
    state.get(0).unwrap().prefer(REPLICA, until);
    drop(state);
    consumer
}

fn node(consumer: &Consumer, index: u32) -> Option<BrokerId> {
    let mut state = consumer.inner().lock();
    state.get(index).unwrap().fetch_node(Instant::now())
}

/// Whether the keeper of positions was woken.
async fn is_woken(consumer: &Consumer) -> bool {
    let woken = consumer.inner().work.notified();
    timeout(Duration::ZERO, woken).await.is_ok()
}

/// Applies an answer of this code for the partition at `index`.
fn answer(
    consumer: &Consumer,
    index: u32,
    code: ErrorCode,
    replica: Option<BrokerId>,
) -> FetchFollowUp {
    let mut state = consumer.inner().lock();
    let wanted = state.get(index).unwrap().wanted(index);
    let partition = FetchedPartition {
        partition: wanted.partition.partition(),
        code,
        high_watermark: 0,
        last_stable_offset: 0,
        log_start_offset: 0,
        aborted: Vec::new(),
        preferred_replica: replica,
        leader_hint: None,
        records: bytes::Bytes::new(),
    };
    let seen = PartitionAnswer {
        wanted: &wanted,
        span: span(&partition.records),
        frame: 0,
        partition,
    };
    apply(consumer.inner(), &mut state, seen, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_partition_goes_back_to_its_leader_when_its_replica_cannot_be_reached() {
    let consumer = near().await;
    let error = Error::Closed { what: "a test" };
    fail(consumer.inner(), LEADER, error.clone(), 1).await;
    assert_eq!(node(&consumer, 0), Some(REPLICA));
    assert!(!is_woken(&consumer).await);
    fail(consumer.inner(), REPLICA, error, 1).await;
    assert_eq!(node(&consumer, 0), Some(LEADER));
    assert!(is_woken(&consumer).await);
}

#[tokio::test]
async fn what_a_replica_refuses_is_asked_of_the_leader() {
    for code in [
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::OFFSET_OUT_OF_RANGE,
    ] {
        let consumer = near().await;
        assert!(answer(&consumer, 0, code, None).wakes.keeper, "{code}");
        assert_eq!(node(&consumer, 0), Some(LEADER));
    }
}

#[tokio::test]
async fn a_replica_that_the_cluster_does_not_have_is_not_turned_to() {
    let consumer = consumer(1, consumer_settings()).await;
    let after = answer(&consumer, 0, ErrorCode::NONE, Some(BrokerId(77)));
    assert!(after.refreshes);
    assert_eq!(node(&consumer, 0), Some(LEADER));
    let mut state = consumer.inner().lock();
    // The leader names it each time, and gives nothing.
    assert!(state.get(0).unwrap().is_waiting(Instant::now()));
    drop(state);
    assert!(
        answer(&consumer, 0, ErrorCode::NONE, Some(REPLICA))
            .wakes
            .keeper
    );
    assert_eq!(node(&consumer, 0), Some(REPLICA));
}

#[tokio::test]
async fn what_a_loop_leaves_behind_is_looked_after_when_it_ends() {
    let consumer = consumer(1, consumer_settings()).await;
    let plan = plan(consumer.inner(), REPLICA, &mut Session::default(), false);
    assert!(matches!(plan, Plan::Unneeded));
    assert!(is_woken(&consumer).await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_made_again_after_a_while_and_told_once_unless_that_helps() {
    let consumer = consumer(1, consumer_settings()).await;
    let inner = consumer.inner();
    for (code, is_told) in [
        (ErrorCode::UNKNOWN_TOPIC_ID, false),
        (ErrorCode::UNKNOWN_SERVER_ERROR, false),
        (ErrorCode::INVALID_REQUEST, false),
        (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, true),
    ] {
        let answer = FetchAnswer {
            throttle: Duration::ZERO,
            code,
            session_id: 0,
            topics: Vec::new(),
            nodes: Vec::new(),
            too_large: None,
        };
        let error = handle_answer(inner, LEADER, &mut Session::default(), answer).unwrap_err();
        assert_eq!(error.broker_code(), Some(code));
        for failures in [1, 2] {
            let before = tokio::time::Instant::now();
            fail(inner, LEADER, error.clone(), failures).await;
            assert!(before.elapsed() > Duration::from_millis(10));
        }
        let told = std::iter::from_fn(|| inner.lock().next_error()).count();
        assert_eq!(told, usize::from(is_told), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_understood_is_told_once_and_not_before_it_lasts() {
    let consumer = consumer(1, consumer_settings()).await;
    let inner = consumer.inner();
    for failures in 1..20 {
        let error = Error::protocol("a", "a test");
        fail(inner, LEADER, error, failures).await;
        let told = std::iter::from_fn(|| inner.lock().next_error()).count();
        assert_eq!(told, usize::from(failures == LASTING), "{failures}");
    }
}

#[tokio::test]
async fn a_partitions_answer_that_nobody_expects_is_asked_for_again_and_not_told() {
    for code in [ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode::new(9999)] {
        let consumer = consumer(1, consumer_settings()).await;
        assert!(!answer(&consumer, 0, code, None).wakes.caller, "{code}");
        let mut state = consumer.inner().lock();
        assert!(state.next_error().is_none(), "{code}");
        let partition = state.get(0).unwrap();
        assert!(partition.is_waiting(Instant::now()), "{code}");
        assert!(!partition.is_stuck(), "{code}");
    }
}

#[tokio::test]
async fn a_log_that_its_broker_cannot_read_is_told() {
    let consumer = consumer(1, consumer_settings()).await;
    assert!(
        answer(&consumer, 0, ErrorCode::CORRUPT_MESSAGE, None)
            .wakes
            .caller
    );
    let told = consumer.inner().lock().next_error().unwrap();
    assert_eq!(told.broker_code(), Some(ErrorCode::CORRUPT_MESSAGE));
}

/// One thread, so that there is an order.
#[tokio::test]
async fn who_steps_back_goes_on_behind_whom_it_woke() {
    let ready = Arc::new(Notify::new());
    let has_run = Arc::new(AtomicBool::new(false));
    let (wake, noted) = (ready.clone(), has_run.clone());
    tokio::spawn(async move {
        wake.notified().await;
        noted.store(true, Ordering::Relaxed);
    });
    let other = tokio::spawn(async move {
        ready.notify_one();
        let before = has_run.load(Ordering::Relaxed);
        step_back().await;
        (before, has_run.load(Ordering::Relaxed))
    });
    assert_eq!(other.await.unwrap(), (false, true));
}
