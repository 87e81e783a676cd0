//! Batches larger than their topic takes: split before they are sent, once that is known.

use super::*;

/// Takes a batch that is to be split before it is sent, and gives it back in parts.
fn split_ahead(bench: &mut Bench, size: usize) {
    let now = bench.now;
    let take = bench
        .queue
        .take(LEADER, TopicId::ZERO, now, false, ID, |_| None);
    let Take::Split(number, batch) = take else {
        panic!("it is larger than {size} bytes");
    };
    assert!(bench.take().is_none(), "it is detached");
    let charged = batch.charged;
    let parts = split(batch, &[], size).unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
    assert!(parts.iter().all(|part| part.plain_len <= size));
    let shared: usize = parts.iter().map(|part| part.charged).sum();
    assert_eq!(shared, charged);
    assert!(bench.queue.parts(number, parts).is_ok());
}

fn eight(bench: &mut Bench) -> u32 {
    let results: Vec<_> = (0..8).map(|_| bench.append(50).result).collect();
    bench.queue.close();
    results[0]
}

/// Result, first index and sequence of what is sent, each batch acknowledged before the next.
fn all_acked(bench: &mut Bench) -> Vec<(u32, u32, i32)> {
    let mut sent = Vec::new();
    while let Some(taken) = bench.take() {
        let share = &taken.batch.share;
        sent.push((share.result, share.first, sequence(&taken).1));
        bench.answer(taken, ErrorCode::NONE);
    }
    sent
}

#[test]
fn batch_larger_than_is_known_to_pass_is_split_before_it_is_sent_and_keeps_its_place() {
    let mut bench = Bench::new(LIMITS);
    let (first, second) = (eight(&mut bench), eight(&mut bench));
    bench.queue.fit(300);
    split_ahead(&mut bench, 300);
    let taken = bench.take().unwrap();
    // Its other parts, and the second batch, wait behind it.
    bench.answer(taken, ErrorCode::NOT_ENOUGH_REPLICAS);
    bench.pass(Duration::from_secs(1));
    let mut sent = Vec::new();
    while sent.len() < 16 {
        let all = all_acked_until_split(&mut bench);
        if all.is_empty() {
            split_ahead(&mut bench, 300);
        }
        sent.extend(all);
    }
    let expected: Vec<_> = [first, second]
        .into_iter()
        .flat_map(|result| (0..8).map(move |index| (result, index)))
        .collect();
    assert_eq!(sent, expected);
}

/// The records of what is sent before something has to be split, by result and index.
fn all_acked_until_split(bench: &mut Bench) -> Vec<(u32, u32)> {
    let mut sent = Vec::new();
    while bench.queue.backlog() > 0 && bench.queue.next_len() <= 300 {
        let taken = bench.take().unwrap();
        let share = taken.batch.share.clone();
        sent.extend((0..share.count).map(|index| (share.result, share.first + index)));
        bench.answer(taken, ErrorCode::NONE);
    }
    sent
}

#[test]
fn new_batches_are_closed_below_the_size_that_passes() {
    let mut bench = Bench::new(LIMITS);
    bench.queue.fit(300);
    (0..8).for_each(|_| {
        bench.append(50);
    });
    bench.queue.close();
    let sent = all_acked(&mut bench);
    assert!(sent.len() > 1, "{sent:?}");
    bench.queue.fit(1000);
    eight(&mut bench);
    assert_eq!(all_acked(&mut bench).len(), 1);
}

#[test]
fn batch_that_may_be_written_is_sent_whole_however_large() {
    let mut bench = Bench::new(LIMITS);
    eight(&mut bench);
    let taken = bench.take().unwrap();
    bench.lose(taken, true);
    bench.queue.fit(300);
    bench.pass(Duration::from_secs(1));
    let taken = bench.take().unwrap();
    assert_eq!(taken.batch.share.count, 8);
}
