use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::*;
use crate::consumer::testing::{Brokers, Notes, consumer_settings, ms};
use crate::error::ErrorCode as E;
use crate::types::TopicName;

struct Group {
    brokers: Arc<Brokers>,
    notes: Arc<Notes>,
    offsets: Offsets,
    membership: Membership,
}

async fn start(partitions: i32, notes: Arc<Notes>, settings: ConsumerSettings) -> Group {
    let brokers = Brokers::start(partitions);
    let settings = Arc::new(settings);
    let cluster = brokers.cluster().await;
    let offsets = Offsets::new(cluster, "g".into(), 1, settings.clone());
    let membership = Membership::spawn(notes.clone(), offsets.clone(), &settings, &Home::here());
    Group {
        brokers,
        notes,
        offsets,
        membership,
    }
}

async fn joined(partitions: i32) -> Group {
    let group = start(partitions, Notes::new(), consumer_settings()).await;
    group.notes.until("begin").await;
    group.brokers.log();
    group
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_at_once_and_its_listener_hears_before_anything_is_fetched() {
    let group = start(2, Notes::new(), consumer_settings()).await;
    let began = Instant::now();
    let noted = group.notes.until("begin").await;
    assert_eq!(noted, ["hold 0 1", "Assigned 0 1", "begin 0 1"]);
    assert!(began.elapsed() < ms(500), "{:?}", began.elapsed());
    assert_eq!(group.brokers.log(), ["0 find", "0 join", "0 sync"]);
}

#[tokio::test(start_paused = true)]
async fn leaving_settles_commits_and_tells_in_this_order() {
    let group = joined(1).await;
    let (brokers, notes) = (group.brokers.clone(), group.notes.clone());
    notes.do_with(0, 17);
    notes.busy.send_replace(true);
    let leaving = tokio::spawn(async move { group.membership.leave().await });
    sleep(ms(2_000)).await;
    assert_eq!(notes.log(), ["stop 0"], "the application is not done");
    notes.busy.send_replace(false);
    leaving.await.unwrap().unwrap();
    assert_eq!(notes.log(), ["committed", "Revoked 0", "remove 0", "left"]);
    assert_eq!(brokers.log(), ["0 commit 1", "0 leave"]);
    assert_eq!(brokers.committed("t", 0), Some(17));
}

#[tokio::test(start_paused = true)]
async fn leaving_tells_why_the_last_offsets_were_not_committed() {
    let group = joined(1).await;
    group.notes.do_with(0, 17);
    group
        .brokers
        .fail("commit", &[E::GROUP_AUTHORIZATION_FAILED]);
    let error = group.membership.leave().await.unwrap_err();
    assert_eq!(error.broker_code(), Some(E::GROUP_AUTHORIZATION_FAILED));
    assert!(group.brokers.log().contains(&"0 leave".to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_before_it_could_be_given_up_is_told_as_lost() {
    for (code, told) in [
        (E::UNKNOWN_MEMBER_ID, "Expired"),
        (E::ILLEGAL_GENERATION, "LeftBehind"),
        (E::FENCED_INSTANCE_ID, "Fenced"),
    ] {
        let group = joined(1).await;
        group.notes.do_with(0, 17);
        group.brokers.fail("commit", &[code]);
        let error = group.membership.leave().await.unwrap_err();
        assert_eq!(error.broker_code(), Some(code));
        let mut noted = group.notes.log();
        // The member may hear of the refusal before or after it is out: if before, it stops what is being given up.
        assert_eq!(noted.remove(0), "stop 0");
        noted.retain(|line| !line.starts_with("end ") && line != "stop 0");
        let (told, lost) = (format!("told {told} 0"), format!("Lost({told}) 0"));
        assert_eq!(noted, [&told, &lost, "remove 0", "left"]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_leaves_too() {
    let Group {
        brokers,
        notes,
        membership,
        ..
    } = joined(1).await;
    drop(membership);
    assert_eq!(
        notes.until("left").await,
        ["stop 0", "Revoked 0", "remove 0", "left"]
    );
    assert_eq!(brokers.log(), ["0 leave"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_application_is_done_with_is_committed_every_five_seconds() {
    let group = joined(1).await;
    group.notes.do_with(0, 3);
    sleep(ms(4_000)).await;
    assert_eq!(group.brokers.committed("t", 0), None);
    sleep(ms(2_000)).await;
    assert_eq!(group.brokers.committed("t", 0), Some(3));
    sleep(ms(20_000)).await;
    assert_eq!(group.brokers.log(), ["0 commit 1"], "once");
}

#[tokio::test(start_paused = true)]
async fn without_automatic_commits_nothing_is_committed() {
    let settings = ConsumerSettings {
        auto_commit: None,
        ..consumer_settings()
    };
    let group = start(1, Notes::new(), settings).await;
    group.notes.until("begin").await;
    group.notes.do_with(0, 3);
    sleep(ms(20_000)).await;
    group.membership.leave().await.unwrap();
    assert_eq!(group.brokers.committed("t", 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_member_joins_anew_without_committing() {
    let group = joined(1).await;
    group.notes.do_with(0, 3);
    group.brokers.fail("beat", &[E::UNKNOWN_MEMBER_ID]);
    let noted = group.notes.until("begin").await;
    let lost = ["stop 0", "told Expired 0", "Lost(Expired) 0", "remove 0"];
    assert_eq!(noted[..4], lost);
    assert_eq!(noted[4..], ["hold 0", "Assigned 0", "begin 0"]);
    assert_eq!(group.brokers.log(), ["0 join", "0 sync"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_refused_by_the_group_reaches_the_member() {
    let group = joined(1).await;
    group.notes.do_with(0, 3);
    group.brokers.fail("commit", &[E::ILLEGAL_GENERATION]);
    let offsets = group.notes.done.lock().unwrap().clone();
    group.offsets.commit(&offsets).await.result.unwrap_err();
    let noted = group.notes.until("remove").await;
    let lost = [
        "stop 0",
        "told LeftBehind 0",
        "Lost(LeftBehind) 0",
        "remove 0",
    ];
    assert_eq!(noted[..4], lost);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_call_is_told_so_and_comes_back() {
    let group = joined(1).await;
    *group.notes.calls.lock().unwrap() = (5, false);
    let began = Instant::now();
    let noted = group.notes.until("remove").await;
    assert!(
        noted[0].starts_with("fail max.poll.interval.ms = 60s"),
        "{noted:?}"
    );
    let lost = [
        "stop 0",
        "told PollInterval 0",
        "Lost(PollInterval) 0",
        "remove 0",
    ];
    assert_eq!(noted[1..], lost);
    let late = began.elapsed() - ms(60_000);
    assert!(late < ms(2_500), "{late:?}");
    sleep(ms(60_000)).await;
    assert_eq!(group.brokers.log(), ["0 leave"]);
    *group.notes.calls.lock().unwrap() = (6, false);
    group.notes.until("begin").await;
    assert_eq!(group.brokers.log(), ["0 join", "0 sync"]);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_waits_for_records_is_alive() {
    let group = joined(1).await;
    sleep(ms(300_000)).await;
    assert_eq!(group.notes.log(), Vec::<String>::new());
    assert_eq!(group.brokers.log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_awaits_any_more_does_not_keep_the_member_alive() {
    let group = joined(1).await;
    group.notes.awaited.send_replace(false);
    let began = Instant::now();
    let noted = group.notes.until("remove").await;
    assert!(
        noted[0].starts_with("fail max.poll.interval.ms"),
        "{noted:?}"
    );
    let late = began.elapsed().abs_diff(ms(60_000));
    assert!(late < ms(2_500), "{late:?}");
    sleep(ms(60_000)).await;
    assert_eq!(group.brokers.log(), ["0 leave"]);
    assert_eq!(group.notes.log(), Vec::<String>::new());
    group.notes.calls.lock().unwrap().0 += 1;
    group.notes.until("begin").await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_return_costs_the_group_no_more_than_max_poll_interval() {
    for closes in [false, true] {
        let group = joined(1).await;
        let notes = group.notes.clone();
        notes.returns.send_replace(false);
        let began = Instant::now();
        let leaving = if closes {
            let leaving = tokio::spawn(async move { group.membership.leave().await });
            assert_eq!(notes.until("Revoked").await, ["stop 0", "Revoked 0"]);
            Err(leaving)
        } else {
            notes.subscription.send_replace(Arc::default());
            let noted = notes.until("fail").await;
            assert_eq!(noted[..3], ["stop 0", "Revoked 0", "stop 0"]);
            assert!(
                noted[3].starts_with("fail max.poll.interval.ms"),
                "{noted:?}"
            );
            Ok(group.membership)
        };
        while group.brokers.log() != ["0 leave"] {
            sleep(ms(100)).await;
        }
        let late = began.elapsed().abs_diff(ms(60_000));
        assert!(late < ms(2_500), "{late:?}");
        notes.returns.send_replace(true);
        notes.until("remove").await;
        if let Err(leaving) = leaving {
            leaving.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_tell_of_a_commit_that_failed_before() {
    let group = joined(1).await;
    group.notes.do_with(0, 17);
    group
        .brokers
        .fail("commit", &[E::GROUP_AUTHORIZATION_FAILED]);
    group.notes.subscription.send_replace(Arc::default());
    group.notes.until("remove").await;
    group.notes.done.lock().unwrap().clear();
    group.membership.leave().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_does_not_end_the_membership() {
    let group = start(1, Notes::panicking(), consumer_settings()).await;
    assert_eq!(
        group.notes.until("begin").await,
        ["hold 0", "Assigned 0", "begin 0"]
    );
    group.membership.leave().await.unwrap();
    assert_eq!(
        group.notes.until("left").await,
        ["stop 0", "Revoked 0", "remove 0", "left"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_leader_joins_again_when_a_topic_grows_or_appears() {
    let settings = ConsumerSettings {
        auto_commit: None,
        ..consumer_settings()
    };
    let group = start(0, Notes::new(), settings).await;
    sleep(ms(10_000)).await;
    assert_eq!(group.brokers.log(), ["0 find", "0 join", "0 sync"]);
    for (count, expected) in [(1, "begin 0"), (2, "begin 0 1")] {
        group.brokers.grow(count);
        group.offsets.cluster().request_refresh();
        let noted = group.notes.until("begin").await;
        assert_eq!(noted.last().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_appears_is_read_within_four_seconds() {
    let group = start(0, Notes::new(), consumer_settings()).await;
    sleep(ms(60_000)).await;
    group.brokers.grow(1);
    let began = Instant::now();
    group.notes.until("begin").await;
    assert!(began.elapsed() < ms(4_000), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_for_a_moment_is_not_dropped() {
    let group = joined(1).await;
    group.brokers.hide(true);
    group.offsets.cluster().request_refresh();
    sleep(ms(1_000)).await;
    group.brokers.fail("beat", &[E::REBALANCE_IN_PROGRESS]);
    group.notes.until("remove").await;
    sleep(ms(2_000)).await;
    assert_eq!(group.brokers.log(), ["0 join"], "the leader waits");
    group.brokers.hide(false);
    let noted = group.notes.until("begin").await;
    assert_eq!(noted, ["hold 0", "Assigned 0", "begin 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_join_at_a_frozen_broker_goes_to_the_one_that_took_over() {
    let group = start(1, Notes::new(), consumer_settings()).await;
    group.brokers.freeze(0);
    group.brokers.coordinate(1);
    let began = Instant::now();
    group.notes.until("begin").await;
    assert!(began.elapsed() < ms(12_000), "{:?}", began.elapsed());
    let joins = group.brokers.log();
    assert!(joins.contains(&"1 join".to_string()), "{joins:?}");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_freezes_costs_nothing_when_another_takes_over_in_time() {
    let group = joined(1).await;
    group.brokers.freeze(0);
    group.brokers.coordinate(1);
    sleep(ms(60_000)).await;
    assert_eq!(
        group.notes.log(),
        Vec::<String>::new(),
        "neither lost nor revoked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_gone_for_a_session_costs_nothing_and_nothing_is_handed_out_until_it_is_back()
 {
    let group = joined(1).await;
    let began = Instant::now();
    group
        .brokers
        .fail("find", &[E::COORDINATOR_NOT_AVAILABLE; 30]);
    group.brokers.fail("beat", &[E::NOT_COORDINATOR]);
    assert_eq!(group.notes.until("withhold").await, ["withhold"]);
    let after = began.elapsed();
    assert!((ms(9_000)..ms(13_500)).contains(&after), "{after:?}");
    assert_eq!(group.notes.until("hand out").await, ["hand out"]);
    sleep(ms(60_000)).await;
    assert_eq!(group.notes.log(), Vec::<String>::new());
    let log = group.brokers.log();
    assert!(
        log.iter().all(|call| call == "0 find"),
        "nobody joins: {log:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn another_subscription_is_joined_with() {
    let group = joined(1).await;
    let none: Arc<[TopicName]> = Arc::default();
    group.notes.subscription.send_replace(none);
    group.notes.until("remove").await;
    sleep(ms(1_000)).await;
    assert_eq!(group.brokers.log(), ["0 leave"]);
    group
        .notes
        .subscription
        .send_replace(["t".into(), "u".into()].into());
    group.notes.until("begin").await;
}

#[tokio::test(start_paused = true)]
async fn partitions_chosen_by_hand_are_committed_at_the_end() {
    let notes = Notes::new();
    notes.subscription.send_replace(Arc::default());
    let group = start(1, notes, consumer_settings()).await;
    sleep(ms(100)).await;
    group.notes.do_with(0, 8);
    group.membership.leave().await.unwrap();
    assert_eq!(group.brokers.log(), ["0 find", "0 commit -1"]);
    assert_eq!(group.brokers.committed("t", 0), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_closed_ends_the_membership_with_an_error() {
    let group = joined(1).await;
    group.offsets.cluster().close();
    let noted = group.notes.until("remove").await;
    assert!(
        noted.contains(&"end the client is closed".to_string()),
        "{noted:?}"
    );
    group.membership.leave().await.unwrap();
}
