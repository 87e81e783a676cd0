use super::ends::compare;
use super::*;
use crate::config::{ConsumerSettings, OffsetReset};
use crate::consumer::subscription_state::NodeFetch;
use crate::consumer::testing::{Brokers, consumer_settings, partitions};
use crate::error::ErrorCode;
use crate::machine::fetch::FetchedPart;
use crate::types::TopicId;

const NODE: Option<BrokerId> = Some(BrokerId(0));

fn at(offset: i64, leader_epoch: i32) -> Position {
    Position {
        offset,
        leader_epoch,
    }
}

fn id(byte: u8) -> TopicId {
    TopicId([byte; 16])
}

/// A consumer that was handed `t-0` up to 100, and has fetched it up to 200, from the leader of epoch 3.
async fn ahead(offset_reset: OffsetReset) -> Arc<ConsumerInner> {
    let cluster = Brokers::start(1).cluster().await;
    let settings = ConsumerSettings {
        offset_reset,
        ..consumer_settings()
    };
    let inner = ConsumerInner::new(9, cluster, settings, None, None);
    let mut state = inner.lock();
    state.hold(&partitions([0]));
    let partition = state.get(0).unwrap();
    partition.lead_by(NODE, 3, id(1));
    partition.begin(None);
    partition.seek(at(100, 3), 1);
    partition.answered(FetchedPart {
        completed: None,
        next: Some(at(200, 3)),
        is_damaged: false,
        high_watermark: 200,
        last_stable_offset: 200,
        log_start_offset: 0,
    });
    drop(state);
    inner
}

/// What is missing of `t-0`; nothing when it is being fetched.
fn need(inner: &ConsumerInner) -> Option<Need> {
    inner.lock().get(0).unwrap().need(Instant::now())
}

/// The leader of epoch 4 has the log up to `end`.
fn led_anew(inner: &ConsumerInner, end: Position) -> Option<Error> {
    let mut state = inner.lock();
    state.get(0).unwrap().lead_by(NODE, 4, id(1));
    let asked = at(200, 3);
    let needed = state.get(0).unwrap().need(Instant::now());
    assert_eq!(needed, Some(Need::EndOf { position: asked }));
    compare(inner, &mut state, 0, (asked, 4), end).0
}

#[tokio::test]
async fn what_is_left_of_what_was_fetched_ahead_is_handed_out_after_a_truncation() {
    for reset in [
        OffsetReset::Earliest,
        OffsetReset::Latest,
        OffsetReset::None,
    ] {
        let inner = ahead(reset).await;
        assert!(led_anew(&inner, at(150, 3)).is_none());
        // Not at 150: the records before that were not handed out.
        let position = at(100, 3);
        assert_eq!(need(&inner), Some(Need::EndOf { position }));
        let mut state = inner.lock();
        let _ = compare(&inner, &mut state, 0, (position, 4), at(150, 3));
        let partition = state.get(0).unwrap();
        assert!(partition.is_fetching());
        assert_eq!(partition.wanted(0).offset, 100);
    }
}

#[tokio::test]
async fn a_log_cut_before_the_position_goes_on_at_the_cut_or_is_told() {
    let inner = ahead(OffsetReset::Latest).await;
    assert!(led_anew(&inner, at(80, 2)).is_none());
    assert_eq!(inner.lock().get(0).unwrap().position(), Some(at(80, 2)));
    let inner = ahead(OffsetReset::None).await;
    let error = led_anew(&inner, at(80, 2)).unwrap();
    assert!(
        matches!(
            error,
            Error::LogTruncated {
                position: 100,
                end: 80,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(need(&inner), None, "the application must seek");
}

#[tokio::test]
async fn a_log_whose_end_is_not_known_is_reset_by_the_policy() {
    let inner = ahead(OffsetReset::Earliest).await;
    assert!(led_anew(&inner, at(-1, -1)).is_none());
    assert_eq!(need(&inner), Some(Need::Offset(Start::Earliest)));
}

#[tokio::test]
async fn retention_that_passes_what_is_fetched_next_takes_nothing_from_what_is_buffered() {
    for reset in [OffsetReset::Latest, OffsetReset::None] {
        let inner = ahead(reset).await;
        assert!(!reset::out_of_range(&inner, &mut inner.lock(), 0).caller);
        let mut state = inner.lock();
        let partition = state.get(0).unwrap();
        assert_eq!(partition.position(), Some(at(100, 3)));
        assert!(!partition.is_fetchable(Instant::now()));
        partition.hand_out((200, 3));
        assert_eq!(partition.wanted(0).offset, 200);
        let is_told = reset::out_of_range(&inner, &mut state, 0).caller;
        assert_eq!(is_told, reset == OffsetReset::None);
        assert_eq!(state.next_error().is_some(), is_told);
        drop(state);
        let sought = Some(Need::Offset(Start::Latest)).filter(|_| !is_told);
        assert_eq!(need(&inner), sought);
    }
}

#[tokio::test]
async fn a_partition_that_its_topic_lost_when_it_was_made_anew_is_missed_and_found_again() {
    let inner = ahead(OffsetReset::Earliest).await;
    let topology = |count, id| Topology {
        brokers: [(BrokerId(0), crate::types::Address::new("a", 1))].into(),
        topics: [("t".into(), Arc::new(topic(count, id)))].into(),
        ..Topology::default()
    };
    let mut state = inner.lock();
    state.hold(&partitions([1]));
    let partition = state.get(1).unwrap();
    partition.begin(None);
    assert_eq!(follow(partition, &topology(2, id(1))), Known::Followed);
    partition.seek(at(100, 3), 7);
    assert_eq!(follow(partition, &topology(1, id(2))), Known::Missing(1));
    assert_eq!(partition.leader(), None, "it is looked for");
    assert!(missing(partition, 1).is_some());
    assert!(missing(partition, 1).is_none(), "told once");
    assert_eq!(follow(partition, &topology(2, id(2))), Known::Recreated);
    assert_eq!(partition.leader(), NODE);
}

fn topic(count: usize, id: TopicId) -> crate::machine::topology::Topic {
    let partition = crate::machine::topology::Partition {
        leader: NODE,
        leader_epoch: 0,
        replicas: Vec::new(),
        isr: Vec::new(),
        offline: Vec::new(),
    };
    crate::machine::topology::Topic {
        name: "t".into(),
        id,
        internal: false,
        partitions: vec![partition; count],
        error: None,
    }
}

#[tokio::test]
async fn nothing_of_a_deleted_topic_counts_for_the_one_created_after_it() {
    let inner = ahead(OffsetReset::Earliest).await;
    assert!(!reset::recreated(&inner, &mut inner.lock(), 0).caller);
    assert_eq!(need(&inner), Some(Need::Offset(Start::Earliest)));
    assert!(inner.committable(None).is_empty());
    let inner = ahead(OffsetReset::None).await;
    assert!(reset::recreated(&inner, &mut inner.lock(), 0).caller);
    let error = inner.lock().next_error().unwrap();
    assert!(matches!(error, Error::NoOffset { .. }), "{error}");
    assert!(inner.committable(None).is_empty());
}

#[tokio::test]
async fn it_is_time_to_look_again_when_a_replica_is_not_preferred_any_more() {
    let inner = ahead(OffsetReset::Latest).await;
    let until = Instant::now() + Duration::from_secs(60);
    let mut state = inner.lock();
    state.get(0).unwrap().prefer(BrokerId(1), until);
    state.nodes.insert(BrokerId(1), NodeFetch::default());
    drop(state);
    let work = survey(&inner, &inner.cluster.topology(), false);
    assert_eq!(work.wake, Some(until));
}

/// Whether the fetch loop of the broker was woken by a survey.
async fn is_woken_by_survey(inner: &Arc<ConsumerInner>, broker: BrokerId) -> bool {
    survey(inner, &inner.cluster.topology(), false);
    let wake = inner.lock().nodes[&broker].wake.clone();
    timeout(Duration::ZERO, wake.notified()).await.is_ok()
}

#[tokio::test]
async fn loops_are_woken_when_their_partitions_come_or_have_all_gone_and_else_left_alone() {
    let inner = ahead(OffsetReset::Latest).await;
    for broker in [0, 1] {
        let mut state = inner.lock();
        state.nodes.insert(BrokerId(broker), NodeFetch::default());
    }
    assert!(is_woken_by_survey(&inner, BrokerId(0)).await);
    assert!(!is_woken_by_survey(&inner, BrokerId(0)).await);
    assert!(is_woken_by_survey(&inner, BrokerId(1)).await, "not needed");
    let until = Instant::now() + Duration::from_secs(60);
    inner.lock().get(0).unwrap().prefer(BrokerId(1), until);
    assert!(is_woken_by_survey(&inner, BrokerId(1)).await);
    assert!(!is_woken_by_survey(&inner, BrokerId(1)).await);
}

#[tokio::test]
async fn a_partition_that_its_topic_does_not_have_is_told_and_still_waited_for() {
    let brokers = Brokers::start(1);
    let settings = ConsumerSettings {
        retry_backoff: crate::config::Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(1),
        },
        ..consumer_settings()
    };
    let inner = ConsumerInner::new(9, brokers.cluster().await, settings, None, None);
    tokio::spawn(run(EndOnDrop(inner.clone())));
    let missing = partitions([99]);
    inner.hold(&missing);
    inner.begin(&missing);
    inner.ready.notified().await;
    let error = inner.lock().next_error().unwrap();
    let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(error.broker_code(), Some(code), "{error}");
    brokers.grow(100);
    while inner.lock().get(0).unwrap().leader().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(inner.lock().next_error().is_none(), "told once");
    inner.close();
}

#[test]
fn partitions_without_a_leader_are_looked_for_less_and_less() {
    let mut search = Search::default();
    let now = Instant::now();
    let delay = |round: u32| Duration::from_secs(round.into());
    let at = |seconds| now + Duration::from_secs(seconds);
    let mut due = Vec::new();
    for second in 0..=10 {
        if search.is_due(true, at(second), delay) {
            due.push(second);
        }
    }
    assert_eq!(due, [0, 1, 3, 6, 10]);
    assert_eq!(search.next(), Some(at(15)));
    assert!(search.is_long());
    assert!(!search.is_due(false, at(11), delay));
    assert!(search.is_due(true, at(12), delay), "at once");
}
