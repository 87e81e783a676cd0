//! What a member does while its coordinator is silent for longer than a session.

use super::script::Script;
use super::*;
use crate::error::ErrorCode as E;

const COOPERATIVE: &[Assignor] = &[Assignor::CooperativeSticky];

fn not_found(script: &mut Script) {
    let error = Error::broker(E::COORDINATOR_NOT_AVAILABLE, None, "x");
    assert_eq!(script.event(Event::NotFound(error)), "");
}

/// A member whose coordinator has not been there for a session, and is looked for.
fn silenced(assignors: &[Assignor]) -> Script {
    let mut script = Script::stable(settings(assignors), "t0");
    let began = script.now;
    assert_eq!(script.wake(), "beat 1");
    // Its connection ends, and no coordinator is to be found.
    script.now += ms(100);
    assert_eq!(script.fails("beat"), "");
    let mut said = String::new();
    while said != "withhold" {
        said = script.wake();
        if said == "find" {
            not_found(&mut script);
        }
    }
    assert_eq!(script.now - began, ms(10_000), "session.timeout.ms");
    script
}

/// Lets the time pass until the coordinator is found.
fn found(script: &mut Script) -> String {
    assert_eq!(script.wake(), "find");
    script.event(Event::Found)
}

#[test]
fn a_coordinator_that_is_silent_for_a_session_costs_no_partition_and_nothing_is_handed_out_meanwhile()
 {
    for assignors in [COOPERATIVE, &[Assignor::Range]] {
        let mut script = silenced(assignors);
        for _ in 0..100 {
            assert_eq!(script.wake(), "find");
            not_found(&mut script);
        }
        assert_eq!(script.generation(), Some(1), "commits go on being tried");
        assert_eq!(found(&mut script), "beat 1");
        assert_eq!(script.refused("beat", E::NONE), "hand out");
        assert_eq!(script.generation(), Some(1));
        assert_eq!(script.beat(E::NONE), "", "once");
    }
}

#[test]
fn what_was_given_to_others_while_the_coordinator_was_silent_is_lost_before_anything_is_handed_out()
{
    for (code, why, id) in [
        (E::UNKNOWN_MEMBER_ID, "Expired", ""),
        (E::ILLEGAL_GENERATION, "LeftBehind", "m1"),
    ] {
        let mut script = silenced(COOPERATIVE);
        assert_eq!(found(&mut script), "beat 1");
        assert_eq!(script.refused("beat", code), format!("lose t0 {why}"));
        assert_eq!(script.done(), "");
        assert_eq!(script.wake(), format!("join as '{id}' with"));
        assert_eq!(script.joined(2, "m2", "m0"), "hand out, sync 2");
        assert_eq!(script.synced("t0"), "assign t0");
    }
}

#[test]
fn a_rebalance_that_a_silent_coordinator_began_is_taken_part_in() {
    let mut script = silenced(COOPERATIVE);
    assert_eq!(found(&mut script), "beat 1");
    let said = script.refused("beat", E::REBALANCE_IN_PROGRESS);
    assert_eq!(said, "hand out, join as 'm1' with t0");
}

#[test]
fn answers_that_say_nothing_of_the_member_leave_withheld_what_is() {
    let mut script = silenced(COOPERATIVE);
    assert_eq!(found(&mut script), "beat 1");
    for code in [E::COORDINATOR_LOAD_IN_PROGRESS, E::UNKNOWN_SERVER_ERROR] {
        assert_eq!(script.refused("beat", code), "", "{code}");
        assert_eq!(script.wake(), "beat 1");
    }
    assert_eq!(script.refused("beat", E::NOT_COORDINATOR), "");
    assert_eq!(found(&mut script), "beat 1");
    assert_eq!(script.refused("beat", E::NONE), "hand out");
}

#[test]
fn a_join_that_breaks_while_the_coordinator_is_silent_proves_nothing() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    script.beat(E::REBALANCE_IN_PROGRESS);
    assert_eq!(script.fails("join"), "");
    let mut said = String::new();
    while said != "withhold" {
        said = script.wake();
        if said == "find" {
            not_found(&mut script);
        }
    }
    for _ in 0..2 {
        assert_eq!(found(&mut script), "join as 'm1' with t0");
        assert_eq!(script.fails("join"), "");
    }
    assert_eq!(found(&mut script), "join as 'm1' with t0");
    assert_eq!(script.joined(2, "m1", "m0"), "hand out, sync 2");
    assert_eq!(script.synced("t0"), "", "kept all the time");
}

#[test]
fn joins_that_break_at_once_do_not_make_a_session_longer() {
    for call in ["join", "sync"] {
        let mut script = Script::stable(settings(COOPERATIVE), "t0");
        assert_eq!(script.wake(), "beat 1");
        let mut heard = script.now;
        script.refused("beat", E::REBALANCE_IN_PROGRESS);
        if call == "sync" {
            script.now += ms(1_000);
            heard = script.now;
            assert_eq!(script.joined(2, "m1", "m0"), "sync 2");
        }
        // Brokers know who it is, and its own connection does not come about.
        let mut said = script.fails(call);
        let mut broken = 0;
        while said != "withhold" {
            assert!(script.now - heard < ms(10_000), "{call}: handed out");
            said = match said.as_str() {
                "find" => script.event(Event::Found),
                "join as 'm1' with t0" => {
                    broken += 1;
                    script.fails("join")
                }
                "" => script.wake(),
                other => panic!("{other}"),
            };
        }
        assert!(broken > 5, "{broken}");
        assert_eq!(script.now - heard, ms(10_000), "{call}");
    }
}

#[test]
fn a_session_lasts_from_when_the_heartbeat_was_sent() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    assert_eq!(script.wake(), "beat 1");
    let sent = script.now;
    script.now += ms(3_300);
    assert_eq!(script.refused("beat", E::NONE), "beat 1");
    assert_eq!(script.member.session_end(), Some(sent + ms(10_000)));
}

#[test]
fn an_application_that_hangs_while_the_coordinator_is_silent_is_out_and_told() {
    let mut script = silenced(COOPERATIVE);
    let said = script.event(Event::PollExpired(ms(60_000)));
    assert!(said.starts_with("fail max.poll.interval.ms"), "{said}");
    assert!(
        said.ends_with("lose t0 PollInterval"),
        "nobody to leave: {said}"
    );
    assert_eq!(script.done(), "");
    assert_eq!(script.member.wake_at(), None);
    assert_eq!(script.event(Event::Polled), "");
    assert_eq!(script.wake(), "find");
    assert_eq!(script.event(Event::Found), "join as '' with");
    assert_eq!(script.joined(1, "m2", "m0"), "hand out, sync 1");
}
