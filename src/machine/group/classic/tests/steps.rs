use super::script::Script;
use super::*;
use crate::error::ErrorCode as E;
use crate::wire::GroupMember;

const EAGER: &[Assignor] = &[Assignor::Range, Assignor::CooperativeSticky];
const COOPERATIVE: &[Assignor] = &[Assignor::CooperativeSticky];

#[test]
fn a_new_member_takes_the_id_that_the_coordinator_chose() {
    let mut script = Script::new(settings(EAGER));
    assert_eq!(script.subscribe("t"), "find");
    assert_eq!(script.event(Event::Found), "join as '' with");
    let (_, _, timeout) = script.calls["join"];
    assert_eq!(timeout, ms(65_000), "the rebalance timeout and 5 s");
    let joined = Joined {
        member_id: "m1".into(),
        ..Joined::default()
    };
    let again = script.answer("join", Answer::Join(E::MEMBER_ID_REQUIRED, joined));
    assert_eq!(again, "join as 'm1' with");
    let Request::Join(join) = &script.calls["join"].1 else {
        panic!()
    };
    let reason = "need to re-join with the given member-id: m1";
    assert_eq!(join.reason.as_deref(), Some(reason));
    assert_eq!(script.member.standing(), MemberStanding::Outside);
    assert_eq!(script.joined(1, "m1", "m0"), "sync 1");
    assert_eq!(script.member.standing(), MemberStanding::Rebalancing);
    assert_eq!(script.synced("t0 t1"), "assign t0 t1");
    assert_eq!(script.generation(), Some(1));
    assert_eq!(script.done(), "");
}

#[test]
fn the_leader_counts_partitions_and_shares_them_out() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    let of = |id: &str, topics: &[&str]| GroupMember {
        member_id: id.into(),
        instance_id: None,
        metadata: Subscription {
            topics: topics.iter().map(|t| (*t).into()).collect(),
            ..Subscription::default()
        }
        .encode(),
    };
    let mut garbage = of("m3", &[]);
    garbage.metadata = bytes::Bytes::from_static(b"\x00\x01\xff\xff");
    let joined = Joined {
        generation: 5,
        protocol: Some("range".into()),
        leader: "m1".into(),
        member_id: "m1".into(),
        members: vec![of("m1", &["t"]), of("m2", &["t", "u"]), garbage],
        ..Joined::default()
    };
    let counting = script.answer("join", Answer::Join(E::NONE, joined));
    assert_eq!(counting, "unreadable m3, count t u");
    let counts: PartitionCounts = [("t".into(), 3)].into();
    assert_eq!(script.event(Event::Counts(counts.clone())), "sync 5");
    let Request::Sync(sync) = &script.calls["sync"].1 else {
        panic!()
    };
    let given: Vec<_> = sync
        .assignments
        .iter()
        .map(|(id, bytes)| {
            let assignment = Assignment::decode(bytes.clone()).unwrap();
            format!("{id}{}", names(&assignment.partitions))
        })
        .collect();
    assert_eq!(given, ["m1 t0 t1", "m2 t2", "m3"]);

    assert_eq!(script.synced("t0 t1"), "assign t0 t1");
    script.done();
    assert_eq!(script.event(Event::Counts(counts)), "", "as they were");
    let other: PartitionCounts = [("t".into(), 3), ("x".into(), 1)].into();
    assert_eq!(script.event(Event::Counts(other)), "", "nobody's");
    assert_eq!(
        script.event(Event::Counts(PartitionCounts::new())),
        "",
        "no news"
    );
    let appeared: PartitionCounts = [("t".into(), 3), ("u".into(), 1)].into();
    assert_eq!(script.event(Event::Counts(appeared)), "revoke t0 t1");
    assert_eq!(script.done(), "join as 'm1' with");
}

#[test]
fn a_follower_does_not_care_how_many_partitions_there_are() {
    let mut script = Script::stable(settings(EAGER), "t0");
    assert_eq!(script.event(Event::Counts([("t".into(), 9)].into())), "");
}

#[test]
fn a_leader_that_the_coordinator_spares_assigns_nothing() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    let joined = Joined {
        generation: 1,
        protocol: Some("range".into()),
        leader: "m1".into(),
        member_id: "m1".into(),
        skip_assignment: true,
        ..Joined::default()
    };
    script.answer("join", Answer::Join(E::NONE, joined));
    script.event(Event::Counts([("t".into(), 1)].into()));
    let Request::Sync(sync) = &script.calls["sync"].1 else {
        panic!()
    };
    assert_eq!(sync.assignments.len(), 0);
}

#[test]
fn an_eager_member_gives_everything_up_before_it_joins_again() {
    let mut script = Script::stable(settings(EAGER), "t0 t1");
    assert_eq!(script.beat(E::NONE), "");
    assert_eq!(script.beat(E::REBALANCE_IN_PROGRESS), "revoke t0 t1");
    // The application takes its time; commits count, and the session goes on.
    assert_eq!(script.generation(), Some(1));
    assert_eq!(script.beat(E::REBALANCE_IN_PROGRESS), "");
    assert_eq!(script.done(), "join as 'm1' with");
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    assert_eq!(script.synced("t1"), "assign t1");
    script.done();
}

#[test]
fn a_cooperative_member_keeps_what_stays() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0 t1 t2");
    assert_eq!(
        script.beat(E::REBALANCE_IN_PROGRESS),
        "join as 'm1' with t0 t1 t2"
    );
    assert_eq!(script.generation(), Some(1), "commits go on");
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    assert_eq!(script.synced("t0 t3"), "revoke t1 t2");
    assert_eq!(script.done(), "assign t3");
    // What was given up can be given to others only now.
    assert_eq!(script.done(), "join as 'm1' with t0 t3");
    assert_eq!(script.joined(3, "m1", "m0"), "sync 3");
    assert_eq!(script.synced("t0 t3"), "");
    assert_eq!(script.beat(E::NONE), "");
}

#[test]
fn a_cooperative_member_gives_topics_up_that_it_wants_no_longer() {
    let mut script = Script::new(settings(COOPERATIVE));
    script.subscribe("t u");
    script.event(Event::Found);
    script.joined(1, "m1", "m0");
    script.synced("t0 u0");
    script.done();
    assert_eq!(script.subscribe("t"), "revoke u0");
    assert_eq!(script.done(), "join as 'm1' with t0");
}

#[test]
fn an_assignment_that_came_too_late_for_a_new_subscription_is_not_taken() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    script.joined(1, "m1", "m0");
    assert_eq!(script.subscribe("u"), "");
    assert_eq!(script.synced("t0"), "join as 'm1' with");
    // A leader that does not care is not asked in a tight loop.
    script.joined(2, "m1", "m0");
    assert_eq!(script.synced("t0"), "");
    assert_eq!(script.wake(), "join as 'm1' with");
}

#[test]
fn who_is_unknown_loses_everything_and_joins_anew() {
    for assignors in [EAGER, COOPERATIVE] {
        let mut script = Script::stable(settings(assignors), "t0");
        assert_eq!(script.beat(E::UNKNOWN_MEMBER_ID), "lose t0 Expired");
        assert_eq!(script.member.standing(), MemberStanding::Outside);
        assert_eq!(script.done(), "join as '' with");
    }
}

#[test]
fn who_was_left_behind_keeps_its_id() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    assert_eq!(script.beat(E::ILLEGAL_GENERATION), "lose t0 LeftBehind");
    assert_eq!(script.done(), "join as 'm1' with");
}

#[test]
fn who_is_unknown_when_it_joins_loses_what_it_kept() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    script.beat(E::REBALANCE_IN_PROGRESS);
    assert_eq!(
        script.refused("join", E::UNKNOWN_MEMBER_ID),
        "lose t0 Expired"
    );
    assert_eq!(script.done(), "join as '' with");
}

#[test]
fn what_is_lost_while_it_is_being_given_up_is_lost_afterwards() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0 t1");
    script.beat(E::REBALANCE_IN_PROGRESS);
    script.joined(2, "m1", "m0");
    assert_eq!(script.synced("t0 t2"), "revoke t1");
    // Nothing of them is handed out any more, however long a listener takes.
    assert_eq!(script.beat(E::UNKNOWN_MEMBER_ID), "stop t0 t1");
    assert_eq!(script.done(), "lose t0 Expired");
    assert_eq!(script.done(), "join as '' with");
}

#[test]
fn what_is_lost_while_it_is_being_taken_is_lost_afterwards() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    script.joined(1, "m1", "m0");
    assert_eq!(script.synced("t0"), "assign t0");
    assert_eq!(script.beat(E::ILLEGAL_GENERATION), "stop t0");
    assert_eq!(script.done(), "lose t0 LeftBehind");
}

#[test]
fn a_coordinator_that_moves_costs_nothing() {
    let mut script = Script::stable(settings(EAGER), "t0");
    assert_eq!(script.beat(E::NOT_COORDINATOR), "");
    assert_eq!(script.wake(), "find");
    assert_eq!(script.event(Event::Found), "beat 1");
    assert_eq!(script.refused("beat", E::COORDINATOR_LOAD_IN_PROGRESS), "");
    assert_eq!(script.wake(), "beat 1");
    assert_eq!(script.refused("beat", E::NONE), "");
    assert_eq!(script.generation(), Some(1));
}

#[test]
fn a_join_that_waits_at_the_wrong_broker_is_made_again() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    script.beat(E::REBALANCE_IN_PROGRESS);
    let void = script.call("join");
    assert_eq!(script.event(Event::Moved), "find");
    assert_eq!(script.event(Event::Found), "join as 'm1' with t0");
    let late = Answer::Join(E::NONE, Joined::default());
    assert_eq!(
        script.event(Event::Answer(void, Ok(late))),
        "",
        "the void one's answer"
    );
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    assert_eq!(script.event(Event::Moved), "find");
    assert_eq!(script.event(Event::Found), "join as 'm1' with t0");
}

#[test]
fn failures_in_a_row_wait_longer_and_longer() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    let mut waits = Vec::new();
    for _ in 0..6 {
        assert_eq!(script.refused("join", E::COORDINATOR_LOAD_IN_PROGRESS), "");
        let began = script.now;
        assert_eq!(script.wake(), "join as '' with");
        waits.push((script.now - began).as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
}

#[test]
fn an_interrupted_sync_joins_again() {
    for code in [
        E::REBALANCE_IN_PROGRESS,
        E::NOT_COORDINATOR,
        E::UNKNOWN_MEMBER_ID,
    ] {
        let mut script = Script::new(settings(EAGER));
        script.subscribe("t");
        script.event(Event::Found);
        script.joined(1, "m1", "m0");
        let mut said = script.refused("sync", code);
        if code == E::NOT_COORDINATOR {
            assert_eq!(script.wake(), "find");
            said = script.event(Event::Found);
        }
        let id = if code == E::UNKNOWN_MEMBER_ID {
            ""
        } else {
            "m1"
        };
        assert_eq!(said, format!("join as '{id}' with"), "{code}");
    }
}

#[test]
fn a_fenced_static_member_stops_for_good() {
    let mut fixed = settings(EAGER);
    fixed.instance_id = Some("i1".into());
    let mut script = Script::stable(fixed, "t0");
    assert_eq!(
        script.beat(E::FENCED_INSTANCE_ID),
        "end FENCED_INSTANCE_ID, lose t0 Fenced"
    );
    assert_eq!(script.done(), "");
    assert_eq!(script.event(Event::Polled), "");
    assert_eq!(script.subscribe("u"), "");
    assert_eq!(script.member.wake_at(), None);
    assert_eq!(script.event(Event::Leave), "left");
}

#[test]
fn a_refused_member_tries_again_when_the_application_asks_again() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    let said = script.refused("join", E::GROUP_AUTHORIZATION_FAILED);
    assert_eq!(said, "fail GROUP_AUTHORIZATION_FAILED");
    assert!(script.member.is_paused());
    assert_eq!(script.member.wake_at(), None);
    assert_eq!(script.event(Event::Polled), "", "not at once");
    assert_eq!(script.wake(), "join as '' with");
}

#[test]
fn an_assignor_that_nobody_asked_for_is_refused() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    let joined = Joined {
        generation: 1,
        protocol: Some("sticky".into()),
        member_id: "m1".into(),
        ..Joined::default()
    };
    let said = script.answer("join", Answer::Join(E::NONE, joined));
    assert_eq!(said, "fail INCONSISTENT_GROUP_PROTOCOL, leave m1");
}

#[test]
fn garbage_for_an_assignment_is_told_and_given_back() {
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    script.event(Event::Found);
    script.joined(1, "m1", "m0");
    let said = script.answer(
        "sync",
        Answer::Sync(E::NONE, bytes::Bytes::from_static(b"?")),
    );
    assert!(
        said.starts_with("fail malformed") && said.ends_with("leave m1"),
        "{said}"
    );
    assert_eq!(script.synced(""), "", "an answer to nothing");
}

#[test]
fn a_slow_application_loses_everything_and_comes_back_with_its_next_call() {
    let mut script = Script::stable(settings(EAGER), "t0");
    let said = script.event(Event::PollExpired(ms(60_000)));
    assert!(
        said.starts_with("fail max.poll.interval.ms")
            && said.ends_with("leave m1, lose t0 PollInterval"),
        "{said}"
    );
    assert_eq!(script.event(Event::PollExpired(ms(60_000))), "", "once");
    assert_eq!(script.done(), "");
    assert_eq!(script.refused("leave", E::NONE), "");
    assert!(script.member.is_paused());
    assert_eq!(script.member.wake_at(), None, "no heartbeats");
    assert_eq!(script.event(Event::Polled), "join as '' with");
}

#[test]
fn a_slow_application_of_a_static_member_does_not_leave() {
    let mut fixed = settings(EAGER);
    fixed.instance_id = Some("i1".into());
    let mut script = Script::stable(fixed, "t0");
    script.event(Event::PollExpired(ms(60_000)));
    assert_eq!(script.done(), "");
    assert_eq!(script.event(Event::Polled), "join as '' with");
}

#[test]
fn a_refused_commit_counts_as_a_heartbeat_of_its_generation() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    let refused = |generation, code| Event::Refused { generation, code };
    assert_eq!(
        script.event(refused(0, E::ILLEGAL_GENERATION)),
        "",
        "an old one"
    );
    let said = script.event(refused(1, E::REBALANCE_IN_PROGRESS));
    assert_eq!(said, "join as 'm1' with t0");
    assert_eq!(
        script.event(refused(1, E::UNKNOWN_MEMBER_ID)),
        "lose t0 Expired"
    );
}

#[test]
fn closing_gives_everything_up_and_leaves() {
    let mut script = Script::stable(settings(EAGER), "t0");
    assert_eq!(script.event(Event::Leave), "revoke t0");
    assert_eq!(script.generation(), Some(1), "the last commit counts");
    assert_eq!(script.done(), "leave m1");
    let Request::Leave(leave) = &script.calls["leave"].1 else {
        panic!()
    };
    assert_eq!(
        leave.reason.as_deref(),
        Some("the consumer is being closed")
    );
    assert_eq!(script.refused("leave", E::NONE), "left");
    assert_eq!(script.subscribe("u"), "");
    assert_eq!(script.member.wake_at(), None);
}

#[test]
fn closing_amid_a_rebalance_waits_for_the_generation_in_which_it_may_commit() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    script.beat(E::REBALANCE_IN_PROGRESS);
    assert_eq!(script.event(Event::Leave), "revoke t0");
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    assert_eq!(script.member.standing(), MemberStanding::Rebalancing);
    assert_eq!(script.synced("t0"), "");
    assert_eq!(script.generation(), Some(2));
    assert_eq!(script.done(), "leave m1");
}

#[test]
fn a_static_member_does_not_leave_when_it_closes() {
    let mut fixed = settings(EAGER);
    fixed.instance_id = Some("i1".into());
    let mut script = Script::stable(fixed, "t0");
    assert_eq!(script.event(Event::Leave), "revoke t0");
    assert_eq!(script.done(), "left");
}

#[test]
fn one_that_never_joined_has_left_at_once() {
    let mut script = Script::new(settings(EAGER));
    assert_eq!(script.event(Event::Leave), "left");
    let mut script = Script::new(settings(EAGER));
    script.subscribe("t");
    assert_eq!(script.event(Event::Leave), "left");
    assert_eq!(script.event(Event::Found), "");
}

#[test]
fn without_topics_the_group_is_left_and_with_others_joined_again() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    assert_eq!(script.subscribe(""), "revoke t0");
    assert_eq!(script.done(), "leave m1");
    assert_eq!(script.subscribe("u"), "", "one thing after the other");
    assert_eq!(script.fails("leave"), "join as '' with");
}

#[test]
fn a_reason_is_no_longer_than_a_broker_takes() {
    assert_eq!(shortened("\u{e9}".repeat(300).into()).chars().count(), 255);
    assert_eq!(&*shortened("short".into()), "short");
}

#[test]
fn the_sticky_assignors_user_data_has_the_last_assignment() {
    let mut script = Script::stable(settings(&[Assignor::Sticky]), "t0 t1");
    script.beat(E::REBALANCE_IN_PROGRESS);
    assert_eq!(script.done(), "join as 'm1' with", "given up");
    let Request::Join(join) = &script.calls["join"].1 else {
        panic!()
    };
    let (_, metadata) = &join.protocols[0];
    let told = Subscription::decode(metadata.clone()).unwrap().user_data;
    assert_eq!(
        told,
        Assignor::Sticky.user_data(&partitions("t0 t1"), Some(1))
    );
}
