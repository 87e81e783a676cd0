use super::script::Script;
use super::*;
use crate::error::ErrorCode as E;

const COOPERATIVE: &[Assignor] = &[Assignor::CooperativeSticky];

#[test]
fn a_commit_that_the_next_generation_overtakes_costs_no_partition() {
    let mut script = Script::stable(settings(COOPERATIVE), "t0");
    assert_eq!(
        script.beat(E::REBALANCE_IN_PROGRESS),
        "join as 'm1' with t0"
    );
    assert!(matches!(script.member.standing(), Standing::Joining(_)));
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
