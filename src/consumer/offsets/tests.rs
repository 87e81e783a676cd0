use super::*;
use crate::consumer::testing::{Brokers, consumer_settings, ms, partitions};
use crate::error::ErrorCode as E;
use crate::types::{OffsetAndMetadata, TopicId};

async fn offsets(brokers: &Brokers) -> Offsets {
    let settings = Arc::new(consumer_settings());
    Offsets::new(brokers.cluster().await, "g".into(), 7, settings)
}

fn member(generation: i32) -> MemberStanding {
    MemberStanding::Member(MemberIdentity {
        generation,
        member_id: "m1".into(),
        instance_id: None,
    })
}

/// The first partitions of `t` at these offsets.
fn at(offsets: &[i64]) -> Commits {
    let of = |(n, offset): (usize, &i64)| {
        let partition = TopicPartition::new("t", n as i32);
        (partition, OffsetAndMetadata::new(*offset).into())
    };
    offsets.iter().enumerate().map(of).collect()
}

fn rejoining(error: &Error) -> bool {
    match error {
        Error::Commit { rejoining, .. } => *rejoining,
        error => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_as_what_the_member_is() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    offsets.commit(&at(&[5, 6])).await.result.unwrap();
    assert_eq!(brokers.log(), ["0 find", "0 commit -1"]);
    offsets.stand(member(3));
    offsets.commit(&at(&[7])).await.result.unwrap();
    assert_eq!(brokers.log(), ["0 commit 3"]);
    assert_eq!(brokers.committed("t", 0), Some(7));
    assert_eq!(brokers.committed("t", 1), Some(6));
    offsets.commit(&[]).await.result.unwrap();
    assert_eq!(brokers.log(), Vec::<String>::new(), "nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_moved_is_found_again() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    offsets.commit(&at(&[1])).await.result.unwrap();
    brokers.coordinate(1);
    brokers.log();
    offsets.commit(&at(&[2])).await.result.unwrap();
    let log = brokers.log();
    assert_eq!(log[0], "0 commit -1");
    assert!(log[1].ends_with("find"));
    assert_eq!(log[2..], ["1 commit -1"]);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_with_what_is_left() {
    let brokers = Brokers::start(3);
    let offsets = offsets(&brokers).await;
    let codes = [
        E::NONE,
        E::COORDINATOR_LOAD_IN_PROGRESS,
        E::UNKNOWN_TOPIC_OR_PARTITION,
    ];
    brokers.fail("commit", &codes);
    offsets.commit(&at(&[1, 2, 3])).await.result.unwrap();
    assert_eq!(brokers.committed("t", 2), Some(3));
    let log = brokers.log();
    assert_eq!(log, ["0 find", "0 commit -1", "0 commit -1"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_fails_with_its_code() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    for code in [E::TOPIC_AUTHORIZATION_FAILED, E::OFFSET_METADATA_TOO_LARGE] {
        brokers.fail("commit", &[E::COORDINATOR_LOAD_IN_PROGRESS, code]);
        let error = offsets.commit(&at(&[1, 2])).await.result.unwrap_err();
        assert_eq!(error.broker_code(), Some(code));
        assert!(!rejoining(&error));
    }
    brokers.fail("find", &[E::GROUP_AUTHORIZATION_FAILED]);
    let known = offsets.coordinator().get().await.unwrap();
    offsets.coordinator().forget(&known);
    let error = offsets.commit(&at(&[1])).await.result.unwrap_err();
    assert_eq!(error.broker_code(), Some(E::GROUP_AUTHORIZATION_FAILED));
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_is_told_to_whoever_asked_and_to_the_member() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    let mut refusals = offsets.refusals();
    offsets.stand(member(4));
    brokers.fail("commit", &[E::REBALANCE_IN_PROGRESS]);
    let error = offsets.commit(&at(&[1])).await.result.unwrap_err();
    assert!(rejoining(&error) && error.is_retriable());
    let refusal = refusals.recv().await.unwrap();
    assert_eq!(
        (refusal.generation, refusal.code),
        (4, E::REBALANCE_IN_PROGRESS)
    );

    offsets.stand(MemberStanding::Rebalancing);
    brokers.log();
    assert!(rejoining(
        &offsets.commit(&at(&[1])).await.result.unwrap_err()
    ));
    assert_eq!(brokers.log(), Vec::<String>::new(), "it could not count");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_none_any_more_cannot_commit() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    let mut refusals = offsets.refusals();
    for code in [
        E::UNKNOWN_MEMBER_ID,
        E::ILLEGAL_GENERATION,
        E::FENCED_INSTANCE_ID,
    ] {
        offsets.stand(member(4));
        brokers.fail("commit", &[code]);
        let error = offsets.commit(&at(&[1])).await.result.unwrap_err();
        assert!(!rejoining(&error));
        assert_eq!(error.is_fatal(), code == E::FENCED_INSTANCE_ID);
        assert_eq!(refusals.recv().await.unwrap().code, code);
    }
    offsets.stand(MemberStanding::Outside);
    assert!(!rejoining(
        &offsets.commit(&at(&[1])).await.result.unwrap_err()
    ));
    assert_eq!(brokers.committed("t", 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_does_not_go_on_in_a_generation_in_which_the_partition_may_be_anothers() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    offsets.stand(member(1));
    brokers.fail("commit", &[E::COORDINATOR_LOAD_IN_PROGRESS; 3]);
    let commit = tokio::spawn({
        let offsets = offsets.clone();
        async move { offsets.commit(&at(&[1])).await }
    });
    sleep(ms(150)).await;
    offsets.stand(member(2));
    assert!(rejoining(&commit.await.unwrap().result.unwrap_err()));
    assert_eq!(brokers.committed("t", 0), None);
}

#[tokio::test(start_paused = true)]
async fn parting_waits_for_the_generation_in_which_it_counts() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    offsets.stand(member(1));
    // The group has gone on, and this member does not know it yet.
    brokers.fail("commit", &[E::REBALANCE_IN_PROGRESS]);
    let commit = tokio::spawn({
        let offsets = offsets.clone();
        let until = Instant::now() + ms(60_000);
        async move {
            offsets
                .commit_until(&at(&[9]), until, Manner::Parting)
                .await
        }
    });
    sleep(ms(1_000)).await;
    offsets.stand(MemberStanding::Rebalancing);
    sleep(ms(1_000)).await;
    assert!(!commit.is_finished());
    offsets.stand(member(2));
    commit.await.unwrap().result.unwrap();
    assert_eq!(brokers.log().last().unwrap(), "0 commit 2");

    // Nobody asked for the offset of a topic that is gone.
    brokers.fail("commit", &[E::UNKNOWN_TOPIC_OR_PARTITION]);
    let until = Instant::now() + ms(60_000);
    let gone = at(&[10]);
    let parting = offsets.commit_until(&gone, until, Manner::Parting);
    parting.await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commits_are_made_one_after_the_other() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    brokers.fail("commit", &[E::COORDINATOR_LOAD_IN_PROGRESS; 5]);
    let (at_1, at_2) = (at(&[1]), at(&[2]));
    let (first, second) = tokio::join!(offsets.commit(&at_1), offsets.commit(&at_2));
    first.result.unwrap();
    second.result.unwrap();
    assert_eq!(brokers.committed("t", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_gone_holds_up_no_other_commit() {
    let brokers = Brokers::start(3);
    let offsets = offsets(&brokers).await;
    brokers.lose(0);
    let began = Instant::now();
    let (all, other) = (at(&[1, 2]), at(&[0, 0, 3]).split_off(2));
    let (lost, kept) = tokio::join!(offsets.commit(&all), async {
        sleep(ms(500)).await;
        let kept = offsets.commit(&other).await;
        (kept, began.elapsed())
    });
    kept.0.result.unwrap();
    assert!(kept.1 < ms(600), "{:?}", kept.1);
    assert_eq!(lost.committed, all[1..], "the part that was committed");
    let error = lost.result.unwrap_err();
    assert_eq!(error.broker_code(), Some(E::UNKNOWN_TOPIC_OR_PARTITION));

    // In the background nothing waits for it.
    offsets.commit_in_background(at(&[5, 6]), |_| {});
    offsets.background_done(Instant::now() + ms(1_000)).await;
    assert_eq!(brokers.committed("t", 1), Some(6));
    assert!(!offsets.0.waiting.is_busy());
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_tried_again_does_not_take_a_later_one_back() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    let loading = E::COORDINATOR_LOAD_IN_PROGRESS;
    brokers.fail("commit", &[loading, loading]);
    let (early, late) = (at(&[1, 1]), at(&[2]));
    let (first, second) = tokio::join!(offsets.commit(&early), async {
        sleep(ms(50)).await;
        offsets.commit(&late).await
    });
    second.result.unwrap();
    first.result.unwrap();
    assert_eq!(first.committed, early[1..]);
    assert_eq!(brokers.committed("t", 0), Some(2));
    assert_eq!(brokers.committed("t", 1), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_offset_is_committed_for_the_topic_that_was_read_and_no_other() {
    let brokers = Brokers::start(3);
    brokers.make_anew(TopicId([2; 16]));
    let offsets = offsets(&brokers).await;
    offsets.cluster().add_interest("t", false);
    let mut changes = offsets.cluster().changes();
    let known = |cluster: &Cluster| cluster.topology().topics.contains_key("t");
    while !known(offsets.cluster()) {
        changes.changed().await.unwrap();
    }
    let mut commits = at(&[1, 2, 3]);
    commits[0].1.topic_id = TopicId([1; 16]);
    commits[1].1.topic_id = TopicId([2; 16]);
    let outcome = offsets.commit(&commits).await;
    assert_eq!(outcome.committed, commits[1..], "the others all the same");
    let error = outcome.result.unwrap_err();
    assert!(matches!(error, Error::TopicRecreated { .. }), "{error}");
    assert!(!error.is_retriable() && !error.is_fatal());
    assert_eq!(brokers.committed("t", 0), None);
    offsets.check_topics(&commits).unwrap_err();
    offsets.check_topics(&commits[1..]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_background_is_not_committed_after_a_later_commit() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    brokers.fail("commit", &[E::COORDINATOR_LOAD_IN_PROGRESS; 3]);
    offsets.commit_in_background(at(&[1]), |_| {});
    sleep(ms(50)).await;
    // One is under way; these wait behind it.
    offsets.commit_in_background(at(&[2, 20]), |_| {});
    offsets.commit(&at(&[3])).await.result.unwrap();
    offsets.background_done(Instant::now() + ms(10_000)).await;
    assert_eq!(brokers.committed("t", 0), Some(3));
    assert_eq!(brokers.committed("t", 1), Some(20), "another partition's");
}

#[tokio::test(start_paused = true)]
async fn a_commit_ends_in_time_with_what_kept_it() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    brokers.fail("commit", &[E::COORDINATOR_LOAD_IN_PROGRESS; 999]);
    let began = Instant::now();
    let error = offsets.commit(&at(&[1])).await.result.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 60, "default.api.timeout.ms");
    assert_eq!(error.broker_code(), Some(E::COORDINATOR_LOAD_IN_PROGRESS));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_coordinator_is_left_when_another_one_is_found() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    offsets.commit(&at(&[1])).await.result.unwrap();
    brokers.freeze(0);
    brokers.coordinate(1);
    offsets.commit(&at(&[2])).await.result.unwrap();
    assert_eq!(brokers.committed("t", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn committed_offsets_are_told_in_order_and_none_is_not_zero() {
    let brokers = Brokers::start(3);
    let offsets = offsets(&brokers).await;
    brokers.commit("t", 0, 0);
    brokers.commit("t", 2, 42);
    let found = offsets
        .fetch_committed(&partitions([2, 1, 0]))
        .await
        .unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|(partition, offset)| (partition.partition(), offset.map(|o| o.offset)))
        .collect();
    assert_eq!(found, [(2, Some(42)), (1, None), (0, Some(0))]);
    assert_eq!(offsets.fetch_committed(&[]).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_is_not_known_yet_is_asked_for_again() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    brokers.commit("t", 0, 5);
    brokers.fail("offsets", &[E::COORDINATOR_LOAD_IN_PROGRESS]);
    // The first goes with the answer that is refused as a whole.
    brokers.fail(
        "offset",
        &[
            E::NONE,
            E::UNSTABLE_OFFSET_COMMIT,
            E::UNKNOWN_TOPIC_OR_PARTITION,
        ],
    );
    let found = offsets.fetch_committed(&partitions([0])).await.unwrap();
    assert_eq!(found[0].1, Some(OffsetAndMetadata::new(5)));
    let asked = brokers
        .log()
        .iter()
        .filter(|line| *line == "0 offsets")
        .count();
    assert_eq!(asked, 4);

    brokers.fail("offset", &[E::TOPIC_AUTHORIZATION_FAILED]);
    let error = offsets.fetch_committed(&partitions([0])).await.unwrap_err();
    assert_eq!(error.broker_code(), Some(E::TOPIC_AUTHORIZATION_FAILED));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_next_generation_overtakes_may_be_made_again() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    let mut refusals = offsets.refusals();
    let MemberStanding::Member(identity) = member(1) else {
        panic!()
    };
    offsets.stand(MemberStanding::Joining(identity));
    brokers.fail("commit", &[E::ILLEGAL_GENERATION]);
    let error = offsets.commit(&at(&[1])).await.result.unwrap_err();
    assert!(rejoining(&error), "{error}");
    assert!(refusals.try_recv().is_err(), "the join's answer decides");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_waited_for_its_turn_is_not_made_in_a_later_generation() {
    let brokers = Brokers::start(1);
    let offsets = offsets(&brokers).await;
    offsets.stand(member(1));
    let turn = offsets.turn().await;
    let waiting = offsets.clone();
    let commit = tokio::spawn(async move { waiting.commit(&at(&[1])).await });
    sleep(ms(100)).await;
    offsets.stand(member(2));
    drop(turn);
    assert!(rejoining(&commit.await.unwrap().result.unwrap_err()));
    assert_eq!(brokers.committed("t", 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_refused_does_not_hide_what_is_committed_for_others() {
    let brokers = Brokers::start(2);
    let offsets = offsets(&brokers).await;
    brokers.commit("t", 1, 5);
    brokers.fail("offset", &[E::TOPIC_AUTHORIZATION_FAILED]);
    let told = offsets.ask(&partitions([0, 1])).await.unwrap();
    let refusal = told[0].1.as_ref().unwrap_err();
    assert_eq!(refusal.broker_code(), Some(E::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(
        told[1].1.as_ref().unwrap(),
        &Some(OffsetAndMetadata::new(5))
    );
}
