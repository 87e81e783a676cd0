use super::script::Script;
use super::*;
use crate::error::ErrorCode as E;

const EAGER: &[Assignor] = &[Assignor::Range, Assignor::CooperativeSticky];
const COOPERATIVE: &[Assignor] = &[Assignor::CooperativeSticky];

#[test]
fn a_commit_that_the_next_generation_overtakes_costs_no_partition() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    assert_eq!(
        script.beat(E::REBALANCE_IN_PROGRESS),
        "join as 'm1' with t0"
    );
    assert!(matches!(
        script.member.standing(),
        MemberStanding::Joining(_)
    ));
    let overtaken = Event::Refused {
        generation: 1,
        code: E::ILLEGAL_GENERATION,
    };
    assert_eq!(script.event(overtaken), "", "the join's answer decides");
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    assert_eq!(script.synced("t0"), "", "kept all the time");
    assert_eq!(script.generation(), Some(2));
}

#[test]
fn a_member_that_closes_between_two_generations_gives_up_in_one() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    script.beat(E::REBALANCE_IN_PROGRESS);
    script.joined(2, "m1", "m0");
    assert_eq!(
        script.event(Event::Leave),
        "",
        "a listener could not commit now"
    );
    assert_eq!(script.synced("t0"), "revoke t0");
    assert_eq!(script.generation(), Some(2));
    assert_eq!(script.done(), "leave m1");
}

#[test]
fn a_fenced_member_is_told_that_this_is_the_end() {
    let mut fixed = settings(COOPERATIVE);
    fixed.instance_id = Some("i1".into());
    let mut script = Script::stable(fixed, "t0");
    let said = script.beat(E::FENCED_INSTANCE_ID);
    assert!(said.contains("end FENCED_INSTANCE_ID"), "{said}");
}

#[test]
fn a_late_answer_to_a_heartbeat_of_an_earlier_generation_costs_nothing() {
    for (code, is_early) in [
        (E::ILLEGAL_GENERATION, true),
        (E::ILLEGAL_GENERATION, false),
        (E::REBALANCE_IN_PROGRESS, false),
        (E::UNKNOWN_MEMBER_ID, false),
    ] {
        let mut script = Script::stable(settings(COOPERATIVE), "t0");
        assert_eq!(script.wake(), "beat 1");
        let rebalance = Event::Refused {
            generation: 1,
            code: E::REBALANCE_IN_PROGRESS,
        };
        assert_eq!(script.event(rebalance), "join as 'm1' with t0");
        if is_early {
            assert_eq!(
                script.refused("beat", code),
                "",
                "the join's answer decides"
            );
        }
        assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
        assert_eq!(script.synced("t0"), "");
        if !is_early {
            assert_eq!(script.refused("beat", code), "", "{code}");
        }
        assert_eq!(script.generation(), Some(2));
        assert_eq!(script.beat(E::NONE), "", "those of this one go on");
    }
}

#[test]
fn a_join_that_waited_in_vain_for_longer_than_a_session_is_made_again_without_a_loss_and_nothing_is_handed_out()
 {
    for ends in ["moved", "join", "sync"] {
        let mut script = Script::stable(settings(COOPERATIVE), "t0");
        script.beat(E::REBALANCE_IN_PROGRESS);
        if ends == "sync" {
            script.joined(2, "m1", "m0");
        }
        script.now += ms(29_000);
        let mut said = match ends {
            "moved" => script.event(Event::Moved),
            call => script.fails(call),
        };
        if said == "withhold" {
            said += ", ";
            said += &script.wake();
        }
        assert_eq!(said, "withhold, find", "{ends}");
        script.now += ms(9_000);
        assert_eq!(script.event(Event::Found), "join as 'm1' with t0", "{ends}");
        assert_eq!(script.joined(3, "m1", "m0"), "hand out, sync 3", "{ends}");
        assert_eq!(script.synced("t0"), "", "kept all the time: {ends}");
    }
}

#[test]
fn an_application_that_hangs_in_a_rebalance_is_out_at_once() {
    let mut script = Script::stable(settings(&[Assignor::Range]), "t0");
    assert_eq!(script.beat(E::REBALANCE_IN_PROGRESS), "revoke t0");
    let said = script.event(Event::PollExpired(ms(60_000)));
    assert!(
        said.starts_with("stop t0, fail max.poll.interval.ms"),
        "{said}"
    );
    assert!(said.ends_with("leave m1"), "{said}");
    assert_eq!(script.member.standing(), MemberStanding::Outside);
    assert_eq!(script.refused("leave", E::NONE), "");
    assert_eq!(script.event(Event::Polled), "", "one thing after the other");
    assert_eq!(script.done(), "join as '' with");
}

#[test]
fn an_application_that_hangs_while_the_consumer_closes_is_out_at_once() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0 t1");
    assert_eq!(script.event(Event::Leave), "revoke t0 t1");
    let said = script.event(Event::PollExpired(ms(60_000)));
    assert_eq!(said, "stop t0 t1, leave m1");
    assert_eq!(script.refused("leave", E::NONE), "");
    assert_eq!(script.done(), "left");
}

#[test]
fn topics_that_are_wanted_again_while_they_are_given_up_are_joined_for_again() {
    for assignors in [EAGER, COOPERATIVE] {
        let mut script = Script::stable(settings(assignors), "t0");
        assert_eq!(script.subscribe(""), "revoke t0");
        assert_eq!(script.subscribe("t"), "");
        assert_eq!(script.done(), "join as 'm1' with");
        assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
        assert_eq!(script.synced("t0"), "assign t0");
        script.done();
        assert_eq!(script.beat(E::NONE), "", "once");
    }
}

#[test]
fn what_was_brought_into_a_generation_and_given_up_meanwhile_is_free_for_others() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0 t1");
    assert_eq!(
        script.beat(E::REBALANCE_IN_PROGRESS),
        "join as 'm1' with t0 t1"
    );
    assert_eq!(script.subscribe(""), "revoke t0 t1");
    assert_eq!(script.subscribe("t"), "");
    assert_eq!(script.done(), "");
    assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
    // The leader keeps t1 from its new owner until this member has given it up, which it has.
    assert_eq!(script.synced("t0"), "assign t0");
    assert_eq!(script.done(), "join as 'm1' with t0");
}

#[test]
fn partitions_that_appear_and_go_again_are_joined_for_once() {
    let mut script = Script::new(settings(COOPERATIVE));
    script.subscribe("t");
    script.event(Event::Found);
    let own = crate::wire::GroupMember {
        member_id: "m1".into(),
        instance_id: None,
        metadata: Subscription {
            topics: vec!["t".into()],
            ..Subscription::default()
        }
        .encode(),
    };
    let joined = |generation| Joined {
        generation,
        protocol: Some("cooperative-sticky".into()),
        leader: "m1".into(),
        member_id: "m1".into(),
        members: vec![own.clone()],
        ..Joined::default()
    };
    let counts = |count| Event::Counts([("t".into(), count)].into());
    script.answer("join", Answer::Join(E::NONE, joined(1)));
    assert_eq!(script.event(counts(1)), "sync 1");
    assert_eq!(script.event(counts(2)), "", "one thing after the other");
    assert_eq!(script.synced("t0"), "assign t0");
    assert_eq!(script.done(), "join as 'm1' with t0");
    let counting = script.answer("join", Answer::Join(E::NONE, joined(2)));
    assert_eq!(counting, "count t");
    assert_eq!(script.event(counts(2)), "sync 2");
    assert_eq!(script.synced("t0 t1"), "assign t1");
    assert_eq!(script.done(), "");
}
