//! What the broker certainly refused: its sequences are given out again, or leave a gap that is not forgotten.

use std::sync::Arc;

use super::*;
use crate::types::ProducerId;

#[test]
fn refused_records_are_left_out_and_the_others_kept_in_order() {
    let mut bench = Bench::new(LIMITS);
    (0..5).for_each(|_| {
        bench.append(10);
    });
    bench.queue.close();
    let taken = bench.take().unwrap();
    let parts = split(taken.batch, &[0, 3], usize::MAX)
        .unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
    let kept: Vec<_> = parts
        .iter()
        .map(|p| (p.share.first, p.share.count))
        .collect();
    assert_eq!(kept, [(1, 2), (4, 1)]);
}

/// The broker refuses some records of a batch, which is then sent without them.
fn drop_records(bench: &mut Bench, taken: Taken<u32>, without: &[u32]) {
    let answer = Answer {
        code: ErrorCode::INVALID_RECORD,
        message: None,
        base_offset: -1,
        log_append_time: -1,
        rejected: without.iter().map(|index| (*index, None)).collect(),
    };
    let error = || Arc::new(Error::broker(ErrorCode::INVALID_RECORD, None, "test"));
    let now = bench.now;
    let answered = bench
        .queue
        .answer(taken.flight, taken.batch, &answer, now, error, |_| now);
    let Answered::Without { flight, batch, .. } = answered else {
        panic!("records are refused");
    };
    let parts =
        split(batch, without, usize::MAX).unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
    assert!(bench.queue.parts(flight, parts).is_ok());
}

/// A batch of five records, sent.
fn five(bench: &mut Bench) -> Taken<u32> {
    (0..5).for_each(|_| {
        bench.append(10);
    });
    bench.queue.close();
    bench.take().unwrap()
}

/// Sequences and record counts of what is sent from now on, each batch acknowledged before the next.
fn all_acked(bench: &mut Bench, bump: Option<ProducerId>) -> Vec<((i16, i32), u32)> {
    let mut sent = Vec::new();
    while let Some(taken) = bench.take_with(bump) {
        sent.push((sequence(&taken), taken.batch.share.count));
        bench.answer(taken, ErrorCode::NONE);
    }
    sent
}

#[test]
fn refused_records_spend_no_sequence_and_no_epoch() {
    let mut bench = Bench::new(LIMITS);
    let taken = five(&mut bench);
    drop_records(&mut bench, taken, &[1, 4]);
    bench.batch();
    let expected = [((0, 0), 1), ((0, 1), 2), ((0, 3), 1)];
    assert_eq!(all_acked(&mut bench, None), expected);
}

#[test]
fn hole_of_refused_records_before_what_was_sent_is_remembered_when_their_neighbours_are_acknowledged()
 {
    let mut bench = Bench::new(LIMITS);
    let taken = five(&mut bench);
    bench.batch();
    let behind = bench.take().unwrap();
    drop_records(&mut bench, taken, &[4]);
    bench.answer(behind, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let part = bench.take().unwrap();
    assert_eq!((sequence(&part), part.batch.share.count), ((0, 0), 4));
    bench.answer(part, ErrorCode::NONE);
    bench.batch();
    assert!(
        bench.take().is_none(),
        "the broker would find the next sequence out of order"
    );
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}

#[test]
fn hole_of_records_that_an_earlier_attempt_may_have_written_is_remembered() {
    let mut bench = Bench::new(LIMITS);
    let taken = five(&mut bench);
    bench.lose(taken, true);
    bench.pass(Duration::from_secs(1));
    let again = bench.take().unwrap();
    drop_records(&mut bench, again, &[4]);
    let part = bench.take().unwrap();
    bench.answer(part, ErrorCode::NONE);
    bench.batch();
    assert!(bench.take().is_none());
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}

#[test]
fn refused_batch_gives_its_sequence_back_unless_others_were_sent_behind_it() {
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    let refuse = |bench: &mut Bench, taken| {
        let refused = bench.answer(taken, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        assert!(matches!(
            refused,
            Answered::Failed {
                possibly_written: false,
                ..
            }
        ));
    };
    refuse(&mut bench, second);
    assert_eq!(sequence(&bench.take().unwrap()), (0, 1));
    refuse(&mut bench, first);
    bench.batch();
    assert!(
        bench.take().is_none(),
        "what was sent behind it may still be refused"
    );
}

#[test]
fn batch_that_may_be_written_keeps_its_sequence_when_it_is_refused() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    let taken = bench.take().unwrap();
    bench.lose(taken, true);
    bench.pass(Duration::from_secs(1));
    let taken = bench.take().unwrap();
    bench.answer(taken, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    bench.batch();
    assert!(
        bench.take_with(None).is_none(),
        "without a new epoch nothing may follow"
    );
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}
