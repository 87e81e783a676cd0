//! Memory that is short: who may fill a batch, and how it grows.

use super::*;
use crate::batch::{RecordParts, size_bound};

const EMPTY: RecordParts<'_> = RecordParts {
    timestamp: 1,
    key: None,
    value: None,
    headers: &[],
};

#[test]
fn append_without_memory_adds_nothing_and_the_open_batch_grows_once_there_is_some() {
    let mut bench = Bench::new(LIMITS);
    bench.rooms.left = 500;
    let first = bench.append(100);
    while let Append::Added(_) = bench.try_append(100, false) {}
    assert!(matches!(bench.try_append(100, false), Append::Full));
    assert_eq!(
        bench.queue.readiness(bench.now, true),
        Readiness::Now,
        "somebody waits"
    );
    bench.rooms.left = 10_000;
    let next = bench.append(100);
    assert_eq!((next.result, next.opened), (first.result, false));
    let count = bench.queue.close().then(|| bench.take().unwrap());
    assert_eq!(count.unwrap().batch.share.count, next.index + 1);
}

#[test]
fn room_is_kept_for_those_who_waited_and_nobody_takes_it_before_them() {
    let mut bench = Bench::new(LIMITS);
    let bound = 100 + size_bound(&EMPTY);
    // Three have waited: their records fill the batch that the first of them opens.
    (bench.rooms.left, bench.rooms.others) = (3 * bound + 61, Some(2 * bound));
    let first = bench.append(100);
    bench.rooms.others = None;
    assert!(matches!(bench.try_append(100, false), Append::Full));
    for left in [1, 0] {
        bench.rooms.others = Some(left * bound);
        assert_eq!(bench.append(100).result, first.result);
    }
    assert_eq!(bench.rooms.left, 0);
    bench.queue.close();
    assert_eq!(bench.take().unwrap().batch.share.count, 3);
}

#[test]
fn room_of_one_who_does_not_come_is_anyones_in_the_end() {
    let mut bench = Bench::new(LIMITS);
    let bound = 100 + size_bound(&EMPTY);
    bench.rooms.others = Some(2 * bound);
    let first = bench.append(100);
    // One of the three is gone, and who comes now has waited for its turn.
    bench.rooms.others = Some(bound);
    assert_eq!(bench.append(100).result, first.result);
    bench.rooms.others = Some(0);
    assert_eq!(bench.append(100).result, first.result);
    bench.rooms.others = None;
    assert_eq!(bench.append(100).result, first.result);
}
