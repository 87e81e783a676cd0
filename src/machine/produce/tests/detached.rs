//! Batches that are detached, being compressed or split, are unresolved: nothing overtakes, forgets or loses them.

use std::sync::Arc;

use super::*;

/// Two batches, the first of several records, which was sent.
fn with_first_sent(limits: Limits) -> (Bench, Taken<u32>) {
    let mut bench = Bench::fresh(limits);
    (0..8).for_each(|_| {
        bench.append(50);
    });
    bench.queue.close();
    bench.batch();
    let first = bench.take().unwrap();
    (bench, first)
}

fn parts_of(batch: ProducerBatch<u32>) -> Vec<ProducerBatch<u32>> {
    halved(batch).unwrap_or_else(|(_, malformed)| panic!("{malformed}"))
}

#[test]
fn nothing_is_sent_while_a_batch_is_being_split() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let (flight, batch) = bench.too_large(first);
    bench.pass(Duration::from_secs(1));
    assert!(bench.take().is_none(), "it would overtake the first batch");
    let parts = parts_of(batch);
    assert!(bench.queue.parts(flight, parts).is_ok());
    let part = bench.take().unwrap();
    assert_eq!((sequence(&part), part.batch.share.first), ((0, 0), 0));
}

#[test]
fn no_epoch_is_spent_while_refused_records_are_left_out() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let answer = Answer {
        code: ErrorCode::INVALID_RECORD,
        message: None,
        base_offset: -1,
        log_append_time: -1,
        rejected: vec![(3, None)],
    };
    let error = || Arc::new(Error::Closed { what: "test" });
    let now = bench.now;
    let answered = bench
        .queue
        .answer(first.flight, first.batch, &answer, now, error, |_| now);
    let Answered::Without { flight, batch, .. } = answered else {
        panic!("one record is refused");
    };
    assert!(bench.take_with(Some(NEXT)).is_none());
    let parts =
        split(batch, &[3], usize::MAX).unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
    assert!(bench.queue.parts(flight, parts).is_ok());
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (0, 0));
}

#[test]
fn batch_behind_one_that_is_being_split_is_not_the_head() {
    let mut bench = Bench::new(LIMITS);
    (0..8).for_each(|_| {
        bench.append(50);
    });
    bench.queue.close();
    bench.batch();
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    let (flight, batch) = bench.too_large(first);
    bench.answer(second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert!(bench.queue.parts(flight, parts_of(batch)).is_ok());
    bench.pass(Duration::from_secs(1));
    let part = bench.take_with(Some(NEXT)).unwrap();
    assert_eq!(sequence(&part), (0, 0), "sequences need no restart");
}

#[test]
fn batch_that_is_being_split_is_waited_for_and_watched() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let result = first.batch.share.result;
    let (flight, batch) = bench.too_large(first);
    let mut waited_for = Vec::new();
    bench.queue.unfinished(&mut waited_for);
    assert!(waited_for.contains(&result));
    let mut ended = Vec::new();
    bench.pass(LIMITS.delivery_timeout);
    assert_eq!(bench.queue.expire(bench.now, &mut ended), None);
    assert!(ended.iter().any(|end| end.share.result == result));
    let late = bench.queue.parts(flight, parts_of(batch)).unwrap_err();
    assert!(late.iter().map(|part| part.charged).sum::<usize>() > 0);
    let records: u32 = ended.iter().map(|end| end.share.count).sum();
    assert_eq!(records, 9);
}

#[test]
fn abort_ends_a_batch_that_is_being_split() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let (flight, batch) = bench.too_large(first);
    let mut ended = Vec::new();
    let error = Error::Closed { what: "producer" };
    bench.queue.abort(&error, &mut ended);
    let mut records: Vec<_> = ended.iter().map(|end| end.share.count).collect();
    records.sort_unstable();
    assert_eq!(records, [1, 8]);
    let back = bench.queue.parts(flight, parts_of(batch)).unwrap_err();
    assert!(back.iter().map(|part| part.charged).sum::<usize>() > 0);
    assert!(bench.take().is_none());
}

#[test]
fn batch_that_is_not_split_gives_its_sequence_back_unless_others_were_sent_behind_it() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let (flight, _batch) = bench.too_large(first);
    assert!(bench.queue.not_split(flight));
    assert!(!bench.queue.not_split(flight), "only once");
    assert_eq!(sequence(&bench.take().unwrap()), (0, 0));
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    let (flight, _batch) = bench.too_large(first);
    bench.lose(second, false);
    assert!(bench.queue.not_split(flight));
    bench.pass(Duration::from_secs(1));
    let second = bench.take().unwrap();
    assert_eq!(sequence(&second), (0, 1), "it was sent as it was");
    bench.answer(second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}

/// A batch that is detached being compressed.
fn compressing(bench: &mut Bench) -> ProducerBatch<u32> {
    bench.batch();
    let now = bench.now;
    let taken = bench
        .queue
        .take(LEADER, TopicId::ZERO, now, false, ID, |_| None);
    match taken {
        Take::Compress(batch) => batch,
        _ => panic!("it is to be compressed"),
    }
}

const COMPRESSED: Limits = Limits {
    compressed: true,
    ..LIMITS
};

#[test]
fn abort_ends_a_batch_that_is_being_compressed() {
    let mut bench = Bench::new(COMPRESSED);
    let batch = compressing(&mut bench);
    let mut ended = Vec::new();
    let error = Error::Closed { what: "producer" };
    bench.queue.abort(&error, &mut ended);
    assert_eq!(ended.len(), 1);
    assert!(!ended[0].possibly_written && ended[0].charged == 0);
    let back = bench.queue.compressed(batch).unwrap();
    assert!(
        back.charged > 0,
        "its memory is for who had it to give back"
    );
    let mut left = Vec::new();
    bench.queue.unfinished(&mut left);
    assert!(left.is_empty());
}

#[test]
fn delivery_timeout_ends_a_batch_that_is_being_compressed_and_what_follows_is_not_held_up() {
    let mut bench = Bench::new(COMPRESSED);
    let first = compressing(&mut bench);
    let limit = LIMITS.delivery_timeout;
    bench.pass(Duration::from_secs(1));
    let second = bench.batch();
    let mut ended = Vec::new();
    let next = bench.queue.expire(bench.now, &mut ended);
    assert_eq!(next, Some(first.opened + limit));
    bench.now = first.opened + limit;
    let next = bench.queue.expire(bench.now, &mut ended);
    assert_eq!(next, Some(bench.now + Duration::from_secs(1)));
    assert_eq!((ended.len(), ended[0].charged), (1, 0));
    assert_eq!(ended[0].share.result, first.share.result);
    assert!(matches!(*ended[0].error, Error::DeliveryTimeout { .. }));
    // The next one goes to be compressed, and the first one that comes back is not taken for it.
    let taken = bench
        .queue
        .take(LEADER, TopicId::ZERO, bench.now, false, ID, |_| None);
    let Take::Compress(next) = taken else {
        panic!("it is to be compressed");
    };
    assert_eq!(next.share.result, second);
    assert!(!bench.queue.is_compressing(&first));
    let late = bench.queue.compressed(first).unwrap();
    assert!(late.charged > 0);
    assert!(bench.queue.compressed(next).is_none());
}

#[test]
fn parts_share_the_memory_charge_by_their_size() {
    let (mut bench, first) = with_first_sent(LIMITS);
    let (_, batch) = bench.too_large(first);
    let charged = batch.charged;
    let parts = parts_of(batch);
    let all: usize = parts.iter().map(|part| part.charged).sum();
    assert_eq!(all, charged);
    assert!(
        parts
            .iter()
            .all(|part| part.charged >= part.plain_len.min(charged / 4))
    );
}
