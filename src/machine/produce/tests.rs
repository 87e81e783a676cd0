//! The queue's promises, with an explicit clock.

use std::time::Duration;

use super::*;
use crate::error::{Error, ErrorCode};
use crate::types::{BrokerId, TopicId};

mod anything;
mod bench;
mod detached;
mod moves;
mod once;
mod refused;
mod room;
mod sizes;
mod waiters;

use bench::{Bench, ID, LEADER, LIMITS, NEXT, halved, sequence};

#[test]
fn open_batch_is_ready_exactly_when_linger_ends() {
    let mut bench = Bench::new(LIMITS);
    bench.append(10);
    let end = bench.now + LIMITS.linger;
    assert_eq!(
        bench.queue.readiness(bench.now, false),
        Readiness::Lingers(end)
    );
    bench.pass(LIMITS.linger - Duration::from_nanos(1));
    assert_eq!(
        bench.queue.readiness(bench.now, false),
        Readiness::Lingers(end)
    );
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.queue.readiness(bench.now, false), Readiness::Now);
}

#[test]
fn hurry_does_not_wait_for_linger() {
    let mut bench = Bench::new(LIMITS);
    bench.append(10);
    assert_eq!(bench.queue.readiness(bench.now, true), Readiness::Now);
}

#[test]
fn full_batch_is_closed_by_the_record_that_does_not_fit() {
    let mut bench = Bench::new(LIMITS);
    let first = bench.append(600);
    let second = bench.append(600);
    assert!(first.opened && first.first && second.opened && !second.first);
    assert_ne!(first.result, second.result);
    assert_eq!(bench.queue.readiness(bench.now, false), Readiness::Now);
    assert_eq!(bench.queue.backlog(), 1);
}

#[test]
fn record_above_batch_size_gets_a_batch_of_its_own() {
    let mut bench = Bench::new(LIMITS);
    bench.append(10);
    bench.append(5000);
    bench.append(10);
    let counts: Vec<u32> = std::iter::from_fn(|| bench.take())
        .map(|t| t.batch.share.count)
        .collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn sticky_partition_is_left_after_a_full_batch_and_not_before() {
    let mut bench = Bench::new(LIMITS);
    let mut added = 0;
    while let Append::Added(_) = bench.try_append(90, true) {
        added += 1;
    }
    assert_eq!(
        added, 9,
        "1000 bytes hold nine records of at most 100 bytes"
    );
    assert!(
        matches!(bench.try_append(90, true), Append::Added(_)),
        "it may come back"
    );
}

#[test]
fn sequences_follow_each_other_with_five_in_flight_and_no_sixth() {
    let mut bench = Bench::new(LIMITS);
    (0..6).for_each(|_| {
        bench.batch();
    });
    let taken: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    assert_eq!(
        taken.iter().map(sequence).collect::<Vec<_>>(),
        (0..5).map(|s| (0, s)).collect::<Vec<_>>()
    );
}

#[test]
fn retried_batch_keeps_its_sequence_and_goes_before_all_others_alone() {
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    let lost = bench.lose(first, true);
    assert!(matches!(lost, Answered::Queued { refresh: true }));
    bench.pass(Duration::from_secs(1));
    assert!(bench.take().is_none(), "the second is still in flight");
    bench.lose(second, true);
    bench.pass(Duration::from_secs(1));
    let again = bench.take().unwrap();
    assert_eq!(sequence(&again), (0, 0));
    assert!(bench.take().is_none(), "one at a time while retrying");
    assert!(matches!(
        bench.answer(again, ErrorCode::NONE),
        Answered::Acked { .. }
    ));
    let again = bench.take().unwrap();
    assert_eq!(sequence(&again), (0, 1));
    assert!(matches!(
        bench.answer(again, ErrorCode::NONE),
        Answered::Acked { .. }
    ));
    assert_eq!(sequence(&bench.take().unwrap()), (0, 2));
}

#[test]
fn out_of_order_behind_the_head_waits_and_at_the_head_restarts_sequences() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    bench.batch();
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.answer(second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    assert!(
        bench.take_with(Some(NEXT)).is_none(),
        "the head is still in flight"
    );
    bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    let again = bench.take_with(Some(NEXT)).unwrap();
    assert_eq!(sequence(&again), (1, 0));
    bench.answer(again, ErrorCode::NONE);
    assert_eq!(sequence(&bench.take_with(None).unwrap()), (1, 1));
}

#[test]
fn stamped_batches_behind_a_lost_one_are_first_offered_as_they_were() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    bench.batch();
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.pass(LIMITS.delivery_timeout);
    let mut ended = Vec::new();
    bench.queue.expire(bench.now, &mut ended);
    assert_eq!(ended.len(), 2);
    assert!(
        ended
            .iter()
            .all(|end| end.possibly_written && end.charged == 0)
    );
    for end in &ended {
        let Error::DeliveryTimeout { last, .. } = &*end.error else {
            panic!("{}", end.error);
        };
        let text = last.as_ref().unwrap().to_string();
        assert_eq!(text, "Produce to broker 1 was not answered within 120s");
    }
    assert!(matches!(
        bench.answer(first, ErrorCode::NONE),
        Answered::Late { .. }
    ));
    bench.batch();
    assert!(bench.take().is_none(), "the second's answer may still come");
    assert!(matches!(bench.lose(second, true), Answered::Late { .. }));
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}

#[test]
fn later_acknowledgement_proves_that_the_lost_batch_is_in_the_log() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    let first = bench.take().unwrap();
    bench.pass(Duration::from_secs(60));
    bench.batch();
    let second = bench.take().unwrap();
    bench.pass(Duration::from_secs(60));
    let mut ended = Vec::new();
    bench.queue.expire(bench.now, &mut ended);
    assert_eq!(ended.len(), 1);
    assert!(matches!(
        bench.answer(second, ErrorCode::NONE),
        Answered::Acked { .. }
    ));
    bench.lose(first, true);
    bench.batch();
    assert_eq!(
        sequence(&bench.take().unwrap()),
        (0, 2),
        "no new epoch is needed"
    );
}

#[test]
fn delivery_timeout_while_queued_spends_no_sequence() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    bench.pass(LIMITS.delivery_timeout);
    let mut ended = Vec::new();
    assert_eq!(bench.queue.expire(bench.now, &mut ended), None);
    assert!(!ended[0].possibly_written);
    bench.batch();
    assert_eq!(sequence(&bench.take().unwrap()), (0, 0));
}

#[test]
fn unsent_batch_is_not_possibly_written_when_its_retries_are_used_up() {
    for sent in [false, true] {
        let mut bench = Bench::new(Limits {
            retries: 0,
            ..LIMITS
        });
        bench.batch();
        let taken = bench.take().unwrap();
        match bench.lose(taken, sent) {
            Answered::Failed {
                possibly_written, ..
            } => assert_eq!(possibly_written, sent),
            _ => panic!("no retry was allowed"),
        }
    }
}

#[test]
fn without_sequences_a_later_acknowledgement_says_nothing_of_the_batches_before_it() {
    let mut bench = Bench::fresh(Limits {
        idempotent: false,
        retries: 1,
        ..LIMITS
    });
    bench.batch();
    bench.batch();
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.lose(first, true);
    bench.answer(second, ErrorCode::NONE);
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    let possibly_written = match bench.lose(first, true) {
        Answered::Failed {
            possibly_written, ..
        } => possibly_written,
        _ => panic!("no retry is left, and nobody said that it is in the log"),
    };
    assert!(possibly_written);
}

#[test]
fn batch_too_large_is_split_in_order_under_its_own_sequences() {
    let mut bench = Bench::new(LIMITS);
    (0..8).for_each(|_| {
        bench.append(50);
    });
    bench.queue.close();
    bench.batch();
    let taken = bench.take().unwrap();
    let behind = bench.take().unwrap();
    let (flight, batch) = bench.too_large(taken);
    let parts = halved(batch).unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
    assert!(parts.len() >= 2);
    assert!(bench.queue.parts(flight, parts).is_ok());
    bench.answer(behind, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    let (mut next, mut first) = (0, 0);
    for _ in 0..20 {
        let Some(taken) = bench.take() else { break };
        assert_eq!(sequence(&taken), (0, next));
        if next < 8 {
            assert_eq!(taken.batch.share.first, first);
            first += taken.batch.share.count;
        }
        next += i32::try_from(taken.batch.share.count).unwrap();
        bench.answer(taken, ErrorCode::NONE);
    }
    assert_eq!(next, 9);
}

#[test]
fn parts_of_a_split_batch_keep_their_order_while_they_are_compressed_again() {
    let mut bench = Bench::new(Limits {
        compressed: true,
        ..LIMITS
    });
    (0..8).for_each(|_| {
        bench.append(50);
    });
    bench.queue.close();
    let mut seen = Vec::new();
    let mut split_once = false;
    for _ in 0..20 {
        bench.pass(Duration::from_secs(1));
        match bench
            .queue
            .take(LEADER, TopicId::ZERO, bench.now, false, ID, |_| None)
        {
            Take::Compress(mut batch) => {
                if let Body::Raw(closed) = batch.body {
                    batch.body = Body::Unsealed(closed);
                }
                assert!(bench.queue.compressed(batch).is_none());
            }
            Take::Send(mut taken) => {
                if let Body::Unsealed(closed) = taken.batch.body {
                    taken.batch.body = Body::Sealed(closed.seal(ID, 0), ID, 0);
                }
                let first = taken.batch.share.first;
                let code = if split_once {
                    ErrorCode::NONE
                } else {
                    ErrorCode::MESSAGE_TOO_LARGE
                };
                match bench.answer(taken, code) {
                    Answered::TooLarge { flight, batch } => {
                        split_once = true;
                        let parts = halved(batch).unwrap_or_else(|(_, m)| panic!("{m}"));
                        assert!(bench.queue.parts(flight, parts).is_ok());
                    }
                    _ => seen.push(first),
                }
            }
            Take::GivenUp(_) | Take::Split(..) | Take::Nothing => break,
        }
    }
    assert!(seen.len() >= 2 && seen.is_sorted(), "{seen:?}");
}

#[test]
fn aborted_queue_accepts_nothing_and_leaves_nothing() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    bench.batch();
    let taken = bench.take().unwrap();
    bench.append(10);
    let mut ended = Vec::new();
    bench
        .queue
        .abort(&Error::Closed { what: "producer" }, &mut ended);
    let written: Vec<_> = ended.iter().map(|end| end.possibly_written).collect();
    assert_eq!(written, [true, false, false]);
    assert!(matches!(bench.try_append(10, false), Append::Closed));
    assert!(matches!(bench.lose(taken, true), Answered::Late { .. }));
    let mut left = Vec::new();
    bench.queue.unfinished(&mut left);
    assert!(left.is_empty());
}

#[test]
fn topic_with_another_id_is_one_that_knows_no_producer() {
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let anew = TopicId([1; 16]);
    let mut take = || match bench
        .queue
        .take(LEADER, anew, bench.now, false, ID, |_| None)
    {
        Take::Send(_) => true,
        Take::Compress(_) | Take::Split(..) | Take::GivenUp(_) | Take::Nothing => false,
    };
    assert!(take());
    assert!(!take(), "one batch at first");
}

#[test]
fn one_batch_is_in_flight_until_the_broker_knows_the_producer() {
    let mut bench = Bench::fresh(LIMITS);
    (0..7).for_each(|_| {
        bench.batch();
    });
    let first = bench.take().unwrap();
    assert!(
        bench.take().is_none(),
        "a broker without its state would take any sequence"
    );
    bench.answer(first, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    assert!(bench.take().is_none());
    bench.answer(first, ErrorCode::NONE);
    assert_eq!(std::iter::from_fn(|| bench.take()).count(), 5);
}

#[test]
fn producer_must_be_proven_again_after_a_long_silence_and_for_a_topic_made_anew() {
    let mut bench = Bench::fresh(LIMITS);
    bench.batch();
    let taken = bench.take().unwrap();
    bench.answer(taken, ErrorCode::NONE);
    bench.pass(Duration::from_secs(61));
    (0..3).for_each(|_| {
        bench.batch();
    });
    let taken = bench.take().unwrap();
    assert!(bench.take().is_none(), "the broker may have forgotten");
    bench.answer(taken, ErrorCode::NONE);
    let taken = bench.take().unwrap();
    bench.answer(taken, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    bench.pass(Duration::from_secs(1));
    let _flying = bench.take().unwrap();
    assert!(bench.take().is_none(), "the new topic knows nobody");
}
