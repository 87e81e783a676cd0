//! Partitions that get another leader, or none.

use std::sync::Arc;

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
fn what_waits_for_a_partition_that_is_gone_fails_and_so_does_what_comes_back() {
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.append(10);
    bench.queue.lead(None);
    let error = Arc::new(Error::Closed {
        what: "the partition",
    });
    let mut ended = Vec::new();
    bench.queue.gone(&error, &mut ended);
    assert_eq!(ended.len(), 2);
    assert!(
        ended
            .iter()
            .all(|end| !end.possibly_written && end.charged > 0)
    );
    for (taken, sent) in [(first, true), (second, false)] {
        let Answered::Failed {
            batch,
            possibly_written,
            fatal: false,
        } = bench.lose(taken, sent)
        else {
            panic!("nobody will take it");
        };
        assert_eq!(possibly_written, sent);
        assert!(Arc::ptr_eq(&batch.last_error.unwrap(), &error));
    }
    // The topic has grown.
    bench.queue.lead(Some(LEADER));
    bench.batch();
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
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
