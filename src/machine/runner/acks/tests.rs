use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 4096;
const TOPIC: TopicId = TopicId([1; 16]);

fn origin(version: u64, block: usize) -> Origin {
    Origin {
        topic_id: TOPIC,
        leader_epoch: 3,
        version,
        block,
        bytes: 1000,
    }
}

fn take(acks: &mut PartitionAcks, origin: Origin, offsets: &[i64]) -> Vec<Option<u64>> {
    acks.set_origin(origin, offsets[0], Instant::now());
    let numbers = offsets.iter().map(|offset| acks.take(*offset)).collect();
    acks.taken();
    numbers
}

fn low(acks: &PartitionAcks) -> i64 {
    acks.progress(LIMIT).unwrap().offset.offset
}

fn unfinished(acks: &PartitionAcks) -> usize {
    acks.runs.iter().map(|run| run.unfinished as usize).sum()
}

/// What whoever has the partition next is told.
fn handed_on(acks: &PartitionAcks) -> PartitionAcks {
    let mut next = PartitionAcks::default();
    next.begin(&acks.progress(LIMIT).unwrap().offset);
    next
}

#[test]
fn the_committed_offset_is_behind_the_records_that_are_all_finished() {
    let mut acks = PartitionAcks::default();
    assert_eq!(acks.progress(LIMIT), None, "nothing is known");
    let numbers = take(&mut acks, origin(1, 1), &[40, 41, 42, 45]);
    assert_eq!((low(&acks), unfinished(&acks)), (40, 4));
    acks.finish(numbers[1].unwrap());
    assert_eq!(low(&acks), 40);
    acks.finish(numbers[0].unwrap());
    assert_eq!(low(&acks), 42);
    acks.finish(numbers[2].unwrap());
    assert_eq!(low(&acks), 45, "the next one that there is");
    assert!(!acks.progress(LIMIT).unwrap().is_all);
    acks.finish(numbers[3].unwrap());
    let progress = acks.progress(LIMIT).unwrap();
    assert!(progress.is_all);
    let told = (
        progress.offset.offset,
        progress.offset.leader_epoch,
        progress.offset.metadata,
    );
    assert_eq!(told, (46, Some(3), None));
    assert_eq!((unfinished(&acks), acks.open(), acks.bytes()), (0, 0, 0));
}

#[test]
fn memory_is_in_use_until_all_that_lies_in_it_is_finished() {
    let mut acks = PartitionAcks::default();
    let now = Instant::now();
    let used = |used| Memory { used, freed: 0 };
    assert_eq!(acks.set_origin(origin(1, 1), 0, now), used(1000));
    let first: Vec<_> = (0..2).filter_map(|offset| acks.take(offset)).collect();
    acks.taken();
    assert_eq!(acks.set_origin(origin(1, 1), 2, now), used(0), "the same");
    let same = acks.take(2).unwrap();
    acks.taken();
    assert_eq!(acks.set_origin(origin(1, 2), 3, now), used(1000));
    let other = acks.take(3).unwrap();
    acks.taken();
    assert_eq!(acks.bytes(), 2000);
    assert_eq!(acks.finish(other), 1000, "out of order");
    assert_eq!(acks.finish(other), 0, "once");
    assert_eq!(acks.finish(first[1]), 0);
    assert_eq!(acks.finish(first[0]), 0);
    assert_eq!(acks.finish(same), 1000);
    assert_eq!(acks.bytes(), 0);
    assert_eq!(acks.set_origin(origin(1, 1), 4, now), used(1000), "anew");
}

#[test]
fn the_oldest_unfinished_record_is_told_with_its_time() {
    let mut acks = PartitionAcks::default();
    let began = Instant::now();
    let later = began + Duration::from_secs(9);
    acks.set_origin(origin(1, 1), 7, began);
    let first = acks.take(7).unwrap();
    acks.taken();
    acks.set_origin(origin(1, 2), 8, later);
    acks.take(8);
    acks.taken();
    assert_eq!(acks.oldest(), Some((7, began)));
    acks.finish(first);
    assert_eq!(acks.oldest(), Some((8, later)));
}

#[test]
fn whoever_has_the_partition_next_repeats_what_was_unfinished_and_nothing_else() {
    let mut acks = PartitionAcks::default();
    let offsets: Vec<i64> = (100..120).collect();
    let numbers = take(&mut acks, origin(1, 1), &offsets);
    for at in [0, 1, 3, 5, 6, 7, 19] {
        acks.finish(numbers[at].unwrap());
    }
    let mut next = handed_on(&acks);
    assert_eq!(low(&next), 102);
    // In two parts, between which it is handed on again.
    let first = take(&mut next, origin(9, 1), &offsets[2..6]);
    let repeated: Vec<_> = first.iter().map(Option::is_some).collect();
    assert_eq!(repeated, [true, false, true, false]);
    let mut third = handed_on(&next);
    let again = take(&mut third, origin(12, 1), &offsets[2..]);
    let repeated: Vec<_> = offsets[2..]
        .iter()
        .zip(&again)
        .filter(|(_, number)| number.is_some())
        .map(|(offset, _)| *offset)
        .collect();
    let unfinished = [102, 104].into_iter().chain(108..119);
    assert_eq!(repeated, unfinished.collect::<Vec<_>>());
    for number in again.into_iter().flatten() {
        third.finish(number);
    }
    assert_eq!((low(&third), third.bytes()), (120, 0));
}

#[test]
fn a_batch_that_was_finished_before_holds_nothing_up() {
    let mut acks = PartitionAcks::default();
    let numbers = take(&mut acks, origin(1, 1), &[0, 1, 2, 3]);
    for number in &numbers[1..] {
        acks.finish(number.unwrap());
    }
    let mut next = handed_on(&acks);
    let first = take(&mut next, origin(2, 1), &[0]);
    assert_eq!(take(&mut next, origin(2, 2), &[1, 2, 3]), [None; 3]);
    assert_eq!(next.bytes(), 1000);
    next.finish(first[0].unwrap());
    assert_eq!((low(&next), next.bytes()), (4, 0));
}

#[test]
fn a_topic_made_anew_starts_clean() {
    let mut acks = PartitionAcks::default();
    let numbers = take(&mut acks, origin(1, 1), &[0, 1, 2]);
    acks.finish(numbers[1].unwrap());
    let mut next = handed_on(&acks);
    let anew = Origin {
        topic_id: TopicId([2; 16]),
        ..origin(5, 1)
    };
    let taken = take(&mut next, anew, &[0, 1, 2]);
    assert!(taken.iter().all(Option::is_some), "nothing is passed over");
    // While it is read, too: what comes to an end of the old one counts no more.
    let taken = take(&mut acks, anew, &[0, 1]);
    assert!(!acks.counts(numbers[0].unwrap()));
    assert_eq!(acks.finish(numbers[2].unwrap()), 0);
    assert_eq!((low(&acks), unfinished(&acks)), (0, 2));
    acks.finish(taken[0].unwrap());
    assert_eq!(low(&acks), 1);
}

#[test]
fn a_partition_that_is_read_again_from_further_back_starts_there() {
    let mut acks = PartitionAcks::default();
    let before = take(&mut acks, origin(1, 1), &[50, 51]);
    let memory = acks.set_origin(origin(2, 2), 10, Instant::now());
    assert_eq!((memory.used, memory.freed), (1000, 1000));
    let number = acks.take(10).unwrap();
    acks.taken();
    acks.finish(before[0].unwrap());
    assert_eq!(low(&acks), 10);
    acks.finish(number);
    assert_eq!(low(&acks), 11);
    // The same version again goes on.
    take(&mut acks, origin(2, 3), &[11]);
    assert_eq!(acks.open(), 1);
}

#[test]
fn what_was_unfinished_before_the_place_that_is_read_again_from_is_not_passed() {
    let mut acks = PartitionAcks::default();
    let offsets: Vec<i64> = (50..100).collect();
    let before = take(&mut acks, origin(1, 1), &offsets);
    for number in &before[1..] {
        acks.finish(number.unwrap());
    }
    let end = take(&mut acks, origin(1, 2), &[100, 101]);
    assert_eq!((low(&acks), acks.bytes()), (50, 2000));
    // The log was cut at 90 by an unclean election, and other records follow.
    let memory = acks.set_origin(origin(2, 3), 90, Instant::now());
    assert_eq!((memory.used, memory.freed), (1000, 1000));
    let again: Vec<_> = (90..93).map(|offset| acks.take(offset).unwrap()).collect();
    acks.taken();
    assert!(!acks.counts(end[0].unwrap()), "it is read again");
    assert!(acks.counts(before[0].unwrap()), "it is not");
    assert_eq!((low(&acks), unfinished(&acks)), (50, 4));
    acks.finish(again[1]);
    let mut next = handed_on(&acks);
    let numbers = take(&mut next, origin(1, 1), &(50..93).collect::<Vec<_>>());
    let repeated = numbers.iter().enumerate().filter(|(_, n)| n.is_some());
    let repeated: Vec<_> = repeated.map(|(at, _)| 50 + at as i64).collect();
    assert_eq!(repeated, [50, 90, 92]);
    acks.finish(before[0].unwrap());
    assert_eq!(low(&acks), 90);
    acks.finish(again[0]);
    acks.finish(again[2]);
    assert_eq!((low(&acks), acks.open(), acks.bytes()), (93, 0, 0));
}

#[test]
fn a_topic_whose_id_becomes_known_is_the_same_one() {
    let mut acks = PartitionAcks::default();
    let unnamed = Origin {
        topic_id: TopicId::ZERO,
        ..origin(1, 1)
    };
    let numbers = take(&mut acks, unnamed, &[0, 1]);
    take(&mut acks, origin(1, 2), &[2]);
    assert!(acks.counts(numbers[0].unwrap()));
    take(&mut acks, unnamed, &[3]);
    take(&mut acks, origin(1, 2), &[4]);
    assert_eq!((low(&acks), unfinished(&acks)), (0, 5));
}

#[test]
fn an_offset_that_was_raised_over_markers_is_committed_once() {
    let mut acks = PartitionAcks::default();
    let numbers = take(&mut acks, origin(1, 1), &[0, 1]);
    numbers.into_iter().flatten().for_each(|number| {
        acks.finish(number);
    });
    let raised = OffsetAndMetadata {
        offset: 4,
        leader_epoch: Some(5),
        metadata: None,
    };
    acks.committed(TOPIC, &raised);
    assert_eq!(acks.progress(LIMIT).unwrap().offset, raised);
    assert!(acks.is_committed(&acks.progress(LIMIT).unwrap().offset));
    // While something is taken, what was committed says nothing about it.
    take(&mut acks, origin(1, 2), &[4]);
    acks.committed(TOPIC, &raised);
    assert_eq!((low(&acks), unfinished(&acks)), (4, 1));
}

#[test]
fn what_is_committed_is_not_committed_again() {
    let mut acks = PartitionAcks::default();
    let numbers = take(&mut acks, origin(1, 1), &[0, 1, 2]);
    let first = acks.progress(LIMIT).unwrap();
    assert!(!acks.is_committed(&first.offset));
    acks.committed(TopicId([9; 16]), &first.offset);
    assert!(!acks.is_committed(&first.offset), "of another topic");
    acks.committed(TOPIC, &first.offset);
    assert!(acks.is_committed(&first.offset));
    acks.finish(numbers[1].unwrap());
    let second = acks.progress(LIMIT).unwrap();
    assert_eq!(second.offset.offset, 0, "the mark is where it was");
    assert!(!acks.is_committed(&second.offset), "and more is finished");
}

#[test]
fn a_map_of_ten_kilobytes_stalls_nothing() {
    let mut acks = PartitionAcks::default();
    // Random, so that neither kind is small.
    let offsets: Vec<i64> = (0..200_000).collect();
    let numbers = take(&mut acks, origin(1, 1), &offsets);
    let mut random = fastrand::Rng::with_seed(3);
    for number in numbers[1..].iter().flatten() {
        if random.bool() {
            acks.finish(*number);
        }
    }
    let progress = acks.progress(LIMIT).unwrap();
    let text = progress.offset.metadata.unwrap();
    assert!(
        text.len() <= LIMIT && text.len() > LIMIT - 8,
        "{}",
        text.len()
    );
    acks.finish(numbers[0].unwrap());
    assert!(low(&acks) > 0);
    assert_eq!(acks.progress(0).unwrap().offset.metadata, None);
}

proptest! {
    /// Whatever order handlers end in, and whoever has the partition: what is handed on is what is not finished.
    #[test]
    fn nothing_is_lost_and_nothing_finished_is_repeated(
        gaps in prop::collection::vec(1..4i64, 1..200),
        turns in prop::collection::vec((0..400usize, 0..30usize), 1..40),
    ) {
        let mut at = 0;
        let offsets: Vec<i64> = gaps.iter().map(|gap| { at += gap; at }).collect();
        let mut finished = BTreeSet::new();
        let mut acks = PartitionAcks::default();
        let mut version = 1;
        let mut next = 0;
        let mut running: Vec<(i64, u64)> = Vec::new();
        for (pick, some) in turns {
            // Takes some, ends some, and now and then goes to another member.
            let more = &offsets[next..(next + some).min(offsets.len())];
            if let Some(first) = more.first() {
                acks.set_origin(origin(version, pick), *first, Instant::now());
                for offset in more {
                    let number = acks.take(*offset);
                    prop_assert_eq!(number.is_none(), finished.contains(offset));
                    running.extend(number.map(|number| (*offset, number)));
                }
                acks.taken();
                next += more.len();
            }
            for _ in 0..pick % 20 {
                if running.is_empty() { break; }
                let (offset, number) = running.swap_remove(pick % running.len());
                acks.finish(number);
                finished.insert(offset);
            }
            let oldest = running.iter().map(|(offset, _)| *offset).min();
            if let Some(low) = acks.low() {
                prop_assert!(oldest.is_none_or(|oldest| low == oldest));
                let passed = offsets.iter().take_while(|offset| **offset < low);
                prop_assert!(passed.into_iter().all(|offset| finished.contains(offset)));
            }
            prop_assert_eq!(unfinished(&acks), running.len());
            prop_assert_eq!(acks.bytes() > 0, !running.is_empty());
            if pick % 7 == 0 && let Some(progress) = acks.progress(LIMIT) {
                acks = PartitionAcks::default();
                acks.begin(&progress.offset);
                version += 1;
                running.clear();
                next = offsets.partition_point(|offset| *offset < progress.offset.offset);
            }
        }
    }
}
