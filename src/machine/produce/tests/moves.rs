//! Partitions that get another leader, or none.

use super::*;

#[test]
fn backoff_is_waited_out_unless_the_leader_moves() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    let taken = bench.take().unwrap();
    bench.answer(taken, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(matches!(
        bench.queue.readiness(bench.now, true),
        Readiness::At(_)
    ));
    assert!(bench.queue.lead(Some(BrokerId(2))));
    assert_eq!(bench.queue.readiness(bench.now, false), Readiness::Now);
    assert!(bench.take().is_none(), "the old leader takes nothing more");
}

#[test]
fn new_leader_starts_only_after_the_old_one_has_answered() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    bench.batch();
    let taken = bench.take().unwrap();
    bench.queue.lead(Some(BrokerId(2)));
    assert_eq!(bench.queue.readiness(bench.now, false), Readiness::No);
    bench.answer(taken, ErrorCode::NONE);
    assert_eq!(bench.queue.readiness(bench.now, false), Readiness::Now);
}

#[test]
fn what_the_old_leader_still_refuses_holds_nothing_up_at_the_new_one() {
    let lost = |bench: &mut Bench, taken| bench.lose(taken, true);
    let refused = |bench: &mut Bench, taken| bench.answer(taken, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    for late in [lost, refused] {
        let mut bench = Bench::new(LIMITS);
        (0..2).for_each(|_| {
            bench.batch();
        });
        let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
        bench.answer(first, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(bench.queue.lead(Some(BrokerId(2))));
        late(&mut bench, second);
        assert_eq!(bench.queue.readiness(bench.now, false), Readiness::Now);
    }
}
